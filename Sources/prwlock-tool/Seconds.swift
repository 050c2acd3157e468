import ArgumentParser
import LockVocabulary

/// A duration on the command line: seconds, with or without a fraction, an exponent or a unit.
///
/// `5`, `0.25`, `.007`, `1e-1`, `250ms`, `5s`, `2m`, `1.5h`. Fractions of a nanosecond are dropped.
struct Seconds: ExpressibleByArgument {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let number = Decimal(argument) else { return nil }
        guard let unit = number.rest.isEmpty ? .second : TimeUnit(rawValue: String(number.rest)),
            let nanoseconds = number.multiplied(by: unit.milliseconds * 1_000_000),
            nanoseconds <= TimeUnit.longestMilliseconds * 1_000_000
        else { return nil }
        duration = .nanoseconds(nanoseconds)
    }

    var defaultValueDescription: String {
        let whole = duration.components.seconds
        return duration == .seconds(whole) ? "\(whole)" : "\(duration.wholeMilliseconds)ms"
    }
}

/// A decimal number, kept as its digits: `0.1` is a tenth and not the nearest binary fraction.
private struct Decimal {
    private var digits: [Int64] = []
    /// How many digits precede the point. The exponent can make it negative, or larger than the number of digits.
    private var point = 0
    /// The text after the number.
    let rest: Substring

    init?(_ text: String) {
        var rest = text[...]
        func takeDigits() -> [Int64] {
            let taken = rest.prefix { $0.isASCII && $0.isWholeNumber }
            rest = rest.dropFirst(taken.count)
            return taken.compactMap { $0.wholeNumberValue.map(Int64.init) }
        }
        let whole = takeDigits()
        digits = whole
        if rest.first == "." {
            rest = rest.dropFirst()
            digits += takeDigits()
        }
        guard !digits.isEmpty else { return nil }
        point = whole.count
        if rest.first == "e" || rest.first == "E" {
            rest = rest.dropFirst()
            let isNegative = rest.first == "-"
            if isNegative || rest.first == "+" { rest = rest.dropFirst() }
            let exponent = takeDigits()
            guard !exponent.isEmpty, exponent.count <= 4 else { return nil }
            let value = exponent.reduce(0) { $0 * 10 + Int($1) }
            point += isNegative ? -value : value
        }
        self.rest = rest
    }

    /// The product, rounded down; nil on overflow.
    func multiplied(by factor: Int64) -> Int64? {
        var product: Int64 = 0
        var place = factor
        // First the digits before the point, then those after it, each worth a tenth of the one before.
        for index in 0..<max(point, 0) {
            let digit = index < digits.count ? digits[index] : 0
            let (shifted, isTooLarge) = product.multipliedReportingOverflow(by: 10)
            let (sum, isTooLargeYet) = shifted.addingReportingOverflow(digit)
            guard !isTooLarge, !isTooLargeYet else { return nil }
            product = sum
        }
        let (scaled, isTooLarge) = product.multipliedReportingOverflow(by: factor)
        guard !isTooLarge else { return nil }
        product = scaled
        for _ in 0..<max(-point, 0) { place /= 10 }
        for digit in digits.dropFirst(max(point, 0)) {
            place /= 10
            let (sum, isTooLarge) = product.addingReportingOverflow(place * digit)
            guard !isTooLarge else { return nil }
            product = sum
        }
        return product
    }
}
