import LockVocabulary
import Posix

/// Until when one waits.
struct Deadline {
    private let end: Instant

    init(after duration: Duration) {
        end = Instant(nanoseconds: BootClock.now()).advanced(by: duration)
    }

    var isOver: Bool { end <= Instant(nanoseconds: BootClock.now()) }

    /// What is left, as `poll(2)` takes it: rounded up, so that it does not come back too early.
    var milliseconds: Int32 {
        let left = end.nanoseconds - BootClock.now()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }
}
