/// How often something took how long: a count for each of 15 buckets on a logarithmic scale, and the total.
///
/// Bucket 0 has the times of up to 16 µs, and each further one those of up to four times as long. The last bucket has all that
/// took longer than 1,073 s.
public struct TimeBuckets: Sendable {
    /// The number of buckets.
    public static var count: Int { 15 }

    @usableFromInline var counts = InlineArray<15, Int>(repeating: 0)
    @usableFromInline var sum = 0

    /// No times.
    public init() {}

    /// Counts a time in whole microseconds, so many times. Costs no division and no search.
    @inlinable @inline(__always)
    public mutating func add(_ microseconds: Int, times: Int = 1) {
        counts[Self.bucket(of: microseconds)] &+= times
        sum &+= microseconds &* times
    }

    /// The count of one bucket.
    public subscript(bucket: Int) -> Int { counts[bucket] }

    /// How many times were counted.
    public var all: Int { (0..<Self.count).reduce(0) { $0 + counts[$1] } }

    /// The sum of all times, in whole microseconds.
    public var total: Int { sum }

    /// The longest time of a bucket in microseconds; nil for the last one, which has no end.
    public static func bound(of bucket: Int) -> Int? { bucket < count - 1 ? 16 << (2 * bucket) : nil }

    /// The bucket of a time in microseconds.
    @inlinable @inline(__always)
    static func bucket(of microseconds: Int) -> Int {
        // The number of bits of the whole sixteenths: two for each bucket. A time of up to 16 µs has none.
        let sixteenths = max(0, microseconds &- 1) >> 4
        return min(14, (Int.bitWidth &- sixteenths.leadingZeroBitCount &+ 1) >> 1)
    }
}
