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
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    public func duration(to other: Instant) -> Duration {
        .nanoseconds(other.nanoseconds - nanoseconds)
    }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    public var description: String { "\(nanoseconds)ns" }
}

extension Duration {
    /// The duration in nanoseconds, cut off below and held to what 64 bits can say.
    public var wholeNanoseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000) }

    /// The duration in milliseconds, cut off below and held to what 64 bits can say.
    public var wholeMilliseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000_000_000) }
}
