import LockVocabulary

/// Which of a bounded number of places a name has: a hash table with chains.
///
/// A chain has at most as many links as there are places, so names that are chosen to share a chain make it no slower than a
/// walk through all places. So the hash needs no secret, and costs a fifth of that of `Dictionary`.
struct NamePlaces: Sendable {
    private static let none = UInt16.max

    /// The first place of each chain.
    private var first: [UInt16]
    /// The next place of the chain that a place is in.
    private var next: [UInt16]
    private var hashes: [UInt64]
    private let mask: UInt64

    /// For places from 0 up to a power of two.
    init(capacity: Int) {
        precondition(capacity.nonzeroBitCount == 1 && capacity <= 1 << 15, "the capacity is no power of two")
        first = Array(repeating: Self.none, count: 2 * capacity)
        next = Array(repeating: Self.none, count: capacity)
        hashes = Array(repeating: 0, count: capacity)
        mask = UInt64(2 * capacity - 1)
    }

    /// The hash of a name, for the other calls.
    static func hash(of name: LockName) -> UInt64 {
        name.withBytes { bytes in
            var hash = UInt64(bytes.count)
            var offset = 0
            while offset < bytes.count {
                var word: UInt64 = 0
                withUnsafeMutableBytes(of: &word) {
                    $0.copyMemory(
                        from: UnsafeRawBufferPointer(
                            start: bytes.baseAddress.map { $0 + offset }, count: min(8, bytes.count - offset))
                    )
                }
                hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
                hash ^= hash >> 32
                offset += 8
            }
            return hash
        }
    }

    /// The place of a name with this hash; nil if it has none.
    func place(of hash: UInt64, where isPlace: (Int) -> Bool) -> Int? {
        var place = first[Int(hash & mask)]
        while place != Self.none {
            if hashes[Int(place)] == hash, isPlace(Int(place)) { return Int(place) }
            place = next[Int(place)]
        }
        return nil
    }

    /// Gives a vacant place to a name.
    mutating func insert(_ place: Int, _ hash: UInt64) {
        hashes[place] = hash
        next[place] = first[Int(hash & mask)]
        first[Int(hash & mask)] = UInt16(place)
    }

    /// Makes a place vacant.
    mutating func remove(_ place: Int) {
        let chain = Int(hashes[place] & mask)
        guard first[chain] != UInt16(place) else {
            first[chain] = next[place]
            return
        }
        var before = Int(first[chain])
        while next[before] != UInt16(place) { before = Int(next[before]) }
        next[before] = next[place]
    }
}
