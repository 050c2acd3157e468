/// The unit of a number, which decides its format.
enum Unit: String {
    case nanoseconds = "ns"
    case bytes = "bytes"
    case perSecond = "/s"
    case count
    case ratio

    /// The number for readers: three digits and a unit.
    func text(_ value: Double) -> String {
        switch self {
        case .nanoseconds: Self.scaled(value, [(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1, " ns")])
        case .bytes: Self.scaled(value, [(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")])
        case .perSecond: Self.scaled(value, [(1e6, " M/s"), (1e3, " k/s"), (1, " /s")])
        case .count: "\(Int(value))"
        case .ratio: Self.rounded(value, places: 2)
        }
    }

    private static func scaled(_ value: Double, _ steps: [(size: Double, suffix: String)]) -> String {
        let step = steps.first { value >= $0.size } ?? steps[steps.count - 1]
        let number = value / step.size
        return rounded(number, places: number < 10 ? 2 : number < 100 ? 1 : 0) + step.suffix
    }

    private static func rounded(_ value: Double, places: Int) -> String {
        let factor = [1, 10, 100][places]
        let whole = Int((value * Double(factor)).rounded())
        if places == 0 { return "\(whole)" }
        let rest = "\(whole % factor)"
        return "\(whole / factor).\(String(repeating: "0", count: places - rest.count))\(rest)"
    }
}

/// One measured quantity of one server, with one value for each run.
struct Figure {
    let label: String
    let unit: Unit
    let runs: [Double]

    init(_ label: String, _ unit: Unit, _ runs: [Double]) {
        self.label = label
        self.unit = unit
        self.runs = runs
    }

    var median: Double { runs.median }
}

/// The figures of one server or other subject.
struct Row {
    let subject: String
    let figures: [Figure]
}

/// A bound that the daemon promises for a figure, or for its ratio to another figure of the same run.
struct Claim {
    enum Bound: String {
        case atMost = "at most"
        case atLeast = "at least"
    }

    let text: String
    let unit: Unit
    let bound: Bound
    let limit: Double
    let runs: [Double]

    init(_ text: String, _ bound: Bound, _ limit: Double, in unit: Unit = .ratio, runs: [Double]) {
        self.text = text
        self.unit = unit
        self.bound = bound
        self.limit = limit
        self.runs = runs
    }

    var measured: Double { runs.median }

    var holds: Bool { bound == .atMost ? measured <= limit : measured >= limit }
}

/// The result of a scenario.
struct Outcome {
    let rows: [Row]
    let claims: [Claim]
    /// Comparisons of equal servers: the distance of these ratios from 1 is the noise of the machine.
    var noise: [Figure] = []
}

extension [Double] {
    /// The middle value; the upper one of two.
    var median: Double { isEmpty ? .nan : sorted()[count / 2] }

    /// Each value divided by the other value of the same run.
    func ratios(to others: [Double]) -> [Double] { zip(self, others).map { $0 / $1 } }
}
