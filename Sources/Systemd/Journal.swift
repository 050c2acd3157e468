import Glibc
import LockVocabulary

/// The log for operators: the journal, or else standard error.
///
/// If standard error is connected to the journal, entries go to the journal with their fields. Otherwise standard error
/// gets the same entries as text.
///
/// Invariants:
/// 1. No call here waits. If the journal is stopped, or another process keeps its queue full, entries are lost, but
///    never a lock: if the daemon waited, the watchdog would end it.
/// 2. Every text passes `Harmless`: the names of units, programs and paths in it may be another user's.
/// 3. Every lost entry is counted. Before the next entry that is taken, one entry reports how many were lost.
///
/// This type implements the journal's protocol itself, because `sd_journal_send(3)` waits for room in the queue.
public final class Journal {
    /// The least important level that is written.
    public var level: LogLevel
    /// The number of entries lost since the start.
    public private(set) var lost = 0
    /// The prefix of every line of text, and the identifier of every entry in the journal.
    private let program: String
    private var destination: Destination
    /// The number of lost entries that no entry has reported yet.
    private var untold = 0

    private enum Destination {
        case journal(DatagramSender)
        case standardError(StandardErrorOutput)
    }

    /// The longest value of a field. It keeps an entry far below the size limit of a datagram.
    private static let longestValue = 32_768

    public convenience init(program: String, level: LogLevel) {
        // Tests use a socket of their own in place of the journal's.
        if let path = getenv("PRWLOCK_TEST_JOURNAL") {
            self.init(program: program, level: level, socket: String(cString: path))
        } else {
            let isJournal = Self.standardErrorIsJournal
            self.init(program: program, level: level, socket: isJournal ? "/run/systemd/journal/socket" : nil)
        }
    }

    /// - Parameter socket: the path of the journal's socket; nil for standard error.
    package init(program: String, level: LogLevel, socket: String?) {
        self.program = program
        self.level = level
        if let sender = socket.flatMap(DatagramSender.init(path:)) {
            destination = .journal(sender)
        } else {
            destination = .standardError(StandardErrorOutput())
        }
    }

    /// Writes an entry if its level is important enough.
    public func write(_ entry: JournalEntry) {
        guard entry.level <= level else { return }
        tellLost()
        // While a loss is unreported, drop the entry, because it must not overtake the report.
        if untold > 0 || !put(entry) {
            lost += 1
            untold += 1
        }
    }

    /// Writes an entry without fields.
    public func write(_ level: LogLevel, _ message: String) {
        write(JournalEntry(level, message))
    }

    /// Whether entries were lost and no entry has reported this yet.
    public var hasUntoldLoss: Bool { untold > 0 }

    /// Writes an entry with the number of lost entries, if there is room for it.
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
            return output.write(Harmless.show("\(program): \(entry)"))
        }
    }

    // MARK: - The journal's protocol

    /// Encodes an entry for the journal, as `NAME=value` lines.
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
        // A line feed would begin another field; `Harmless` leaves none.
        bytes += "\(name)=".utf8
        bytes += Array(Harmless.show(value).utf8).cut(to: longestValue)
        bytes.append(UInt8(ascii: "\n"))
    }

    #if Systemd
        /// `JOURNAL_STREAM` names the file that the manager connected standard error to. Children inherit the variable
        /// even if their standard error is another file, so compare it with the file itself.
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
