import ArgumentParser
import LockVocabulary
import LockWire

/// `prwlock status`: who holds a lock, and who waits for it, and for whom.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show who holds a lock and who waits for it.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @Argument(help: "The lock's name.")
    var name: NameArgument

    func run() throws {
        let status = try complaining { () throws(Complaint) in try LockStatus(of: name.name, at: daemon) }
        let text = show.json ? status.json.encoded + "\n" : status.text(show.style, WallClock())
        StandardOutput.write(text)
    }
}

extension LockStatus {
    /// For people: a line that says it all, then a table of holders and one of waiters.
    func text(_ style: Style, _ clock: WallClock) -> String {
        var text = style.strong(name.text) + ": " + summary + "\n"
        if !holders.isEmpty { text += "\n" + holderTable(style, clock) }
        if !waiters.isEmpty { text += "\n" + waiterTable(style) }
        return text
    }

    private var summary: String {
        let modes = Set(holders.map(\.row.mode))
        guard let strongest = modes.max() else { return waiters.isEmpty ? "free" : "free, \(waiting)" }
        let held = holders.count == 1 ? "1 holder" : "\(holders.count) holders"
        return "held (\(strongest)), \(held), \(waiting)"
    }

    private var waiting: String { waiters.isEmpty ? "nobody waits" : "\(waiters.count) waiting" }

    private func holderTable(_ style: Style, _ clock: WallClock) -> String {
        var table = Table(
            [
                .init("HOLDER", isNumber: true), .init("MODE"), .init("SINCE"), .init("FOR"),
                .init("LEASE LEFT"),
                .init("TOKEN", isNumber: true), .init("USER"), .init("UNIT"), .init("NOTE"), .init("COMMAND"),
            ], style: style)
        return table.render(
            holders.map { holder in
                // For a background holder, the one whose lock it is says more.
                let process = holder.client?.process ?? holder.process
                let client = holder.client.map { "for \($0.processID): " } ?? ""
                return [
                    spell(holder.row.processID), "\(holder.row.mode)", clock.time(before: holder.row.age),
                    holder.row.age.inWords, holder.row.leaseLeft?.inWords ?? "", "\(holder.row.token)",
                    process.user ?? "", process.unit ?? "", NameAlphabet.decode(holder.row.note.text),
                    client + (process.command ?? "?"),
                ]
            })
    }

    private func waiterTable(_ style: Style) -> String {
        var table = Table(
            [
                .init("WAITING", isNumber: true), .init("MODE"), .init("FOR"), .init("GIVES UP IN"),
                .init("WAITS FOR"), .init("USER"), .init("UNIT"), .init("NOTE"), .init("COMMAND"),
            ], style: style)
        return table.render(
            waiters.map { waiter in
                [
                    spell(waiter.row.processID), "\(waiter.row.mode)", waiter.row.waited.inWords,
                    waiter.timeLeft?.inWords ?? "", obstacles(of: waiter), waiter.process.user ?? "",
                    waiter.process.unit ?? "", NameAlphabet.decode(waiter.row.note.text),
                    waiter.process.command ?? "",
                ]
            })
    }

    private func obstacles(of waiter: Waiter) -> String {
        let named = waiter.waitsFor.prefix(3).map(spell)
        let more = waiter.waitsFor.count - named.count
        return (named + (more > 0 ? ["+\(more)"] : [])).joined(separator: ", ")
    }

    private func spell(_ process: Int32?) -> String { process.map(String.init) ?? "?" }

    /// For programs: durations in milliseconds.
    var json: JSON {
        .object([
            ("name", .string(name.text)),
            ("holders", .array(holders.map(\.json))),
            ("waiters", .array(waiters.map(\.json))),
        ])
    }
}

extension LockStatus.Holder {
    fileprivate var json: JSON {
        var members: [(String, JSON)] = [
            ("pid", .optional(row.processID)), ("mode", .string(row.mode.description)),
            ("owner", row.owner.isSession ? .null : .string(row.owner.text)),
            ("token", .unsigned(row.token.rawValue)), ("age_ms", .milliseconds(row.age)),
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

extension LockStatus.Waiter {
    /// How long until it gives up; nil if it never does.
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

extension ProcessFacts {
    /// The members that every object about a process has.
    var json: [(String, JSON)] {
        [("user", .optional(user)), ("unit", .optional(unit)), ("command", .optional(command))]
    }
}

extension JSON {
    static func note(_ note: Note) -> JSON { note.isEmpty ? .null : .string(NameAlphabet.decode(note.text)) }
}

extension Table.Column {
    init(_ heading: String, isNumber: Bool = false) {
        self.init(heading: heading, isNumber: isNumber)
    }
}
