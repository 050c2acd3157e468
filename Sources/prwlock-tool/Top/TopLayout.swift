import LockVocabulary

/// Lays out the screen of `prwlock top`: what was chosen and what the daemon answered in, lines out.
///
///     title, counters, refusals, order        4 lines; a message takes the place of the order
///     the table of locks                      at most two fifths of the rest, unless few requests wait
///     the chosen lock, or a process, or help  the rest
///     keys                                    the last line
struct TopLayout {
    let columns: Int
    let rows: Int
    let state: TopState
    let sample: TopSample
    /// Why the sample is not of now; nil if it is.
    let problem: String?

    /// The least number of rows of a terminal that has room for the chosen lock as well.
    static let leastWithDetails = 16

    var screen: Screen {
        var lines = head
        let room = max(0, rows - lines.count - 1)
        switch state.view {
        case .help: lines += Self.help
        case .process: lines += processLines(room)
        case .locks, .people, .typing, .question:
            let table = lockLines(room)
            lines += table
            lines += chosenLines(room - table.count)
        }
        lines = Array(lines.prefix(max(0, rows - 1)))
        while lines.count < rows - 1 { lines.append(ScreenLine()) }
        lines.append(keys)
        return Screen(lines, columns: columns, rows: rows)
    }

    // MARK: - The head

    private var head: [ScreenLine] {
        var title = ScreenLine("prwlock top", .strong)
        title.append("  " + sample.daemon)
        if state.isPaused {
            title.appendRight("PAUSED", .alarm, columns: columns)
        } else {
            title.appendRight(sample.clock.time(before: .zero), .faint, columns: columns)
        }
        return [title, ScreenLine(counters), refusals, notice]
    }

    var counters: String {
        func count(_ name: String) -> String { String(sample.counters[name] ?? 0) }
        let rate = sample.rate.map { "\(Self.spell($0)) grants/s" } ?? "grants/s: wait"
        return "\(count("locks")) locks  \(count("grants")) grants  \(count("waiters")) waiting  "
            + "\(count("sessions")) sessions  \(rate)"
    }

    private var refusals: ScreenLine {
        func count(_ name: String) -> String { String(sample.counters["total-\(name)"] ?? 0) }
        return ScreenLine(
            "refused so far: \(count("timeouts")) timeouts  \(count("deadlocks")) deadlocks  "
                + "\(count("busy")) busy  \(count("denied")) denied", .faint)
    }

    private var notice: ScreenLine {
        if let problem { return ScreenLine(problem, .alarm) }
        if !state.message.isEmpty { return ScreenLine(state.message, .strong) }
        switch state.view {
        case .help, .process: return ScreenLine()
        case .locks, .people, .typing, .question: break
        }
        var line = ScreenLine(state.order.inWords, .faint)
        if !state.prefix.isEmpty { line.append(", only names that begin with '\(state.prefix)'", .strong) }
        return line
    }

    // MARK: - Locks

    private func lockLines(_ room: Int) -> [ScreenLine] {
        guard !sample.locks.isEmpty else { return [ScreenLine(emptiness, .strong)] }
        var table = Self.table(Style(columns: columns - 2))
        let text = table.render(sample.locks.map(\.cells))
        let index = state.index(in: sample.locks)
        let most = rows < Self.leastWithDetails ? room : max(3, min(sample.locks.count + 1, room * 2 / 5))
        return window(text, chosen: index, hasFocus: state.view != .people, lines: most)
    }

    static func table(_ style: Style) -> Table {
        Table(
            [
                .init("WAITING", isNumber: true, expendability: 4),
                .init("LONGEST WAIT", isNumber: true, expendability: 3), .init("MODE", expendability: 2),
                .init("HOLDERS", isNumber: true, expendability: 1),
                .init("GRANTS/S", isNumber: true, expendability: 0), .init("NAME", mayBeCut: true),
            ], style: style)
    }

    /// Why the table is empty, and what else there is to see.
    private var emptiness: String {
        if problem != nil { return "" }
        let words = sample.emptiness(state.order, isFiltered: !state.prefix.isEmpty)
        return state.order == .grants ? words : words + " (g sorts by grants a second)"
    }

    /// The heading of a table and as many of its rows as there is room for, among them the chosen one.
    func window(_ text: Shown, chosen: Int?, hasFocus: Bool, lines most: Int) -> [ScreenLine] {
        let all = text.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(
            String.init)
        guard most > 0, let heading = all.first else { return [] }
        let rows = all.dropFirst()
        let start = max(0, min((chosen ?? 0) - (most - 2) / 2, rows.count - (most - 1)))
        var lines = [ScreenLine("  " + heading, .strong)]
        for (index, row) in rows.enumerated().dropFirst(start).prefix(most - 1) {
            var line = ScreenLine((index == chosen ? (hasFocus ? "> " : "- ") : "  ") + row)
            if index == chosen, hasFocus { line.paint(.chosen, columns: columns) }
            lines.append(line)
        }
        return lines
    }

    /// The rate as a number that is easy to compare.
    static func spell(_ rate: Double) -> String {
        guard rate < 9.95 else { return String(Int(rate.rounded())) }
        let tenths = Int((rate * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    // MARK: - Keys

    private var keys: ScreenLine {
        switch state.view {
        case .typing(let typed):
            var line = ScreenLine("names that begin with: ", .strong)
            line.append(typed + "_")
            line.append("  (Enter: take it, Esc: leave it)", .faint)
            return line
        case .question: return ScreenLine("y: revoke it    any other key: leave it", .alarm)
        case .help, .process: return Self.hints(["q back", "space pause", "h help"], columns)
        case .locks, .people:
            let hints = [
                "q quit", "h help", "w/t/g sort", "/ filter", "Tab people", "p process", "r revoke",
                "space pause",
            ]
            return Self.hints(hints, columns)
        }
    }

    /// As many of the hints as a line has room for.
    static func hints(_ hints: [String], _ columns: Int) -> ScreenLine {
        var text = ""
        for hint in hints {
            let longer = text.isEmpty ? hint : text + "  " + hint
            if longer.columns <= columns { text = longer }
        }
        return ScreenLine(text, .faint)
    }

    static let help = [
        "Which lock: arrow keys or j and k; Home always shows the first one",
        "Sort:       w by waiting requests, t by time waited, g by grants a second",
        "Filter:     / and the beginning of the names, Enter; an empty one shows all",
        "Who:        Tab chooses among holders and waiters, Tab again goes back",
        "Process:    p or Enter shows all that a process holds and waits for",
        "Revoke:     r takes the grant from a holder, after a question",
        "Pause:      space stops the looks at the daemon, and goes on",
        "Screen:     Ctrl-L draws all again, Ctrl-Z stops this program, fg continues it",
        "Leave:      q",
        "",
        "WAITING     requests that wait for the lock, LONGEST WAIT: the oldest of them",
        "GRANTS/S    since the last look; - for a lock that few requests are for",
        "WAITS FOR   the processes that hold the lock or are before this one in the queue",
    ].map { ScreenLine($0) }
}

extension TopLock {
    var cells: [String] {
        [
            String(waiters), waited?.inWords ?? "", mode?.description ?? "", String(holders),
            rate.map(TopLayout.spell) ?? "", name.shown,
        ]
    }
}
