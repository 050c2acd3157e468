import LockVocabulary

/// The spelling of durations: a whole number and `ms`, `s`, `m` or `h`, or `0`.
enum DurationSpelling {
    /// The longest duration, a hundred years of 365 days: 876000h.
    static let longest: Duration = .milliseconds(longestMilliseconds)

    private static let longestMilliseconds: UInt64 = 876_000 * 3_600_000

    /// The duration that is spelled so; nil if none is, or it is longer than the longest.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> Duration? {
        var digits = bytes.count
        while digits > 0, bytes[digits - 1] &- UInt8(ascii: "0") > 9 { digits -= 1 }
        guard let number = bytes.part(0, digits).decimal() else { return nil }
        let unit = bytes.part(digits, bytes.count)
        let millisecondsPerUnit: UInt64
        switch unit.count {
        case 0 where bytes.count == 1 && number == 0: return .zero
        case 2 where unit.spells("ms"): millisecondsPerUnit = 1
        case 1 where unit[0] == UInt8(ascii: "s"): millisecondsPerUnit = 1000
        case 1 where unit[0] == UInt8(ascii: "m"): millisecondsPerUnit = 60_000
        case 1 where unit[0] == UInt8(ascii: "h"): millisecondsPerUnit = 3_600_000
        default: return nil
        }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: millisecondsPerUnit)
        guard !overflow, milliseconds <= longestMilliseconds else { return nil }
        return .milliseconds(milliseconds)
    }

    /// The limit that is spelled so, `forever` too; nil if none is.
    static func parseLimit(_ bytes: UnsafeRawBufferPointer) -> TimeLimit? {
        if bytes.spells("forever") { return .forever }
        return parse(bytes).map(TimeLimit.upTo)
    }
}

extension LineWriter {
    /// A duration as a number of milliseconds, cut off below.
    mutating func put(milliseconds duration: Duration) {
        put(UInt64(clamping: duration.wholeMilliseconds))
        put("ms")
    }

    /// A duration exactly, in whole seconds if it is so many, else in milliseconds.
    mutating func put(exact duration: Duration) {
        let milliseconds = UInt64(clamping: duration.wholeMilliseconds)
        if milliseconds > 0, milliseconds.isMultiple(of: 1000) {
            put(milliseconds / 1000)
            put("s")
        } else {
            put(milliseconds)
            put("ms")
        }
    }

    /// A duration as a person wants to know it: whole seconds from one second on, below it milliseconds.
    mutating func put(rough duration: Duration) {
        let milliseconds = UInt64(clamping: duration.wholeMilliseconds)
        put(milliseconds >= 1000 ? milliseconds / 1000 : milliseconds)
        put(milliseconds >= 1000 ? "s" : "ms")
    }

    /// A limit exactly, `forever` if there is none.
    mutating func put(exact limit: TimeLimit) {
        switch limit {
        case .upTo(let duration): put(exact: duration)
        case .forever: put("forever")
        }
    }

    /// A limit as a client asks for it: never shorter than it is by rounding, never longer than may be asked for.
    mutating func put(asked limit: TimeLimit) {
        switch limit {
        case .upTo(let duration) where duration <= .zero: put("0")
        case .upTo(let duration):
            let roundedUp = duration + .nanoseconds(999_999)
            put(exact: min(roundedUp, DurationSpelling.longest))
        case .forever: put("forever")
        }
    }
}
