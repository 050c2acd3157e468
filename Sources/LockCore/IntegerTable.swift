/// A hash table from 64-bit keys that this program made itself to small values.
///
/// Open addressing with linear probing and deletion by moving back (Knuth, The Art of Computer Programming,
/// volume 3, section 6.4, algorithms L and R), behind a multiplicative hash. The table is cut into segments
/// by the first bits of the hash, and each grows by itself: no insertion pays for moving more than its segment.
///
/// Keys are places and tokens, never bytes that a client chose, so the hash needs no secret.
///
/// Invariants, for each segment:
/// 1. The capacity is zero or a power of two, and at most three quarters are used.
/// 2. From a key's home to its place there is no empty place.
struct IntegerTable<Value> {
    private struct Segment {
        var keys: [UInt64] = []
        var values: [Value] = []
        var count = 0
    }

    /// No key is this.
    private static var empty: UInt64 { .max }
    private static var segmentBits: UInt64 { 8 }
    private static var smallest: Int { 8 }

    private var segments: [Segment]
    private let vacant: Value
    private(set) var count = 0

    init(vacant: Value) {
        self.vacant = vacant
        segments = Array(repeating: Segment(), count: 1 << Int(Self.segmentBits))
    }

    subscript(key: UInt64) -> Value? {
        let hash = Self.hash(key)
        let segment = Int(hash >> (64 - Self.segmentBits))
        guard let place = find(key, hash, in: segment) else { return nil }
        return segments[segment].values[place]
    }

    /// Changes the value of a key, which begins as `vacant`, and drops the key if the change says so.
    mutating func update(_ key: UInt64, _ change: (inout Value) -> Bool) {
        let hash = Self.hash(key)
        let segment = Int(hash >> (64 - Self.segmentBits))
        if let place = find(key, hash, in: segment) {
            if !change(&segments[segment].values[place]) { remove(at: place, in: segment) }
        } else {
            var value = vacant
            if change(&value) { insert(key, hash, value, in: segment) }
        }
    }

    mutating func set(_ key: UInt64, to value: Value) {
        update(key) {
            $0 = value
            return true
        }
    }

    mutating func remove(_ key: UInt64) {
        update(key) { _ in false }
    }

    private static func hash(_ key: UInt64) -> UInt64 {
        // 2^64 divided by the golden ratio; folded first, as the product's high bits hardly see the key's.
        (key ^ (key >> 29)) &* 0x9E37_79B9_7F4A_7C15
    }

    /// Where a key would stand if no other stood there. The segment has used up the first bits of the hash.
    private static func home(_ hash: UInt64, capacity: Int) -> Int {
        Int((hash << segmentBits) >> UInt64(64 - capacity.trailingZeroBitCount))
    }

    private func find(_ key: UInt64, _ hash: UInt64, in segment: Int) -> Int? {
        let capacity = segments[segment].keys.count
        guard capacity > 0 else { return nil }
        var place = Self.home(hash, capacity: capacity)
        while true {
            let found = segments[segment].keys[place]
            if found == key { return place }
            if found == Self.empty { return nil }
            place = (place + 1) & (capacity - 1)
        }
    }

    private mutating func insert(_ key: UInt64, _ hash: UInt64, _ value: Value, in segment: Int) {
        let capacity = segments[segment].keys.count
        if (segments[segment].count + 1) * 4 > capacity * 3 {
            resize(segment, to: max(Self.smallest, capacity * 2))
        }
        place(key, hash, value, in: segment)
        segments[segment].count += 1
        count += 1
    }

    private mutating func place(_ key: UInt64, _ hash: UInt64, _ value: Value, in segment: Int) {
        let capacity = segments[segment].keys.count
        var place = Self.home(hash, capacity: capacity)
        while segments[segment].keys[place] != Self.empty { place = (place + 1) & (capacity - 1) }
        segments[segment].keys[place] = key
        segments[segment].values[place] = value
    }

    private mutating func remove(at place: Int, in segment: Int) {
        let capacity = segments[segment].keys.count
        var hole = place
        var next = place
        while true {
            next = (next + 1) & (capacity - 1)
            let key = segments[segment].keys[next]
            if key == Self.empty { break }
            let home = Self.home(Self.hash(key), capacity: capacity)
            // The key may move into the hole unless its home lies between the hole and where it stands.
            if (next &- home) & (capacity - 1) >= (next &- hole) & (capacity - 1) {
                segments[segment].keys[hole] = key
                segments[segment].values[hole] = segments[segment].values[next]
                hole = next
            }
        }
        segments[segment].keys[hole] = Self.empty
        segments[segment].values[hole] = vacant
        segments[segment].count -= 1
        count -= 1
        if capacity > Self.smallest, segments[segment].count * 8 < capacity {
            resize(segment, to: capacity / 4 < Self.smallest ? Self.smallest : capacity / 4)
        }
    }

    private mutating func resize(_ segment: Int, to capacity: Int) {
        let old = segments[segment]
        segments[segment].keys = Array(repeating: Self.empty, count: capacity)
        segments[segment].values = Array(repeating: vacant, count: capacity)
        for (key, value) in zip(old.keys, old.values) where key != Self.empty {
            place(key, Self.hash(key), value, in: segment)
        }
    }
}
