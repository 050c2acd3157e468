import Glibc
import Posix

/// How long one goes on trying, with pauses that grow.
struct Patience {
    private let end: Int64
    private var nextPause = Duration.milliseconds(1)

    init(_ duration: Duration) {
        let nanoseconds = Int64(clamping: duration.attoseconds / 1_000_000_000)
        end = BootClock.now().addingReportingOverflow(nanoseconds).partialValue
    }

    /// What is left, as `poll(2)` takes it: rounded up, so that it does not come back too early.
    var milliseconds: Int32 {
        let left = end - BootClock.now()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }

    /// Sleeps for a moment, longer each time; false if the time is over already.
    mutating func pause() -> Bool {
        guard end > BootClock.now() else { return false }
        usleep(UInt32(nextPause.attoseconds / 1_000_000_000_000))
        nextPause = min(nextPause * 2, .milliseconds(20))
        return true
    }
}
