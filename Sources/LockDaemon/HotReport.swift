import LockServer
import LockVocabulary
import Systemd

extension JournalEntry {
    /// What a lock has cost in a day.
    init(_ day: DayOfLock, of lock: LockName) {
        var message =
            "lock \(lock) is number \(day.place) of those that cost most in the last day: "
            + "\(day.waits) \(day.waits == 1 ? "request" : "requests") waited \(Self.words(of: day.waited)) in all"
        if let longest = day.longest {
            message += ", one of them \(Self.words(of: longest))"
            if let process = day.behind { message += " for process \(process)" }
        }
        message += "; it was held \(Self.words(of: day.held)) in \(day.grants) grants"
        self.init(.notice, message, event: .hotLock, fields: [.lock(lock.text)])
    }

    /// A time in its two largest units: `2h 5m`, `3s 20ms`.
    private static func words(of time: Duration) -> String {
        let units: [(size: Int64, name: String)] = [
            (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"),
        ]
        let milliseconds = time.wholeMilliseconds
        guard let first = units.firstIndex(where: { milliseconds >= $0.size }) else { return "less than 1ms" }
        var rest = milliseconds
        let words = units[first...].prefix(2).map { unit in
            defer { rest %= unit.size }
            return (rest / unit.size, unit.name)
        }
        return words.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }
}
