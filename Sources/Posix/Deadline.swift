import Glibc

/// The end of a wait: an instant of `BootClock`, or never.
///
/// A call makes one deadline at its beginning and passes it to every wait, so that successive waits do not add up.
public struct Deadline: Hashable, Comparable, Sendable {
    /// Nanoseconds of `BootClock`; `Int64.max` for never.
    public let nanoseconds: Int64

    public init(at nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The instant at this distance from now; never, if that is beyond the clock's range.
    public init(after duration: Duration) {
        let count = Int64(clamping: duration.attoseconds / 1_000_000_000)
        let (sum, isBeyond) = BootClock.now().addingReportingOverflow(count)
        self.init(at: isBeyond ? .max : sum)
    }

    /// The deadline of a wait without end.
    public static let never = Deadline(at: .max)

    public var isOver: Bool { nanoseconds != .max && nanoseconds <= BootClock.now() }

    /// The time left, zero if the deadline is over; nil if there is no end.
    public var left: Duration? {
        nanoseconds == .max ? nil : .nanoseconds(max(0, nanoseconds - BootClock.now()))
    }

    /// The time left for `poll(2)`: rounded up, so that `poll` does not return too early; -1 if there is no end.
    public var milliseconds: Int32 {
        guard nanoseconds != .max else { return -1 }
        let left = nanoseconds - BootClock.now()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }
}
