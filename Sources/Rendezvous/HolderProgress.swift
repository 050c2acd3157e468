import Glibc
import Posix

/// Detects that the process that holds a lock file makes no progress.
///
/// A client that starts a daemon holds the lock file until it listens: for milliseconds, or on a loaded host for
/// seconds. So elapsed time alone proves nothing. A process makes progress if it is runnable or waits for a disk, or if
/// its count of context switches has changed since the last check; a new holder is progress too. A process that only
/// sleeps, or is stopped, makes none.
struct HolderProgress {
    private struct Sight: Equatable {
        var process: Int32?
        /// The kernel's two counters of context switches, as lines of text.
        var switches: [String] = []
    }

    /// How long a known holder may make no progress. A holder that the kernel does not report has `patienceUnseen`.
    private static let patience = Duration.milliseconds(1_500)
    private static let patienceUnseen = Duration.seconds(5)

    /// One check costs as much as some hundred attempts to lock the file.
    private static let interval = Duration.milliseconds(100)

    private let path: String
    private var sight = Sight()
    private var end = Deadline(after: patienceUnseen)
    private var nextLook = Deadline(after: .zero)

    init(at path: String) { self.path = path }

    /// Checks the holder if `interval` has passed; true if it has made no progress for too long.
    mutating func isStalled() -> Bool {
        guard nextLook.isOver else { return false }
        nextLook = Deadline(after: Self.interval)
        let process = FileLock.holder(at: path)?.id
        let (state, switches) = process.map(Self.state) ?? (nil, [])
        let now = Sight(process: process, switches: switches)
        if now != sight || state == "R" || state == "D" {
            sight = now
            end = Deadline(after: process == nil ? Self.patienceUnseen : Self.patience)
        }
        return end.isOver
    }

    private static func state(of process: Int32) -> (Substring?, [String]) {
        guard let bytes = try? FileContents.read("/proc/\(process)/status", limit: 65_536) else {
            return (nil, [])
        }
        let text = String(decoding: bytes, as: UTF8.self)
        var (state, switches): (Substring?, [String]) = (nil, [])
        for line in text.split(separator: "\n") {
            if line.hasPrefix("State:") { state = line.split(separator: "\t").dropFirst().first?.prefix(1) }
            if line.contains("ctxt_switches:") { switches.append(String(line)) }
        }
        return (state, switches)
    }
}
