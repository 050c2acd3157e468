/// A hash table from 64-bit keys to small values.
///
/// The first bits of the hash choose a segment, and each segment grows by itself: no insertion moves more than one segment.
/// Keys are slots and tokens, which no client chooses, so the hash needs no secret seed. README.md compares it with
/// `Dictionary`.
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

    /// Changes the value of a key, or `vacant` for a new key. Removes the key if the change returns false.
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
        // The factor is 2^64 divided by the golden ratio. The key's high bits hardly reach the product's, so fold them first.
        (key ^ (key >> 29)) &* 0x9E37_79B9_7F4A_7C15
    }

    /// The first bits of the hash: always below `segmentCount`.
    @inline(__always)
    private static func segment(_ hash: UInt64) -> Int { Int(hash >> (64 - segmentBits)) }

    /// The bits of the hash that choose a key's position in its segment.
    @inline(__always)
    static func rest(_ key: UInt64) -> UInt64 { hash(key) << segmentBits }
}

/// One segment of a table: open addressing with linear probing, and deletion by moving entries back (Knuth, The Art of
/// Computer Programming, volume 3, section 6.4, algorithms L and R).
///
/// It indexes unchecked memory, which is safe because every index is a hash or a sum that is masked with the capacity.
///
/// Invariants:
/// 1. The capacity is zero or a power of two, and at most three quarters are used.
/// 2. Between a key's home and its position no entry is empty.
struct Segment<Value: BitwiseCopyable>: BitwiseCopyable {
    struct Entry: BitwiseCopyable {
        var key: UInt64
        var value: Value
    }

    /// The key of an empty entry. No caller may insert it.
    private static var empty: UInt64 { .max }
    private static var smallest: Int { 8 }

    private var entries: UnsafeMutablePointer<Entry>?
    private var capacity = 0
    private var count = 0

    init() {}

    func dispose() { entries?.deallocate() }

    @inline(__always)
    func value(_ key: UInt64, _ hash: UInt64) -> Value? {
        // A client may name any number as a token, also this key.
        guard let entries, key != Self.empty else { return nil }
        let position = position(of: key, hash, in: entries)
        return entries[position].key == key ? entries[position].value : nil
    }

    /// Changes, inserts or removes a value. Returns by how much the number of keys grew.
    @inline(__always)
    mutating func update(
        _ key: UInt64, _ hash: UInt64, _ vacant: Value, _ change: (inout Value) -> Bool
    ) -> Int {
        if let entries {
            let position = position(of: key, hash, in: entries)
            if entries[position].key == key {
                if change(&entries[position].value) { return 0 }
                remove(at: position, in: entries, vacant)
                return -1
            }
        }
        precondition(key != Self.empty, "the key of an empty entry")
        var value = vacant
        guard change(&value) else { return 0 }
        insert(Entry(key: key, value: value), hash, vacant)
        return 1
    }

    /// The position of a key, or the empty entry where it would stand.
    @inline(__always)
    private func position(of key: UInt64, _ hash: UInt64, in entries: UnsafeMutablePointer<Entry>) -> Int {
        var position = home(hash)
        while true {
            let found = entries[position].key
            if found == key || found == Self.empty { return position }
            position = (position + 1) & (capacity - 1)
        }
    }

    /// The first position to probe for a key.
    @inline(__always)
    private func home(_ hash: UInt64) -> Int { Int(hash >> UInt64(64 - capacity.trailingZeroBitCount)) }

    private mutating func insert(_ entry: Entry, _ hash: UInt64, _ vacant: Value) {
        if (count + 1) * 4 > capacity * 3 { resize(to: max(Self.smallest, capacity * 2), vacant) }
        guard let entries else { return }
        entries[position(of: entry.key, hash, in: entries)] = entry
        count += 1
    }

    private mutating func remove(
        at position: Int, in entries: UnsafeMutablePointer<Entry>, _ vacant: Value
    ) {
        let mask = capacity - 1
        var hole = position
        var next = position
        while true {
            next = (next + 1) & mask
            let key = entries[next].key
            if key == Self.empty { break }
            // The entry may move into the hole unless its home lies between the hole and its position.
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
            new[position(of: entry.key, IntegerTable<Value>.rest(entry.key), in: new)] = entry
        }
        old.deallocate()
    }
}
