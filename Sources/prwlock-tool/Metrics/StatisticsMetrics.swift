/// The rows of one answer to `STATS`, as metrics.
struct StatisticsMetrics {
    private var values: [String: Int] = [:]
    /// The names that no metric has used yet, in the order of the daemon.
    private var unused: [String] = []
    private(set) var families: [MetricFamily] = []

    /// - Parameters:
    ///   - rows: the names and values of the rows, in the order of the daemon.
    ///   - version: the daemon's version; nil if it states none.
    init(_ rows: [(name: String, value: Int)], version: String?) {
        values = Dictionary(rows.map { ($0.name, $0.value) }) { first, _ in first }
        unused = rows.map(\.name)
        var buildLabels = version.map { [(name: "version", value: $0)] } ?? []
        for entry in MetricTable.entries {
            guard let value = take(entry.row) else { continue }
            switch entry.meaning {
            case .value: add(entry.family, [MetricSample(value: MetricValue(value))])
            case .milliseconds:
                add(entry.family, [MetricSample(value: MetricValue(microseconds: value * 1000))])
            case .histogram(let sum, let buckets):
                add(entry.family, samples(count: value, sum: take(sum) ?? 0, buckets: buckets))
            case .buildLabel(let label): buildLabels.append((label, String(value)))
            case .omitted: break
            }
        }
        add(MetricTable.build, [MetricSample(labels: buildLabels, value: MetricValue(1))])
        let others = unused.map { MetricSample(labels: [("row", $0)], value: MetricValue(values[$0] ?? 0)) }
        add(MetricTable.other, others)
    }

    private mutating func add(_ family: MetricFamily?, _ samples: [MetricSample]) {
        guard var family else { return }
        family.samples = samples
        families.append(family)
    }

    private mutating func take(_ row: String) -> Int? {
        unused.removeAll { $0 == row }
        return values[row]
    }

    /// The samples of a histogram. The daemon's buckets count all that is not longer, as those of a scraper do.
    private mutating func samples(count: Int, sum: Int, buckets prefix: String) -> [MetricSample] {
        let bounds = unused.compactMap { name -> (name: String, microseconds: Int)? in
            guard name.hasPrefix(prefix), name.hasSuffix("us") else { return nil }
            return Int(name.dropFirst(prefix.count).dropLast(2)).map { (name, $0) }
        }
        var samples = bounds.sorted { $0.microseconds < $1.microseconds }.map { bound in
            MetricSample(
                suffix: "_bucket", labels: [("le", Self.bound(bound.microseconds))],
                value: MetricValue(take(bound.name) ?? 0))
        }
        samples.append(MetricSample(suffix: "_bucket", labels: [("le", "+Inf")], value: MetricValue(count)))
        samples.append(MetricSample(suffix: "_count", value: MetricValue(count)))
        samples.append(MetricSample(suffix: "_sum", value: MetricValue(microseconds: sum)))
        return samples
    }

    /// The bound of a bucket in seconds. Scrapers compare it as text, so it must have the notation that OpenMetrics calls
    /// canonical: the shortest digits that name this binary fraction, with an exponent below 0.0001.
    private static func bound(_ microseconds: Int) -> String { "\(Double(microseconds) / 1_000_000)" }
}
