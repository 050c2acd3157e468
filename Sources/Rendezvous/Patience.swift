import Glibc
import Posix

/// How long to go on trying, with pauses that grow.
struct Patience {
    private let end: Deadline
    private var nextPause = Duration.milliseconds(1)

    init(until end: Deadline) { self.end = end }

    /// Sleeps for a moment, longer each time; false if the time is over already.
    mutating func pause() -> Bool {
        guard !end.isOver else { return false }
        let pause = min(nextPause, end.left ?? nextPause)
        usleep(UInt32(pause.attoseconds / 1_000_000_000_000))
        nextPause = min(nextPause * 2, .milliseconds(20))
        return true
    }
}
