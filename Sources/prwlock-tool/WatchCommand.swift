import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock

/// `prwlock watch`: shows changes on locks as they happen.
struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show what happens on locks, until it is interrupted.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var names: PrefixOptions

    func run() throws {
        try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            let facts = try ProcessDescription.lookup(over: &connection)
            var known = ChangeFacts(over: try daemon.choice.connect())
            _ = try connection.ask(.watch(prefix: names.prefix))
            if !show.json { StandardOutput.write(show.style.strong(Notice.Changed.heading) + "\n") }
            while true {
                switch connection.nextEvent() {
                case .line(.notice(.changed(let changed))):
                    printChange(changed, try known.facts(of: changed, user: facts(changed.processID).user))
                case .line(.notice(.missed(let count))): printMissed(count)
                case .line(.notice(.drain)): StandardError.report("the lock daemon is leaving")
                case .ended(let error): throw Complaint(error)
                case .line, .ready, .moment: break
                }
            }
        }
    }

    private func printChange(_ changed: Notice.Changed, _ facts: ChangeFacts.Facts) {
        if show.json {
            let object = JSON.object([
                ("time", .string(DisplayClock().timestamp)),
                ("name", .string(changed.name.decoded)), ("encoded", .string(changed.name.text)),
                ("change", .string(changed.change.rawValue)),
                ("pid", .optional(changed.processID)), ("mode", .string(changed.mode.description)),
                ("token", changed.token.map(JSON.token) ?? .null),
                ("owner", changed.owner.isSession ? .null : .string(changed.owner.text)),
                ("user", .optional(facts.user)), ("note", .note(facts.note)),
            ])
            StandardOutput.write("\(object.encoded)\n")
        } else {
            let line = changed.line(DisplayClock(), facts.user, facts.note)
            StandardOutput.write("\(show.style.fit(line))\n")
        }
    }

    private func printMissed(_ count: Int) {
        if show.json {
            StandardOutput.write("\(JSON.object([("missed", .integer(count))]).encoded)\n")
        } else {
            StandardOutput.write(
                "\(DisplayClock().time(before: .zero))  missed \(count) changes: too slow for them\n")
        }
    }
}

extension Notice.Changed {
    /// The change in columns of fixed widths, because the widths of later rows are unknown.
    func line(_ clock: DisplayClock, _ user: String?, _ note: Note) -> String {
        Self.columns([
            clock.time(before: .zero), change.rawValue, mode.description, processID.map(String.init) ?? "?",
            token.map(String.init(describing:)) ?? "-", user ?? "-", name.shown,
        ]) + (note.isEmpty ? "" : "  (\(Harmless.show(NameAlphabet.decodeBytes(note.text))))")
    }

    static let heading = columns(["TIME", "CHANGE", "MODE", "PID", "TOKEN", "USER", "NAME"])

    private static func columns(_ cells: [String]) -> String {
        let widths = [8, 10, 6, 7, 16, 8, 0]
        var line = ""
        for (cell, width) in zip(cells, widths) {
            line += cell + String(repeating: " ", count: max(0, width - cell.count)) + "  "
        }
        return String(line.dropLast(2))
    }
}
