/// A point in time on a clock that neither jumps nor stops (`CLOCK_BOOTTIME`), in nanoseconds.
///
/// The rules never read a clock; whoever calls them says what time it is.
public struct Instant: Hashable, Sendable, InstantProtocol, CustomStringConvertible {
    /// Nanoseconds since the clock's own beginning, at the most about 292 years.
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = Instant(nanoseconds: 0)

    /// The instant a duration later; the last there is, if that is beyond it.
    public func advanced(by duration: Duration) -> Instant {
        advanced(byNanoseconds: duration.wholeNanoseconds)
    }

    /// The same, for a duration that is kept as a number of nanoseconds.
    public func advanced(byNanoseconds count: Int64) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(count)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    public func duration(to other: Instant) -> Duration {
        .nanoseconds(other.nanoseconds - nanoseconds)
    }

    /// The earlier of two instants, of which either may never come.
    @inlinable
    public static func earliest(_ one: Instant?, _ other: Instant?) -> Instant? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    public var description: String { "\(nanoseconds)ns" }
}

extension Duration {
    /// The duration in nanoseconds, cut off below and held to what 64 bits can say.
    public var wholeNanoseconds: Int64 {
        // 10^9 is 2^9 times 5^9: up to an hour, what is left after the shift divides as 64 bits, ten times as fast.
        if attoseconds >= 0, let shifted = UInt64(exactly: attoseconds >> 9) {
            return Int64(shifted / 1_953_125)
        }
        return Int64(clamping: attoseconds / 1_000_000_000)
    }

    /// The duration in milliseconds, cut off below and held to what 64 bits can say.
    public var wholeMilliseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000_000_000) }
}
