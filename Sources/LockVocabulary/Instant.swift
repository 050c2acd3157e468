/// A point in time on a clock that neither jumps nor stops (`CLOCK_BOOTTIME`), in nanoseconds.
///
/// The rules read no clock: each command takes the present instant.
public struct Instant: Hashable, Sendable, InstantProtocol, CustomStringConvertible {
    /// Nanoseconds since the start of the clock.
    public let nanoseconds: Int64

    /// The instant at this number of nanoseconds since the start of the clock.
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The start of the clock.
    public static let zero = Instant(nanoseconds: 0)

    /// The instant after a duration, or the last instant if it would be later.
    public func advanced(by duration: Duration) -> Instant {
        advanced(byNanoseconds: duration.wholeNanoseconds)
    }

    /// The instant after a number of nanoseconds, or the last instant if it would be later.
    public func advanced(byNanoseconds count: Int64) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(count)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// The time from this instant to another; negative if the other one is earlier.
    public func duration(to other: Instant) -> Duration {
        .nanoseconds(other.nanoseconds - nanoseconds)
    }

    /// The earlier of two instants; nil is never.
    @inlinable
    public static func earliest(_ one: Instant?, _ other: Instant?) -> Instant? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    /// Earlier before later.
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The nanoseconds, with their unit.
    public var description: String { "\(nanoseconds)ns" }
}

extension Duration {
    /// The whole nanoseconds of the duration, clamped to 64 bits.
    public var wholeNanoseconds: Int64 {
        // 10^9 is 2^9 times 5^9. Up to two hours, the shifted value fits in 64 bits, where division is ten times as fast.
        if attoseconds >= 0, let shifted = UInt64(exactly: attoseconds >> 9) {
            return Int64(shifted / 1_953_125)
        }
        return Int64(clamping: attoseconds / 1_000_000_000)
    }

    /// The whole milliseconds of the duration, clamped to 64 bits.
    public var wholeMilliseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000_000_000) }
}
