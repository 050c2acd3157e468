import LockVocabulary

/// The metrics of one name, as a scraper reads them.
///
/// Invariants:
/// 1. A family with a unit has a name that ends in the unit.
/// 2. No name is that of another family, in either format: `MetricTable` is the list of names.
struct MetricFamily {
    /// The types of OpenMetrics that this command prints.
    enum Kind: String {
        case counter, gauge, histogram, info, unknown
    }

    /// The units of OpenMetrics that this command prints.
    enum Unit: String {
        case bytes, seconds
    }

    /// The name without the suffix of a sample, such as `_total`.
    let name: String
    let kind: Kind
    var unit: Unit?
    /// What it counts or measures, in one sentence.
    let help: String
    var samples: [MetricSample] = []
}

/// One value of a family.
struct MetricSample {
    /// The part of the name that only this sample has, such as `_bucket`; empty for the suffix of the family's kind.
    var suffix = ""
    var labels: [(name: String, value: String)] = []
    let value: MetricValue
}

/// A number in a notation that loses nothing: a scraper reads it as the nearest binary fraction.
struct MetricValue: Equatable {
    let text: String

    init(_ count: Int) { text = String(count) }

    /// Seconds, with as many digits as are needed.
    init(microseconds: Int) {
        let (whole, fraction) = microseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
        var digits = String(fraction)
        digits = String(repeating: "0", count: 6 - digits.count) + digits
        while digits.last == "0" { digits.removeLast() }
        text = (microseconds < 0 ? "-" : "") + "\(whole)" + (digits.isEmpty ? "" : ".\(digits)")
    }

    /// Seconds, to the microsecond.
    init(_ duration: Duration) { self.init(microseconds: Int(duration.wholeNanoseconds / 1000)) }
}
