#if Systemd
    import CSystemd
#endif
import Glibc

/// Where the daemon writes what an operator would search for: the journal, or else standard error.
///
/// An entry goes to the journal, with its fields, if standard error is connected to it; someone who sees
/// the daemon's standard error elsewhere sees the same entries there, as text.
/// What cannot be written is lost: nobody's lock waits for a log.
public struct Journal: Sendable {
    /// Entries that matter less are passed over.
    public var level: LogLevel
    /// Stands before every line of text; the journal knows it by itself.
    private let program: String
    private let destination: Destination

    private enum Destination {
        case journal
        case standardError
    }

    public init(program: String, level: LogLevel) {
        self.program = program
        self.level = level
        destination = Self.standardErrorIsJournal ? .journal : .standardError
    }

    /// Writes it, if it matters enough.
    public func write(_ entry: JournalEntry) {
        guard entry.level <= level else { return }
        switch destination {
        case .journal: send(entry)
        case .standardError: Self.print("\(program): \(entry)\n")
        }
    }

    /// Writes an entry without fields.
    public func write(_ level: LogLevel, _ message: String) {
        write(JournalEntry(level, message))
    }

    private static func print(_ line: String) {
        var line = line
        // In one piece, so that lines of several processes do not mix.
        line.withUTF8 { bytes in _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
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

        private func send(_ entry: JournalEntry) {
            var lines = ["MESSAGE=\(entry.message)", "PRIORITY=\(entry.level.rawValue)"]
            if let event = entry.event { lines.append("MESSAGE_ID=\(event.messageID)") }
            lines += entry.fields.map { "\($0.name)=\($0.value)" }

            // Each field is a piece of one buffer, for the pointers must all be good at once.
            var text = lines.joined()
            text.withUTF8 { bytes in
                var rest = UnsafeMutableRawBufferPointer(
                    mutating: UnsafeRawBufferPointer(bytes))[...]
                let pieces = lines.map { line in
                    let length = line.utf8.count
                    defer { rest = rest.dropFirst(length) }
                    return iovec(
                        iov_base: UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress, iov_len: length)
                }
                _ = sd_journal_sendv(pieces, Int32(pieces.count))
            }
        }
    #else
        private static var standardErrorIsJournal: Bool { false }

        private func send(_ entry: JournalEntry) {}
    #endif
}
