import Glibc

/// Where the daemon writes what an operator would search for: the journal, or else standard error.
///
/// An entry goes to the journal, with its fields, if standard error is connected to it; a reader of the daemon's standard
/// error elsewhere sees the same entries there, as text.
///
/// Invariants:
/// 1. No call here waits. A journal that is stopped, or whose queue another process keeps full, costs entries and never a
///    lock: the watchdog would end a daemon that waits.
/// 2. An entry that is not taken is counted. Before the next entry that is taken, one entry says how many were lost.
///
/// The journal's own protocol is spoken here and not through `sd_journal_send(3)`, which waits for room in the queue.
public final class Journal {
    /// Entries that matter less are passed over.
    public var level: LogLevel
    /// How many entries were lost since the start.
    public private(set) var lost = 0
    /// Stands before every line of text; the journal knows it by itself.
    private let program: String
    private var destination: Destination
    /// How many lost entries no entry has told yet.
    private var untold = 0

    private enum Destination {
        case journal(DatagramSender)
        case standardError(StandardErrorOutput)
    }

    /// The longest value of a field. With it an entry stays far below what a datagram holds.
    private static let longestValue = 32_768

    public convenience init(program: String, level: LogLevel) {
        // For tests, which have a socket in the journal's place.
        if let path = getenv("PRWLOCK_TEST_JOURNAL") {
            self.init(program: program, level: level, socket: String(cString: path))
        } else {
            let isJournal = Self.standardErrorIsJournal
            self.init(program: program, level: level, socket: isJournal ? "/run/systemd/journal/socket" : nil)
        }
    }

    /// With the path of the journal's socket; nil for standard error.
    package init(program: String, level: LogLevel, socket: String?) {
        self.program = program
        self.level = level
        if let sender = socket.flatMap(DatagramSender.init(path:)) {
            destination = .journal(sender)
        } else {
            destination = .standardError(StandardErrorOutput())
        }
    }

    /// Writes an entry, if it matters enough.
    public func write(_ entry: JournalEntry) {
        guard entry.level <= level else { return }
        tellLost()
        // Later entries are not to overtake the one that says how many are missing.
        if untold > 0 || !put(entry) {
            lost += 1
            untold += 1
        }
    }

    /// Writes an entry without fields.
    public func write(_ level: LogLevel, _ message: String) {
        write(JournalEntry(level, message))
    }

    /// Whether entries were lost and no entry has said so yet.
    public var hasUntoldLoss: Bool { untold > 0 }

    /// Says how many entries were lost, if there is room for that.
    public func tellLost() {
        guard untold > 0 else { return }
        let entries = untold == 1 ? "1 entry was" : "\(untold) entries were"
        let entry = JournalEntry(
            .warning, "\(entries) lost: the log had no room", event: .entriesLost, fields: [.lost(untold)])
        if put(entry) { untold = 0 }
    }

    private func put(_ entry: JournalEntry) -> Bool {
        switch destination {
        case .journal(let sender): return sender.send(datagram(of: entry))
        case .standardError(var output):
            defer { destination = .standardError(output) }
            return output.write("\(program): \(entry)")
        }
    }

    // MARK: - The journal's protocol

    /// An entry as the journal reads it: `NAME=value` lines.
    private func datagram(of entry: JournalEntry) -> [UInt8] {
        var bytes: [UInt8] = []
        Self.append("MESSAGE", entry.message, to: &bytes)
        Self.append("PRIORITY", "\(entry.level.rawValue)", to: &bytes)
        Self.append("SYSLOG_IDENTIFIER", program, to: &bytes)
        if let event = entry.event { Self.append("MESSAGE_ID", "\(event.messageID)", to: &bytes) }
        for field in entry.fields { Self.append("\(field.name)", field.value, to: &bytes) }
        return bytes
    }

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        let value = Array(value.utf8).cut(to: longestValue)
        bytes += name.utf8
        // A value with a line feed in it has its length before it, as 64 bits with the lowest byte first.
        if value.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += $0 }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += value
        bytes.append(UInt8(ascii: "\n"))
    }

    #if Systemd
        /// `JOURNAL_STREAM` names the file that the manager connected standard error to. It is inherited by
        /// children whose standard error is another one, hence the look at the file itself.
        private static var standardErrorIsJournal: Bool {
            var file = stat()
            guard let stream = getenv("JOURNAL_STREAM"), fstat(STDERR_FILENO, &file) == 0 else {
                return false
            }
            return String(cString: stream) == "\(file.st_dev):\(file.st_ino)"
        }
    #else
        private static var standardErrorIsJournal: Bool { false }
    #endif
}
