import CLinux
import Glibc
import LockVocabulary
import Posix

/// A timer that fires when the next deadline has come (`timerfd` on `CLOCK_BOOTTIME`, which counts the time asleep, G5;
/// Dispatch's own timers do not).
///
/// It is set only when a deadline comes up that is earlier than what it is set to. If the earliest deadline goes away,
/// it is left as it is and wakes the daemon once for nothing: that costs less than a call for every request.
struct DeadlineTimer: ~Copyable {
    private let descriptor: OwnedDescriptor
    /// When it fires; nil if it does not.
    private var setTo: Instant?

    init() throws(SystemError) {
        let number = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
        guard number >= 0 else { throw .last("timerfd_create") }
        descriptor = OwnedDescriptor(owning: number)
    }

    /// The descriptor's number, readable when it has fired.
    var rawValue: Int32 { descriptor.rawValue }

    /// Makes sure that it fires at the deadline at the latest.
    mutating func cover(_ deadline: Instant?) {
        guard let deadline, setTo.map({ deadline < $0 }) ?? true else { return }
        setTo = deadline
        // Zero would switch it off.
        let nanoseconds = max(1, deadline.nanoseconds)
        var time = itimerspec()
        time.it_value.tv_sec = Int(nanoseconds / 1_000_000_000)
        time.it_value.tv_nsec = Int(nanoseconds % 1_000_000_000)
        let result = timerfd_settime(descriptor.rawValue, Int32(TFD_TIMER_ABSTIME), &time, nil)
        precondition(result == 0, "the timer cannot be set")
    }

    /// Takes note that it has fired.
    mutating func acknowledge() {
        var count: UInt64 = 0
        // It may have been set anew since its source saw it fire; then it is left to fire again.
        guard read(descriptor.rawValue, &count, 8) == 8 else { return }
        setTo = nil
    }
}
