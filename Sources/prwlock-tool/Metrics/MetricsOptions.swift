import ArgumentParser

/// The options of `stats` for programs that collect metrics.
struct MetricsOptions: ParsableArguments {
    @Flag(name: .customLong("openmetrics"), help: "Print metrics in the format OpenMetrics 1.0.")
    var isOpenMetrics = false

    @Flag(
        name: .customLong("prometheus"),
        help: "Print metrics in the older text format, for node_exporter's textfile collector.")
    var isPrometheus = false

    @Option(
        name: .customLong("locks"),
        help: ArgumentHelp(
            "The most locks that have metrics of their own; 0 for none, \(Self.usualLocks) without it.",
            valueName: "number"))
    var lockLimit: Int?

    @Option(
        name: .customLong("output"),
        help: ArgumentHelp("Replace this file with the metrics as a whole.", valueName: "path"),
        completion: .file())
    var file: ByteString?

    @Flag(
        name: .customLong("http"),
        help: "Answer one request of HTTP for /metrics, on standard input and output.")
    var isHTTP = false

    func validate() throws {
        if isOpenMetrics, isPrometheus {
            throw ValidationError("--openmetrics and --prometheus exclude each other")
        }
        if format == nil, lockLimit != nil || file != nil || isHTTP {
            throw ValidationError("--locks, --output and --http are for --openmetrics or --prometheus")
        }
        if isHTTP, file != nil { throw ValidationError("--http and --output exclude each other") }
        if let file, file.text == nil {
            throw ValidationError("--output: the path '\(file.shown)' is not UTF-8")
        }
        guard (0...Self.mostLocks).contains(locks) else {
            throw ValidationError("--locks is a number from 0 to \(Self.mostLocks)")
        }
    }

    /// Each lock adds series to the collector, which stay there after the lock is forgotten.
    private static let mostLocks = 1000
    private static let usualLocks = 20

    /// Nil if the caller wants no metrics.
    var format: MetricFormat? { isOpenMetrics ? .openMetrics : isPrometheus ? .prometheus : nil }

    var locks: Int { lockLimit ?? Self.usualLocks }

    var output: MetricsOutput {
        if isHTTP { return .http }
        return file?.text.map(MetricsOutput.file) ?? .standard
    }
}
