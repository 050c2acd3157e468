import LockVocabulary
import Testing

@Suite("Buckets of times") struct TimeBucketsTests {
    @Test("a time is in the first bucket with a bound that is not below it")
    func buckets() {
        let bounds = (0..<TimeBuckets.count).map { TimeBuckets.bound(of: $0) ?? .max }
        #expect(bounds.prefix(3) == [16, 64, 256])
        #expect(bounds.suffix(2) == [1_073_741_824, .max])
        let edges = bounds.dropLast().flatMap { [$0 - 1, $0, $0 + 1] }
        for time in [-1, 0, 1, .max] + edges {
            var buckets = TimeBuckets()
            buckets.add(time)
            let filled = (0..<TimeBuckets.count).filter { buckets[$0] > 0 }
            #expect(filled == [bounds.firstIndex { time <= $0 } ?? -1], "\(time)")
        }
    }

    @Test("a time that counts several times is in the count and in the total as often")
    func times() {
        var buckets = TimeBuckets()
        buckets.add(20)
        buckets.add(5, times: 16)
        #expect(buckets.all == 17 && buckets.total == 100)
        #expect(buckets[0] == 16 && buckets[1] == 1)
    }
}
