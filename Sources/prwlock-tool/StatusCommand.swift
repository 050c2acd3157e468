import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock

/// `prwlock status`: the holders and waiters of a lock, or of all locks if no name is given.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show who holds a lock and who waits for it.",
        discussion: "Without a name it shows every lock that is held or waited for.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var lockName: OptionalNameOptions

    func run() throws {
        try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            if let name = lockName.name {
                let status = try LockReport(of: name, over: &connection)
                StandardOutput.write(
                    show.json ? "\(status.json.encoded)\n" : status.text(show.style, DisplayClock()))
            } else {
                try showAll(over: &connection)
            }
            LockSpace(of: connection).printRemark(show)
        }
    }

    /// Queries one lock at a time, so a thousand locks take the memory of one.
    private func showAll(over connection: inout BlockingConnection) throws(Complaint) {
        var names: [LockName] = []
        _ = try connection.ask(.list(prefix: "", after: nil, limit: nil)) { row in
            if case .lock(let lock) = row, lock.holders + lock.waiters > 0 { names.append(lock.name) }
        }
        var listing = Listing([], show)
        for name in names {
            let status = try LockReport(of: name, over: &connection)
            // The lock was released after the daemon listed it.
            if status.isFree { continue }
            listing.add(text: status.text(show.style, DisplayClock()), status.json)
        }
        listing.finish(orPrint: "no lock is held or waited for")
    }
}

extension LockReport {
    /// For people: a summary line, a table of holders and one of waiters.
    func text(_ style: Style, _ clock: DisplayClock) -> Shown {
        var text: Shown = "\(style.strong(name.shown)): \(summary)\n"
        if !holders.isEmpty { text += "\n" + holderTable(style, clock) }
        if !waiters.isEmpty { text += "\n" + waiterTable(style) }
        if isShared { text += "\n" + hostTable(style) }
        return text
    }

    private var summary: String {
        let modes = Set(holders.map(\.row.mode))
        guard let strongest = modes.max() else {
            // Whether other hosts hold what they claim is known there only.
            let free = isShared ? "not held on this host" : "free"
            return waiters.isEmpty ? "\(free)\(caching)" : "\(free), \(waiting)\(caching)"
        }
        let held = holders.count == 1 ? "1 holder" : "\(holders.count) holders"
        return "held (\(strongest)), \(held), \(waiting)\(caching)"
    }

    private var waiting: String { waiters.isEmpty ? "no request waits" : "\(waiters.count) waiting" }

    private var caching: String {
        cached == 0 ? "" : ", cached by \(cached == 1 ? "1 owner" : "\(cached) owners")"
    }

    func holderTable(_ style: Style, _ clock: DisplayClock) -> Shown {
        var table = Table(
            [
                .init("HOLDER", isNumber: true), .init("MODE"), .init("SINCE", expendability: 1),
                .init("FOR"),
                .init("LEASE LEFT", expendability: 2), .init("TOKEN", isNumber: true), .init("USER"),
                .init("UNIT", mayBeCut: true, expendability: 3),
                .init("NOTE", mayBeCut: true, expendability: 4), .init("COMMAND", mayBeCut: true),
            ], style: style)
        return table.render(
            holders.map { holder in
                // For a background holder, its client's process is more informative.
                let process = holder.client?.process ?? holder.process
                let client = holder.client.map { "for \($0.processID): " } ?? ""
                return [
                    Self.spell(holder.row.processID), "\(holder.row.mode)",
                    clock.time(before: holder.row.age),
                    holder.row.age.inWords, holder.row.leaseLeft?.inWords ?? "", "\(holder.row.token)",
                    process.user ?? "", process.unit ?? "",
                    Harmless.show(NameAlphabet.decodeBytes(holder.row.note.text)),
                    client + (process.command ?? "?"),
                ]
            })
    }

    func waiterTable(_ style: Style) -> Shown {
        var table = Table(
            [
                .init("WAITING", isNumber: true), .init("MODE"), .init("FOR"),
                .init("GIVES UP IN", expendability: 3),
                .init("WAITS FOR", mayBeCut: true), .init("USER"),
                .init("UNIT", mayBeCut: true, expendability: 1),
                .init("NOTE", mayBeCut: true, expendability: 2), .init("COMMAND", mayBeCut: true),
            ], style: style)
        // Three do not fit in a narrow terminal.
        let most = style.columns.map { $0 < 100 } ?? false ? 1 : 3
        return table.render(
            waiters.map { waiter in
                [
                    Self.spell(waiter.row.processID), "\(waiter.row.mode)", waiter.row.waited.inWords,
                    waiter.timeLeft?.inWords ?? "", Self.spell(waiter.waitsFor, most: most),
                    waiter.process.user ?? "",
                    waiter.process.unit ?? "", Harmless.show(NameAlphabet.decodeBytes(waiter.row.note.text)),
                    waiter.process.command ?? "",
                ]
            })
    }

    /// Whether hosts share the lock.
    private var isShared: Bool { !claims.isEmpty || !claimWaiters.isEmpty }

    private func hostTable(_ style: Style) -> Shown {
        var table = Table([.init("HOST"), .init("CLAIMS"), .init("WAITS FOR A CLAIM")], style: style)
        return table.render(
            claims.map { ["\($0.host)", "\($0.mode)", ""] }
                + claimWaiters.map { ["\($0.host)", "", "\($0.mode)"] })
    }

    /// The first of the processes, and how many more there are.
    static func spell(_ processes: [Int32?], most: Int) -> String {
        let named = processes.prefix(most).map(spell)
        let more = processes.count - named.count
        return (named + (more > 0 ? ["+\(more)"] : [])).joined(separator: ", ")
    }

    private static func spell(_ process: Int32?) -> String { process.map(String.init) ?? "?" }

    /// For programs: durations are in milliseconds.
    var json: JSON {
        var members: [(String, JSON)] = [
            ("name", .string(name.decoded)), ("encoded", .string(name.text)),
            ("holders", .array(holders.map(\.json))),
            ("waiters", .array(waiters.map(\.json))), ("cached", .integer(cached)),
        ]
        if isShared {
            members.append(("claims", .array(claims.map(\.json))))
            members.append(("claim_waiters", .array(claimWaiters.map(\.json))))
        }
        return .object(members)
    }
}

extension LockReport.DescribedHolder {
    fileprivate var json: JSON {
        var members: [(String, JSON)] = [
            ("pid", .optional(row.processID)), ("mode", .string(row.mode.description)),
            ("owner", row.owner.isSession ? .null : .string(row.owner.text)),
            ("token", .token(row.token)), ("age_ms", .milliseconds(row.age)),
            ("lease_left_ms", .milliseconds(row.leaseLeft)), ("note", .note(row.note)),
        ]
        members += process.json
        if let client {
            let facts: [(String, JSON)] = [("pid", .integer(Int(client.processID)))]
            members.append(("for", .object(facts + client.process.json)))
        }
        return .object(members)
    }
}

extension Row.Claim {
    fileprivate var json: JSON {
        .object([("host", .string(host.text)), ("mode", .string(mode.description))])
    }
}

extension LockReport.DescribedWaiter {
    /// The time until the waiter gives up; nil if it never does.
    fileprivate var timeLeft: Duration? {
        guard case .upTo(let timeout) = row.timeout else { return nil }
        return max(.zero, timeout - row.waited)
    }

    fileprivate var json: JSON {
        let timeout: Duration? = if case .upTo(let timeout) = row.timeout { timeout } else { nil }
        let members: [(String, JSON)] = [
            ("pid", .optional(row.processID)), ("mode", .string(row.mode.description)),
            ("owner", row.owner.isSession ? .null : .string(row.owner.text)),
            ("waited_ms", .milliseconds(row.waited)), ("timeout_ms", .milliseconds(timeout)),
            ("waits_for", .array(waitsFor.map { .optional($0) })), ("note", .note(row.note)),
        ]
        return .object(members + process.json)
    }
}

extension ProcessDescription {
    /// The members that every JSON object about a process has.
    var json: [(String, JSON)] {
        [("user", .optional(user)), ("unit", .optional(unit)), ("command", .optional(command))]
    }
}

extension JSON {
    static func note(_ note: Note) -> JSON { note.isEmpty ? .null : .string(NameAlphabet.decode(note.text)) }
}

extension Table.Column {
    init(_ heading: String, isNumber: Bool = false, mayBeCut: Bool = false, expendability: Int? = nil) {
        self.init(
            heading: heading, isNumber: isNumber, mayBeCut: mayBeCut, expendability: expendability)
    }
}
