/// A hash table from 64-bit keys that this program made itself to small values.
///
/// The table is cut into segments by the first bits of the hash, and each grows by itself: no insertion pays for
/// moving more than its segment. Keys are places and tokens, never bytes that a client chose, so the hash needs
/// no secret.
struct IntegerTable<Value: BitwiseCopyable>: ~Copyable {
    private static var segmentBits: UInt64 { 8 }
    private static var segmentCount: Int { 1 << Int(segmentBits) }

    private let segments: UnsafeMutablePointer<Segment<Value>>
    private let vacant: Value
    private(set) var count = 0

    init(vacant: Value) {
        self.vacant = vacant
        segments = .allocate(capacity: Self.segmentCount)
        segments.initialize(repeating: Segment(), count: Self.segmentCount)
    }

    deinit {
        for index in 0..<Self.segmentCount { segments[index].dispose() }
        segments.deallocate()
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

    /// The first bits of the hash: always below `segmentCount`.
    @inline(__always)
    private static func segment(_ hash: UInt64) -> Int { Int(hash >> (64 - segmentBits)) }

    /// Where a key's place in its segment comes from: what is left of the hash.
    @inline(__always)
    fileprivate static func rest(_ key: UInt64) -> UInt64 { hash(key) << segmentBits }
}

/// A part of a table: open addressing with linear probing, and deletion by moving back (Knuth, The Art of Computer
/// Programming, volume 3, section 6.4, algorithms L and R), behind a multiplicative hash.
///
/// Its memory is its own, as a slab's is. Every index is a hash or a sum, cut down to the capacity.
///
/// Invariants:
/// 1. The capacity is zero or a power of two, and at most three quarters are used.
/// 2. From a key's home to its place there is no empty place.
struct Segment<Value: BitwiseCopyable>: BitwiseCopyable {
    struct Entry: BitwiseCopyable {
        var key: UInt64
        var value: Value
    }

    /// What stands where nothing does: nobody may insert this key, and whoever asks for it finds nothing.
    private static var empty: UInt64 { .max }
    private static var smallest: Int { 8 }

    private var entries: UnsafeMutablePointer<Entry>?
    private var capacity = 0
    private var count = 0

    init() {}

    func dispose() { entries?.deallocate() }

    @inline(__always)
    func value(_ key: UInt64, _ hash: UInt64) -> Value? {
        // A client may ask for any number.
        guard let entries, key != Self.empty else { return nil }
        let place = place(of: key, hash, in: entries)
        return entries[place].key == key ? entries[place].value : nil
    }

    /// Changes, inserts or drops a value; returns by how much the number of keys grew.
    @inline(__always)
    mutating func update(
        _ key: UInt64, _ hash: UInt64, _ vacant: Value, _ change: (inout Value) -> Bool
    ) -> Int {
        if let entries {
            let place = place(of: key, hash, in: entries)
            if entries[place].key == key {
                if change(&entries[place].value) { return 0 }
                remove(at: place, in: entries, vacant)
                return -1
            }
        }
        precondition(key != Self.empty, "the key of an empty place")
        var value = vacant
        guard change(&value) else { return 0 }
        insert(Entry(key: key, value: value), hash, vacant)
        return 1
    }

    /// Where a key stands, or the empty place where it would.
    @inline(__always)
    private func place(of key: UInt64, _ hash: UInt64, in entries: UnsafeMutablePointer<Entry>) -> Int {
        var place = home(hash)
        while true {
            let found = entries[place].key
            if found == key || found == Self.empty { return place }
            place = (place + 1) & (capacity - 1)
        }
    }

    /// Where a key would stand if no other stood there.
    @inline(__always)
    private func home(_ hash: UInt64) -> Int { Int(hash >> UInt64(64 - capacity.trailingZeroBitCount)) }

    private mutating func insert(_ entry: Entry, _ hash: UInt64, _ vacant: Value) {
        if (count + 1) * 4 > capacity * 3 { resize(to: max(Self.smallest, capacity * 2), vacant) }
        guard let entries else { return }
        entries[place(of: entry.key, hash, in: entries)] = entry
        count += 1
    }

    private mutating func remove(
        at place: Int, in entries: UnsafeMutablePointer<Entry>, _ vacant: Value
    ) {
        let mask = capacity - 1
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
        entries[hole].key = Self.empty
        count -= 1
        if capacity > Self.smallest, count * 8 < capacity {
            resize(to: max(Self.smallest, capacity / 4), vacant)
        }
    }

    private mutating func resize(to newCapacity: Int, _ vacant: Value) {
        let old = UnsafeMutableBufferPointer(start: entries, count: capacity)
        let new = UnsafeMutablePointer<Entry>.allocate(capacity: newCapacity)
        new.initialize(repeating: Entry(key: Self.empty, value: vacant), count: newCapacity)
        entries = new
        capacity = newCapacity
        for entry in old where entry.key != Self.empty {
            new[place(of: entry.key, IntegerTable<Value>.rest(entry.key), in: new)] = entry
        }
        old.deallocate()
    }
}
