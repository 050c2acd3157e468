import LockVocabulary
import LockWire

extension TopLayout {
    /// The chosen lock: a line that sums it up, its holders, and its waiters; or the question whether to revoke a grant.
    func chosenLines(_ room: Int) -> [ScreenLine] {
        guard rows >= Self.leastWithDetails, room > 2, let report = sample.report else { return [] }
        if case .question(let revocation) = state.view { return question(revocation) }
        var lines = [rule(report)]
        lines.append(person(report))
        let style = Style(columns: columns - 2)
        // Each of the two tables has a heading.
        let left = room - lines.count
        let (holders, waiters) = (report.holders.count, report.waiters.count)
        let forWaiters =
            waiters == 0 ? 0 : max(2, min(waiters + 1, left - min(holders + 1, max(2, left / 3))))
        let hasFocus = state.view == .people
        if holders > 0 {
            let chosen = hasFocus && state.chosenPerson < holders ? state.chosenPerson : nil
            lines += window(
                report.holderTable(style, sample.clock), chosen: chosen, hasFocus: hasFocus,
                lines: left - forWaiters)
        }
        if waiters > 0 {
            let index = state.chosenPerson - holders
            lines += window(
                report.waiterTable(style), chosen: hasFocus && index >= 0 ? index : nil, hasFocus: hasFocus,
                lines: forWaiters)
        }
        return lines
    }

    private func rule(_ report: LockReport) -> ScreenLine {
        var line = ScreenLine("── ", .faint)
        line.append(report.name.shown, .strong)
        let row = sample.locks.first { $0.name == report.name }
        let mode = report.holders.map(\.row.mode).max().map { "held (\($0))" } ?? "free"
        let (holders, waiters) = (row?.holders ?? report.holders.count, row?.waiters ?? report.waiters.count)
        line.append(": \(mode), \(holders) \(holders == 1 ? "holder" : "holders"), \(waiters) waiting ")
        line.append(String(repeating: "─", count: max(0, columns - line.cells.count)), .faint)
        return line
    }

    /// The chosen holder or waiter, or else the first holder, in full: the tables may have no room for that.
    private func person(_ report: LockReport) -> ScreenLine {
        let people =
            report.holders.map { ($0.row.processID, $0.client?.process ?? $0.process, $0.row.note) }
            + report.waiters.map { ($0.row.processID, $0.process, $0.row.note) }
        let index = state.view == .people ? state.chosenPerson : 0
        guard index < people.count else { return ScreenLine() }
        let (number, process, note) = people[index]
        var line = ScreenLine("process \(number.map(String.init) ?? "?")", .strong)
        if let user = process.user { line.append(" of \(user)") }
        if let unit = process.unit { line.append(", \(unit)") }
        line.append(": \(process.command ?? "?")", .strong)
        if !note.isEmpty { line.append("  (\(Harmless.show(NameAlphabet.decodeBytes(note.text))))") }
        return line
    }

    private func question(_ revocation: Revocation) -> [ScreenLine] {
        var lines = [
            ScreenLine(String(repeating: "─", count: columns), .faint),
            ScreenLine(
                "Revoke \(revocation.lock.shown) (\(revocation.mode), token \(revocation.token))", .alarm),
            ScreenLine("from \(revocation.holder)?", .alarm),
            ScreenLine("The process gets a notice and goes on without the lock. Its token is void."),
            ScreenLine(revocation.consequence),
        ]
        if revocation.mode == .write {
            lines.append(
                ScreenLine("What it has half written stays. The next grant has the mark ownerdied=1."))
        }
        return lines
    }

    /// A process: what it is, what it holds and what it waits for.
    func processLines(_ room: Int) -> [ScreenLine] {
        guard let report = sample.process else { return [ScreenLine("looking at the process")] }
        let process = report.description
        var title = ScreenLine("process \(report.process): ", .strong)
        title.append(process.command ?? "not visible, or ended")
        var lines = [
            title, ScreenLine("user: \(process.user ?? "-")   unit: \(process.unit ?? "-")"),
            ScreenLine("holds \(report.grants) and waits for \(report.waiting)", .strong), ScreenLine(),
        ]
        if !report.parts.isEmpty {
            var table = Table(
                [
                    .init("STATE"), .init("MODE"), .init("FOR"),
                    .init("TOKEN", isNumber: true, expendability: 2),
                    .init("WAITING", isNumber: true, expendability: 3), .init("WAITS FOR", mayBeCut: true),
                    .init("NOTE", mayBeCut: true, expendability: 1), .init("NAME", mayBeCut: true),
                ], style: Style(columns: columns - 2))
            let text = table.render(report.parts.map(\.cells))
            lines += window(text, chosen: nil, hasFocus: false, lines: max(2, room - lines.count - 1))
        }
        if report.unseen > 0 { lines.append(ScreenLine("and \(report.unseen) of other locks", .faint)) }
        return lines
    }
}

extension ProcessReport.Part {
    fileprivate var cells: [String] {
        [
            token == nil ? "waits" : "holds", "\(mode)", age.inWords, token.map { "\($0)" } ?? "",
            String(waiters), LockReport.spell(waitsFor, most: 3),
            Harmless.show(NameAlphabet.decodeBytes(note.text)), lock.shown,
        ]
    }
}
