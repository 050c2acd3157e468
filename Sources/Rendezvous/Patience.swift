import Glibc
import Posix

/// A sequence of growing pauses between attempts, which ends at a deadline.
struct Patience {
    private let end: Deadline
    private var nextPause = Duration.milliseconds(1)

    init(until end: Deadline) { self.end = end }

    /// Sleeps, twice as long each time up to 20 ms; returns false if the deadline is over.
    mutating func pause() -> Bool {
        guard !end.isOver else { return false }
        let pause = min(nextPause, end.left ?? nextPause)
        usleep(UInt32(pause.attoseconds / 1_000_000_000_000))
        nextPause = min(nextPause * 2, .milliseconds(20))
        return true
    }
}
