import LockVocabulary

/// The time that so many of a hundred times do not exceed, estimated from the counts of `TimeBuckets`.
struct Percentile {
    private let percent: Int

    /// - Parameter percent: 1 to 100.
    init(_ percent: Int) { self.percent = percent }

    /// The estimate; nil if nothing was counted.
    ///
    /// It takes the times of a bucket as spread evenly over the bucket, as `histogram_quantile` of Prometheus does, so a
    /// dashboard shows the same number. It can be wrong by the width of the bucket, in which the longest time is four
    /// times the shortest.
    ///
    /// - Parameter longest: the longest of all times: no estimate is longer.
    func value(in counts: [Int], longest: Duration) -> Duration? {
        let total = counts.reduce(0, +)
        guard total > 0 else { return nil }
        let rank = Double(total) * Double(percent) / 100
        var before = 0
        for (bucket, count) in counts.enumerated() where count > 0 {
            if Double(before + count) >= rank {
                let start = bucket == 0 ? 0 : TimeBuckets.bound(of: bucket - 1) ?? 0
                guard let end = TimeBuckets.bound(of: bucket) else { return longest }
                let part = (rank - Double(before)) / Double(count)
                return min(longest, .microseconds(Double(start) + part * Double(end - start)))
            }
            before += count
        }
        return longest
    }
}
