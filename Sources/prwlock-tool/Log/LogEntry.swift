import LockVocabulary
import LockWire
import Systemd

/// An entry of the daemon's log, or an entry of systemd about its unit.
struct LogEntry {
    /// Since 1970; nil if the log has no times.
    var time: Duration?
    var level: LogLevel = .info
    /// Nil for an entry without an identifier, and for one that a later release has added.
    var event: JournalEntry.Event?
    var lock: LockName?
    var process: Int32?
    var user: UInt32?
    var unit: String?
    var token: String?
    var session: String?
    var limit: String?
    var message = ""
    /// Whether systemd wrote it.
    var isOfManager = false

    /// The fields of the journal that an entry is made of.
    static let fields = [
        "MESSAGE", "MESSAGE_ID", "PRIORITY", "_PID", "SYSLOG_IDENTIFIER", "LOCK", "SESSION", "TOKEN", "LIMIT",
        "CLIENT_PID", "CLIENT_UID", "CLIENT_UNIT",
    ]

    /// An entry from the fields of the journal.
    init(_ fields: JournalExport.Fields) {
        func text(_ name: String) -> String? {
            fields[name].map { Harmless.show($0) }
        }
        time = text("__REALTIME_TIMESTAMP").flatMap { Int64($0) }.map { .microseconds($0) }
        level = text("PRIORITY").flatMap { Int($0) }.flatMap(LogLevel.init(rawValue:)) ?? .info
        event = text("MESSAGE_ID").flatMap { id in
            JournalEntry.Event.allCases.first { "\($0.messageID)" == id }
        }
        message = text("MESSAGE") ?? ""
        isOfManager = text("SYSLOG_IDENTIFIER") == "systemd"
        take(text)
    }

    /// An entry from a line of the daemon's standard error: `prwlockd: notice: message (LOCK=jobs SESSION=1)`. Nil for a line
    /// of another form.
    init?(line: [UInt8]) {
        let parts = Harmless.show(line).split(separator: ": ", maxSplits: 2)
        guard parts.count == 3, parts[0] == "prwlockd", let level = LogLevel(String(parts[1])) else {
            return nil
        }
        self.level = level
        message = String(parts[2])
        guard message.hasSuffix(")"), let open = message.ranges(of: " (").last else { return }
        var fields: [String: String] = [:]
        for word in message[open.upperBound...].dropLast().split(separator: " ") {
            let pair = word.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, let name = pair.first, let value = pair.last else { return }
            fields[String(name)] = String(value)
        }
        message = String(message[..<open.lowerBound])
        take { fields[$0] }
    }

    private mutating func take(_ text: (String) -> String?) {
        lock = text("LOCK").flatMap { LockName($0) }
        process = text("CLIENT_PID").flatMap { Int32($0) }
        user = text("CLIENT_UID").flatMap { UInt32($0) }
        unit = text("CLIENT_UNIT")
        token = text("TOKEN")
        session = text("SESSION")
        limit = text("LIMIT")
    }
}
