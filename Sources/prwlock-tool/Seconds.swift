import ArgumentParser

/// A time on the command line: seconds with or without a fraction, or with a unit.
///
/// `5`, `0.25`, `.007`, `250ms`, `5s`, `2m`, `1.5h`. Digits beyond a nanosecond are passed over.
struct Seconds: ExpressibleByArgument {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && ($0.isWholeNumber || $0 == ".") }
        let nanosecondsPerUnit: Int64
        switch argument.dropFirst(digits.count) {
        case "", "s": nanosecondsPerUnit = 1_000_000_000
        case "ms": nanosecondsPerUnit = 1_000_000
        case "m": nanosecondsPerUnit = 60_000_000_000
        case "h": nanosecondsPerUnit = 3_600_000_000_000
        default: return nil
        }
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count > 1 ? parts[1] : ""
        guard let whole = parts.first, whole.count + fraction.count > 0, !fraction.contains(".") else {
            return nil
        }
        guard let units = whole.isEmpty ? 0 : Int64(whole), units <= Self.longest / nanosecondsPerUnit else {
            return nil
        }
        var nanoseconds = units * nanosecondsPerUnit
        var place = nanosecondsPerUnit
        for digit in fraction {
            place /= 10
            nanoseconds += place * Int64(digit.wholeNumberValue ?? 0)
        }
        duration = .nanoseconds(nanoseconds)
    }

    /// A hundred years of 365 days, the longest that the daemon takes.
    private static let longest: Int64 = 876_000 * 3_600_000_000_000

    var defaultValueDescription: String { "\(duration.components.seconds)" }
}
