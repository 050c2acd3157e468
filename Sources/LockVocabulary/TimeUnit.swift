/// A unit of the durations that people and clients type: `ms`, `s`, `m` or `h`.
public enum TimeUnit: String, Sendable {
    /// `ms`
    case millisecond = "ms"
    /// `s`
    case second = "s"
    /// `m`
    case minute = "m"
    /// `h`
    case hour = "h"

    /// The unit that the bytes spell; nil if they spell none.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 2 where bytes[0] == UInt8(ascii: "m") && bytes[1] == UInt8(ascii: "s"): self = .millisecond
        case 1 where bytes[0] == UInt8(ascii: "s"): self = .second
        case 1 where bytes[0] == UInt8(ascii: "m"): self = .minute
        case 1 where bytes[0] == UInt8(ascii: "h"): self = .hour
        default: return nil
        }
    }

    /// The length of one, in milliseconds.
    public var milliseconds: Int64 {
        switch self {
        case .millisecond: 1
        case .second: 1_000
        case .minute: 60_000
        case .hour: 3_600_000
        }
    }

    /// The longest duration that any of the programs accepts, in milliseconds: 876000h, a hundred years of 365 days.
    public static let longestMilliseconds: Int64 = 876_000 * 3_600_000
}
