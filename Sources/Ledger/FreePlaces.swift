/// The free places of each chunk, outside of the shared memory: a bitmap for each chunk, and lists of chunks.
///
/// 1. A chunk with a free place is in the list of its class, or in the list of empty chunks.
/// 2. A chunk in the list of empty chunks has free places only, and any class may take it.
/// 3. The last chunk in the list of a class stays there when it becomes empty, so that a class with few facts does not take
///    and return its chunk all the time.
struct FreePlaces: ~Copyable {
    struct Record: BitwiseCopyable {
        let sizeClass: SizeClass
        /// The first word of the bitmap that may have a free place.
        var hint: UInt8 = 0
        var freeCount: UInt16 = 0
        let placeCount: UInt16
        /// The size of a place divided by 16, and 2^32 divided by that, rounded up.
        let units: UInt16
        let reciprocal: UInt32
        // Neighbours in the list of the chunk; 0 is the header's chunk, so it is no neighbour.
        var next: UInt32 = 0
        var previous: UInt32 = 0

        init(_ sizeClass: SizeClass) {
            self.sizeClass = sizeClass
            placeCount = UInt16(sizeClass.placeCount)
            units = UInt16(sizeClass.placeSize / 16)
            reciprocal = UInt32((1 << 32 + Int(units) - 1) / Int(units))
        }
    }

    private let firstChunk: Int
    private var records = GrowingBuffer<Record>()
    private var bitmaps = GrowingBuffer<UInt64>()
    /// The first chunk of the list of each class, and of the list of empty chunks.
    private var heads = GrowingBuffer<UInt32>()
    private(set) var emptyChunkCount = 0

    private static var emptyList: Int { SizeClass.count }

    init(firstChunk: Int) {
        self.firstChunk = firstChunk
        for _ in 0...SizeClass.count { heads.append(0) }
    }

    /// Adds the next chunk, without free places.
    mutating func addChunk(_ sizeClass: SizeClass) {
        records.append(Record(sizeClass))
        for _ in 0..<Chunk.bitmapWords { bitmaps.append(0) }
    }

    /// Makes all places of a chunk free that has no free places.
    mutating func releaseAll(chunk: Int) {
        let at = chunk - firstChunk
        let count = Int(records[at].placeCount)
        precondition(records[at].freeCount == 0, "the chunk has free places")
        for index in 0..<count { bitmaps[at * Chunk.bitmapWords + index >> 6] |= 1 << UInt64(index & 63) }
        records[at].freeCount = UInt16(count)
        records[at].hint = 0
        link(at, Int(records[at].sizeClass.number))
    }

    /// Takes a chunk from the list of empty chunks and gives it to a class, without free places.
    mutating func takeEmptyChunk(for sizeClass: SizeClass) -> Int? {
        guard heads[Self.emptyList] != 0 else { return nil }
        let at = Int(heads[Self.emptyList]) - firstChunk
        unlink(at, Self.emptyList)
        emptyChunkCount -= 1
        return give(at, to: sizeClass)
    }

    /// The same with a chunk that rule 3 left in the list of its class, for memory that cannot grow.
    mutating func takeKeptChunk(for sizeClass: SizeClass) -> Int? {
        for at in 0..<records.count where records[at].freeCount == records[at].placeCount {
            unlink(at, Int(records[at].sizeClass.number))
            return give(at, to: sizeClass)
        }
        return nil
    }

    private mutating func give(_ at: Int, to sizeClass: SizeClass) -> Int {
        records[at] = Record(sizeClass)
        for word in 0..<Chunk.bitmapWords { bitmaps[at * Chunk.bitmapWords + word] = 0 }
        return at + firstChunk
    }

    /// The size of a place, free or in use.
    @inline(__always)
    func placeSize(of place: Place) -> Int { Int(records[place.chunk - firstChunk].units) << 4 }

    /// Takes a free place of a class; nil if no chunk of the class has one.
    @inline(__always)
    mutating func take(_ sizeClass: SizeClass) -> Place? {
        let head = heads[Int(sizeClass.number)]
        guard head != 0 else { return nil }
        let at = Int(head) - firstChunk
        var hint = Int(records[at].hint)
        let bits = at * Chunk.bitmapWords
        while bitmaps[bits + hint] == 0 { hint += 1 }
        let word = bitmaps[bits + hint]
        bitmaps[bits + hint] = word & (word &- 1)
        records[at].hint = UInt8(truncatingIfNeeded: hint)
        records[at].freeCount &-= 1
        if records[at].freeCount == 0 { unlink(at, Int(sizeClass.number)) }
        let index = UInt32(truncatingIfNeeded: hint << 6 | word.trailingZeroBitCount)
        return Place(number: head << 12 | (1 &+ index &* UInt32(records[at].units)))
    }

    /// Makes a place free.
    @inline(__always)
    mutating func release(_ place: Place) {
        let at = place.chunk - firstChunk
        let units = UInt64(place.number & 4_095) &- 1
        let index = Int((units &* UInt64(records[at].reciprocal)) >> 32)
        let word = index >> 6
        let bit: UInt64 = 1 << UInt64(index & 63)
        precondition(bitmaps[at * Chunk.bitmapWords + word] & bit == 0, "the place is free")
        bitmaps[at * Chunk.bitmapWords + word] |= bit
        if word < Int(records[at].hint) { records[at].hint = UInt8(truncatingIfNeeded: word) }
        records[at].freeCount &+= 1
        if records[at].freeCount == 1 { link(at, Int(records[at].sizeClass.number)) }
        if records[at].freeCount == records[at].placeCount { noteEmpty(at) }
    }

    private mutating func noteEmpty(_ at: Int) {
        let list = Int(records[at].sizeClass.number)
        guard records[at].next != 0 || records[at].previous != 0 else { return }
        unlink(at, list)
        link(at, Self.emptyList)
        emptyChunkCount += 1
    }

    private mutating func link(_ at: Int, _ list: Int) {
        let chunk = UInt32(at + firstChunk)
        let next = heads[list]
        records[at].next = next
        records[at].previous = 0
        if next != 0 { records[Int(next) - firstChunk].previous = chunk }
        heads[list] = chunk
    }

    private mutating func unlink(_ at: Int, _ list: Int) {
        let (next, previous) = (records[at].next, records[at].previous)
        if next != 0 { records[Int(next) - firstChunk].previous = previous }
        if previous != 0 { records[Int(previous) - firstChunk].next = next } else { heads[list] = next }
        records[at].next = 0
        records[at].previous = 0
    }
}
