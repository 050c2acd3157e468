import LockVocabulary

/// The index of a record in its slab, typed by the record: the slot of a grant cannot be used for a lock.
struct Slot<Record>: Hashable {
    let raw: UInt32

    /// A slot outside every slab, for the fields of vacant records. Reading it stops the program.
    static var nowhere: Slot { Slot(raw: .max) }
}

/// An optional slot in four bytes, for the fields of records. `Slot?` takes eight.
@propertyWrapper
struct Compact<Record> {
    private var raw = UInt32.max

    init(wrappedValue: Slot<Record>?) { self.wrappedValue = wrappedValue }

    var wrappedValue: Slot<Record>? {
        @inline(__always) get { raw == .max ? nil : Slot(raw: raw) }
        @inline(__always) set { raw = newValue?.raw ?? .max }
    }
}

/// A record that a slab can contain.
protocol Placeable {
    /// The content of an unused slot. It keeps no object alive.
    static var vacant: Self { get }
}

/// Storage for records at fixed slots, which are reused.
///
/// The storage grows by chunks, so no insertion moves the other records. It frees all chunks when the last record is removed.
/// It owns raw memory: an array of arrays would check at every change, twice, whether its storage is shared, and a slab
/// cannot be copied, so its storage never is.
///
/// Invariants:
/// 1. A slot below `bound` is either in use or on the free list.
/// 2. Every slot below `bound` is initialized; an unused one contains `vacant`.
struct Slab<Record: Placeable>: ~Copyable {
    typealias Chunk = UnsafeMutablePointer<Record>

    private static var chunkBits: UInt32 { 9 }
    private static var chunkSize: Int { 1 << Int(chunkBits) }

    private var chunks = UnsafeMutablePointer<Chunk>.allocate(capacity: 8)
    private var capacity = 8
    private var free = OwnedArray<UInt32>()
    /// All slots in use are below this.
    private(set) var bound: UInt32 = 0
    /// The number of records.
    private(set) var count = 0

    init() {}

    deinit {
        for index in 0..<Int(bound >> Self.chunkBits) { Self.dispose(of: chunks[index]) }
        chunks.deallocate()
    }

    subscript(slot: Slot<Record>) -> Record {
        @inline(__always) _read { yield pointer(to: slot).pointee }
        @inline(__always) _modify { yield &pointer(to: slot).pointee }
    }

    /// Whether this slot can be read. It may contain another record than before, or `vacant`.
    func reaches(_ slot: Slot<Record>) -> Bool { slot.raw < bound }

    @inline(__always)
    private func pointer(to slot: Slot<Record>) -> UnsafeMutablePointer<Record> {
        precondition(slot.raw < bound, "the slot is outside the slab")
        return chunks[Int(slot.raw >> Self.chunkBits)] + (Int(slot.raw) & (Self.chunkSize - 1))
    }

    // Inlined: a call would copy the record.
    @inline(__always)
    mutating func insert(_ record: consuming Record) -> Slot<Record> {
        let slot = takeVacant()
        // What is vacant keeps no object alive, so nothing needs to end.
        pointer(to: slot).initialize(to: record)
        count += 1
        return slot
    }

    private mutating func takeVacant() -> Slot<Record> {
        if let slot = free.popLast() { return Slot(raw: slot) }
        grow()
        guard let slot = free.popLast() else { preconditionFailure("a slab that has grown has free slots") }
        return Slot(raw: slot)
    }

    mutating func remove(_ slot: Slot<Record>) {
        self[slot] = .vacant
        noteVacant(slot)
    }

    /// Removes a record, and returns it.
    mutating func take(_ slot: Slot<Record>) -> Record {
        let record = pointer(to: slot).move()
        pointer(to: slot).initialize(to: .vacant)
        noteVacant(slot)
        return record
    }

    @inline(__always)
    private mutating func noteVacant(_ slot: Slot<Record>) {
        count -= 1
        if count == 0, bound > 1 << Self.chunkBits {
            for index in 0..<Int(bound >> Self.chunkBits) { Self.dispose(of: chunks[index]) }
            bound = 0
            free = OwnedArray()
        } else {
            free.append(slot.raw)
        }
    }

    // MARK: - Former slots

    /// Puts a record at the slot that it had. Call `finishPlacing` after the last one, and insert none before.
    ///
    /// Returns false if another record is there, or no slab can have such a slot.
    mutating func place(_ record: Record, at slot: Slot<Record>, isVacant: (Record) -> Bool) -> Bool {
        guard slot.raw < 1 << 28 else { return false }
        while bound <= slot.raw { addChunk() }
        guard isVacant(self[slot]) else { return false }
        self[slot] = record
        count += 1
        return true
    }

    /// Makes the free list again, so that records can be inserted.
    mutating func finishPlacing(isVacant: (Record) -> Bool) {
        free = OwnedArray()
        for raw in (0..<bound).reversed() where isVacant(self[Slot(raw: raw)]) { free.append(raw) }
    }

    /// The slots of all records that have a key, the least key first.
    func sorted<Key: Comparable>(by key: (Record) -> Key?) -> [(key: Key, slot: Slot<Record>)] {
        var sorted: [(key: Key, slot: Slot<Record>)] = []
        sorted.reserveCapacity(count)
        for raw in 0..<bound {
            let slot = Slot<Record>(raw: raw)
            if let key = key(self[slot]) { sorted.append((key, slot)) }
        }
        sorted.sort { $0.key < $1.key }
        return sorted
    }

    private mutating func grow() {
        let former = bound
        addChunk()
        for raw in (former..<bound).reversed() { free.append(raw) }
    }

    private mutating func addChunk() {
        precondition(bound < 1 << 31, "a slab holds at most 2^31 records")
        let index = Int(bound >> Self.chunkBits)
        if index == capacity {
            let larger = UnsafeMutablePointer<Chunk>.allocate(capacity: 2 * capacity)
            larger.moveInitialize(from: chunks, count: capacity)
            chunks.deallocate()
            chunks = larger
            capacity *= 2
        }
        let chunk = Chunk.allocate(capacity: Self.chunkSize)
        chunk.initialize(repeating: .vacant, count: Self.chunkSize)
        chunks[index] = chunk
        bound += UInt32(Self.chunkSize)
    }

    private static func dispose(of chunk: Chunk) {
        chunk.deinitialize(count: chunkSize)
        chunk.deallocate()
    }
}
