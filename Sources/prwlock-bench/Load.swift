import CBench

/// A histogram of durations in nanoseconds, in memory that forked processes share.
final class Histogram {
    let raw: OpaquePointer

    init() { raw = bench_histogram_create() }

    deinit { bench_histogram_free(raw) }

    var count: Int { Int(bench_histogram_count(raw)) }

    func record(_ duration: Duration) { bench_histogram_record(raw, duration.nanoseconds) }

    /// The least duration that this share of all durations does not exceed.
    func quantile(_ share: Double) -> Double { Double(bench_histogram_quantile(raw, share)) }
}

/// A sequence of requests as bytes, each with the first byte of a correct answer.
final class Script {
    let raw: OpaquePointer

    init() { raw = bench_script_create() }

    deinit { bench_script_free(raw) }

    func add(_ exchange: (request: String, answer: String)) throws {
        guard let expected = exchange.answer.unicodeScalars.first else { return }
        try add(exchange.request, answered: expected)
    }

    func add(_ request: String, answered expected: Unicode.Scalar) throws {
        let expectation = CChar(truncatingIfNeeded: expected.value)
        try check(bench_script_add(raw, request, request.utf8.count, expectation), "script")
    }
}

/// Connections to one server. Each of them repeats its script.
final class Load {
    private let raw: OpaquePointer
    private var scripts: [Script] = []
    private let server: String

    init(of server: String) {
        self.server = server
        raw = bench_load_create()
    }

    deinit { bench_load_free(raw) }

    func connect(to path: String, _ script: Script) throws {
        scripts.append(script)
        try check(bench_load_connect(raw, path, script.raw), "\(server): connect to \(path)")
    }

    /// The number of answers so far.
    var answers: Int { Int(bench_load_answers(raw)) }

    /// Sends one request at a time on the first connection.
    func roundTrips(for duration: Duration, into histogram: Histogram) throws {
        try check(bench_load_round_trips(raw, duration.nanoseconds, histogram.raw), server)
        try checkAnswers()
    }

    /// Sends `depth` requests in one write on every connection, and the next batch when all are answered.
    func batches(of depth: Int, for duration: Duration, into histogram: Histogram) throws {
        try check(bench_load_batches(raw, depth, duration.nanoseconds, .max, histogram.raw), server)
        try checkAnswers()
    }

    /// Sends `count` such batches on each connection, without a time limit.
    func batches(of depth: Int, count: Int) throws {
        let histogram = Histogram()
        try check(bench_load_batches(raw, depth, .max / 2, UInt64(count), histogram.raw), server)
        try checkAnswers()
    }

    /// Refusals are fast, so a server that refuses requests must not be measured.
    private func checkAnswers() throws {
        let surprises = bench_load_surprises(raw)
        if surprises > 0 {
            throw Failure("\(server): \(surprises) of \(answers) answers were not as expected")
        }
    }
}

extension Duration {
    static func now() -> Duration { .nanoseconds(bench_now()) }

    var nanoseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000) }

    var inSeconds: Double { Double(nanoseconds) / 1e9 }
}
