import LockVocabulary
import Posix

extension Instant {
    /// What time it is.
    static var now: Instant { Instant(nanoseconds: BootClock.now()) }
}

/// Until when one waits.
struct Deadline {
    private let end: Instant

    init(after duration: Duration) { end = Instant.now.advanced(by: duration) }

    var isOver: Bool { end <= .now }

    /// What is left, as `poll(2)` takes it: rounded up, so that it does not come back too early.
    var milliseconds: Int32 {
        let left = end.nanoseconds - Instant.now.nanoseconds
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }
}
