/// A hash table from 64-bit keys that this program made itself to small values.
///
/// The table is cut into segments by the first bits of the hash, and each grows by itself: no insertion pays for
/// moving more than its segment. Keys are places and tokens, never bytes that a client chose, so the hash needs
/// no secret.
struct IntegerTable<Value> {
    private static var segmentBits: UInt64 { 8 }

    private var segments: [Segment<Value>]
    private let vacant: Value
    private(set) var count = 0

    init(vacant: Value) {
        self.vacant = vacant
        segments = Array(repeating: Segment(), count: 1 << Int(Self.segmentBits))
    }

    subscript(key: UInt64) -> Value? {
        let hash = Self.hash(key)
        return segments[Self.segment(hash)].value(key, hash << Self.segmentBits)
    }

    /// Changes the value of a key, which begins as `vacant`, and drops the key if the change says so.
    @inline(__always)
    mutating func update(_ key: UInt64, _ change: (inout Value) -> Bool) {
        let hash = Self.hash(key)
        count += segments[Self.segment(hash)].update(key, hash << Self.segmentBits, vacant, change)
    }

    @inline(__always)
    mutating func set(_ key: UInt64, to value: Value) {
        update(key) {
            $0 = value
            return true
        }
    }

    @inline(__always)
    mutating func remove(_ key: UInt64) {
        update(key) { _ in false }
    }

    @inline(__always)
    fileprivate static func hash(_ key: UInt64) -> UInt64 {
        // 2^64 divided by the golden ratio; folded first, as the product's high bits hardly see the key's.
        (key ^ (key >> 29)) &* 0x9E37_79B9_7F4A_7C15
    }

    @inline(__always)
    private static func segment(_ hash: UInt64) -> Int { Int(hash >> (64 - segmentBits)) }

    /// Where a key's place in its segment comes from: what is left of the hash.
    fileprivate static func rest(_ key: UInt64) -> UInt64 { hash(key) << segmentBits }
}

/// A part of a table: open addressing with linear probing, and deletion by moving back (Knuth, The Art of Computer
/// Programming, volume 3, section 6.4, algorithms L and R), behind a multiplicative hash.
///
/// Invariants:
/// 1. The capacity is zero or a power of two, and at most three quarters are used.
/// 2. From a key's home to its place there is no empty place.
private struct Segment<Value> {
    private struct Entry {
        var key: UInt64
        var value: Value
    }

    /// No key is this.
    private static var empty: UInt64 { .max }
    private static var smallest: Int { 8 }

    private var entries: [Entry] = []
    private var count = 0

    init() {}

    func value(_ key: UInt64, _ hash: UInt64) -> Value? {
        guard !entries.isEmpty else { return nil }
        let place = place(of: key, hash)
        return entries[place].key == key ? entries[place].value : nil
    }

    /// Changes, inserts or drops a value; returns by how much the number of keys grew.
    @inline(__always)
    mutating func update(
        _ key: UInt64, _ hash: UInt64, _ vacant: Value, _ change: (inout Value) -> Bool
    ) -> Int {
        if !entries.isEmpty {
            let place = place(of: key, hash)
            if entries[place].key == key {
                if change(&entries[place].value) { return 0 }
                remove(at: place, vacant)
                return -1
            }
        }
        var value = vacant
        guard change(&value) else { return 0 }
        insert(Entry(key: key, value: value), hash, vacant)
        return 1
    }

    /// Where a key stands, or the empty place where it would.
    private func place(of key: UInt64, _ hash: UInt64) -> Int {
        var place = home(hash)
        while true {
            let found = entries[place].key
            if found == key || found == Self.empty { return place }
            place = (place + 1) & (entries.count - 1)
        }
    }

    /// Where a key would stand if no other stood there.
    private func home(_ hash: UInt64) -> Int {
        Int(hash >> UInt64(64 - entries.count.trailingZeroBitCount))
    }

    private mutating func insert(_ entry: Entry, _ hash: UInt64, _ vacant: Value) {
        if (count + 1) * 4 > entries.count * 3 { resize(to: max(Self.smallest, entries.count * 2), vacant) }
        entries[place(of: entry.key, hash)] = entry
        count += 1
    }

    private mutating func remove(at place: Int, _ vacant: Value) {
        let mask = entries.count - 1
        var hole = place
        var next = place
        while true {
            next = (next + 1) & mask
            let key = entries[next].key
            if key == Self.empty { break }
            // The key may move into the hole unless its home lies between the hole and where it stands.
            let home = home(IntegerTable<Value>.rest(key))
            if (next &- home) & mask >= (next &- hole) & mask {
                entries[hole] = entries[next]
                hole = next
            }
        }
        entries[hole] = Entry(key: Self.empty, value: vacant)
        count -= 1
        if entries.count > Self.smallest, count * 8 < entries.count {
            resize(to: max(Self.smallest, entries.count / 4), vacant)
        }
    }

    private mutating func resize(to capacity: Int, _ vacant: Value) {
        let old = entries
        entries = Array(repeating: Entry(key: Self.empty, value: vacant), count: capacity)
        for entry in old where entry.key != Self.empty {
            entries[place(of: entry.key, IntegerTable<Value>.rest(entry.key))] = entry
        }
    }
}
