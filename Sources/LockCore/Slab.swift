import LockVocabulary

/// The place of a record in its slab; typed, so that a grant's place cannot be taken for a lock's.
struct Slot<Record>: Hashable {
    let raw: UInt32

    /// The place that a vacant record names: outside every slab, so reading it stops the program.
    static var nowhere: Slot { Slot(raw: .max) }
}

/// An optional slot in four bytes, where `Slot?` takes eight: for the fields of records.
@propertyWrapper
struct Compact<Record> {
    private var raw = UInt32.max

    init(wrappedValue: Slot<Record>?) { self.wrappedValue = wrappedValue }

    var wrappedValue: Slot<Record>? {
        @inline(__always) get { raw == .max ? nil : Slot(raw: raw) }
        @inline(__always) set { raw = newValue?.raw ?? .max }
    }
}

/// What can stand in a slab.
protocol Placeable {
    /// What stands where no record is; it keeps nothing alive.
    static var vacant: Self { get }
}

/// Records at places that stay the same and are used again.
///
/// The storage grows by chunks, so that no insertion pays for moving all that is there; a million records
/// that are gone give their memory back with the last of them. It is memory of its own and not an array of arrays,
/// which would ask at every change, twice, whether it is shared: nothing shares it, as a slab cannot be copied.
///
/// Invariants:
/// 1. A place below `bound` is live or on the free list, never both.
/// 2. Every place below `bound` is initialized; one that is not live holds `vacant`.
struct Slab<Record: Placeable>: ~Copyable {
    typealias Chunk = UnsafeMutablePointer<Record>

    private static var chunkBits: UInt32 { 9 }
    private static var chunkSize: Int { 1 << Int(chunkBits) }

    private var chunks = UnsafeMutablePointer<Chunk>.allocate(capacity: 8)
    private var capacity = 8
    private var free: [UInt32] = []
    /// Places below this may be live; all others are not.
    private(set) var bound: UInt32 = 0
    /// How many records are live.
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

    /// Whether the slab has had a record at this place; it may be gone, and `vacant` stand there.
    func reaches(_ slot: Slot<Record>) -> Bool { slot.raw < bound }

    @inline(__always)
    private func pointer(to slot: Slot<Record>) -> UnsafeMutablePointer<Record> {
        precondition(slot.raw < bound, "no record has this place")
        return chunks[Int(slot.raw >> Self.chunkBits)] + (Int(slot.raw) & (Self.chunkSize - 1))
    }

    mutating func insert(_ record: Record) -> Slot<Record> {
        if free.isEmpty { grow() }
        let slot = Slot<Record>(raw: free.removeLast())
        self[slot] = record
        count += 1
        return slot
    }

    mutating func remove(_ slot: Slot<Record>) {
        self[slot] = .vacant
        count -= 1
        if count == 0, bound > 1 << Self.chunkBits {
            for index in 0..<Int(bound >> Self.chunkBits) { Self.dispose(of: chunks[index]) }
            bound = 0
            free = []
        } else {
            free.append(slot.raw)
        }
    }

    private mutating func grow() {
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
        free.append(contentsOf: (bound..<bound + UInt32(Self.chunkSize)).reversed())
        bound += UInt32(Self.chunkSize)
    }

    private static func dispose(of chunk: Chunk) {
        chunk.deinitialize(count: chunkSize)
        chunk.deallocate()
    }
}
