import CLinux
import Glibc

/// A timer that a thread polls together with sockets (`timerfd` on `CLOCK_BOOTTIME`).
///
/// It fires on time also if the machine has slept. The timeout of `poll(2)` does not: it counts only the time awake.
public struct BootTimer: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    public init() throws(SystemError) {
        descriptor = try OwnedDescriptor(checking: "timerfd_create") {
            timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
        }
    }

    /// The descriptor's number. It is readable when the timer has fired, until it is set again.
    public var rawValue: Int32 { descriptor.rawValue }

    /// Lets the timer fire at this deadline, and no more at the one before.
    public borrowing func set(to deadline: Deadline) {
        var time = itimerspec()
        if deadline != .never {
            // Zero would switch it off.
            let nanoseconds = max(1, deadline.nanoseconds)
            time.it_value.tv_sec = Int(nanoseconds / 1_000_000_000)
            time.it_value.tv_nsec = Int(nanoseconds % 1_000_000_000)
        }
        timerfd_settime(descriptor.rawValue, Int32(TFD_TIMER_ABSTIME), &time, nil)
    }
}
