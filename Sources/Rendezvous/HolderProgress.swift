import Glibc
import Posix

/// Whether the process that holds a lock file gets on, or waits for something that may never come.
///
/// A client that starts a daemon holds the lock file for milliseconds until it listens. On a loaded host these may be
/// seconds, so it is not the time that counts: a process that is ready to run, waits for a disk, or has been switched to
/// or from since the last look, gets on; so does each new holder. One that sleeps all the time, or is stopped, does not.
struct HolderProgress {
    private struct Sight: Equatable {
        var process: Int32?
        /// How often it was switched to another process, by the kernel's count.
        var switches: [String] = []
    }

    /// How long a holder may do nothing; where the kernel does not tell the holder, each has longer.
    private static let patience = Duration.milliseconds(1_500)
    private static let patienceUnseen = Duration.seconds(5)

    /// A look costs as much as some hundred tries for the lock.
    private static let interval = Duration.milliseconds(100)

    private let path: String
    private var sight = Sight()
    private var end = Deadline(after: patienceUnseen)
    private var nextLook = Deadline(after: .zero)

    init(at path: String) { self.path = path }

    /// Looks again, if it is time; whether the holder has done nothing for too long.
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
