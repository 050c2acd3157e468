import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock

/// `prwlock watch`: what happens on locks, as it happens.
struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show what happens on locks, until it is interrupted.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @Argument(help: "Only on the locks whose names begin so.")
    var prefix = ""

    func run() throws {
        try complaining { () throws(Complaint) in
            var connection = try daemon.connect()
            _ = try connection.ask(.watch(prefix: prefix))
            while true {
                switch connection.nextEvent() {
                case .line(.notice(.changed(let changed))): tell(changed)
                case .line(.notice(.missed(let count))): tellMissed(count)
                case .line(.notice(.drain)): StandardError.say("the lock daemon is leaving")
                case .ended(let error): throw Complaint(error)
                case .line, .ready, .moment: break
                }
            }
        }
    }

    private func tell(_ changed: Notice.Changed) {
        if show.json {
            let object = JSON.object([
                ("name", .string(changed.name.text)), ("change", .string(changed.change.rawValue)),
                ("pid", .optional(changed.processID)), ("mode", .string(changed.mode.description)),
                ("token", changed.token.map { .unsigned($0.rawValue) } ?? .null),
            ])
            StandardOutput.write(object.encoded + "\n")
        } else {
            StandardOutput.write(show.style.fit(changed.line(WallClock())) + "\n")
        }
    }

    private func tellMissed(_ count: Int) {
        if show.json {
            StandardOutput.write(JSON.object([("missed", .integer(count))]).encoded + "\n")
        } else {
            StandardOutput.write(
                "\(WallClock().time(before: .zero))  missed \(count) changes: too slow for them\n")
        }
    }
}

extension Notice.Changed {
    /// The change in columns of their own: rows that come one by one cannot be measured first.
    func line(_ clock: WallClock) -> String {
        let cells = [
            (clock.time(before: .zero), 8), (change.rawValue, 10), (mode.description, 6),
            (processID.map(String.init) ?? "?", 7), (token.map(String.init(describing:)) ?? "-", 6),
        ]
        var line = ""
        for (cell, width) in cells {
            line += cell + String(repeating: " ", count: max(0, width - cell.count)) + "  "
        }
        return line + name.text
    }
}
