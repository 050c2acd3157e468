import CBench
import Testing

@Suite("Percentiles of the benchmark")
struct HistogramTests {
    @Test("are exact to one percent, from a nanosecond to a minute")
    func precision() {
        for value: Int64 in [1, 127, 128, 255, 256, 257, 511, 512, 9_999, 1_000_003, 60_000_000_000] {
            let histogram = bench_histogram_create()
            defer { bench_histogram_free(histogram) }
            bench_histogram_record(histogram, value)
            let found = bench_histogram_quantile(histogram, 0.5)
            #expect(abs(found - value) * 100 <= value, "\(value) came back as \(found)")
        }
    }

    @Test("are the least that the share does not exceed")
    func ranks() {
        let histogram = bench_histogram_create()
        defer { bench_histogram_free(histogram) }
        for value: Int64 in 1...100 { bench_histogram_record(histogram, value) }
        #expect(bench_histogram_quantile(histogram, 0.5) == 50)
        #expect(bench_histogram_quantile(histogram, 0.99) == 99)
        #expect(bench_histogram_quantile(histogram, 1) == 100)
    }

    @Test("of nothing are zero")
    func empty() {
        let histogram = bench_histogram_create()
        defer { bench_histogram_free(histogram) }
        #expect(bench_histogram_quantile(histogram, 0.99) == 0)
    }
}
