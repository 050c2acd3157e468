import Glibc

/// Until when a wait may last: an instant of `BootClock`, or never.
///
/// A call takes one at its beginning and hands it to all that it waits for, so that waits after one another do not add
/// up.
public struct Deadline: Hashable, Comparable, Sendable {
    /// Nanoseconds of `BootClock`; `Int64.max` for never.
    public let nanoseconds: Int64

    public init(at nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The instant that is so long from now; never, if that is beyond the clock.
    public init(after duration: Duration) {
        let count = Int64(clamping: duration.attoseconds / 1_000_000_000)
        let (sum, isBeyond) = BootClock.now().addingReportingOverflow(count)
        self.init(at: isBeyond ? .max : sum)
    }

    /// A wait without end.
    public static let never = Deadline(at: .max)

    public var isOver: Bool { nanoseconds != .max && nanoseconds <= BootClock.now() }

    /// What is left, zero if it is over; nil for without end.
    public var left: Duration? {
        nanoseconds == .max ? nil : .nanoseconds(max(0, nanoseconds - BootClock.now()))
    }

    /// What is left, as `poll(2)` takes it: rounded up, so that it does not come back too early; -1 for without end.
    public var milliseconds: Int32 {
        guard nanoseconds != .max else { return -1 }
        let left = nanoseconds - BootClock.now()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }
}
