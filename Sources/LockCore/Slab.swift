/// The place of a record in its slab; typed, so that a grant's place cannot be taken for a lock's.
struct Slot<Record>: Hashable {
    let raw: UInt32

    /// Stands for "no record".
    static var none: Slot { Slot(raw: .max) }

    var isNone: Bool { raw == .max }
}

/// Records at places that stay the same and are used again.
///
/// The storage grows by chunks, so that no insertion pays for moving all that is there; a million records
/// that are gone give their memory back with the last of them.
///
/// Invariants:
/// 1. A place is live or on the free list, never both.
/// 2. A place that is not live holds `vacant`, so that it keeps nothing alive.
struct Slab<Record> {
    private static var chunkBits: UInt32 { 9 }
    private static var chunkSize: Int { 1 << Int(chunkBits) }

    private var chunks: [[Record]] = []
    private var free: [UInt32] = []
    private let vacant: Record
    /// How many records are live.
    private(set) var count = 0

    init(vacant: Record) { self.vacant = vacant }

    /// Places below this may be live; all others are not.
    var bound: UInt32 { UInt32(chunks.count) << Self.chunkBits }

    subscript(slot: Slot<Record>) -> Record {
        _read { yield chunks[Int(slot.raw >> Self.chunkBits)][Int(slot.raw) & (Self.chunkSize - 1)] }
        _modify {
            yield &chunks[Int(slot.raw >> Self.chunkBits)][Int(slot.raw) & (Self.chunkSize - 1)]
        }
    }

    mutating func insert(_ record: Record) -> Slot<Record> {
        if free.isEmpty {
            let first = bound
            precondition(first < 1 << 31, "a slab holds at most 2^31 records")
            chunks.append(Array(repeating: vacant, count: Self.chunkSize))
            free.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
        }
        let slot = Slot<Record>(raw: free.removeLast())
        self[slot] = record
        count += 1
        return slot
    }

    mutating func remove(_ slot: Slot<Record>) {
        self[slot] = vacant
        count -= 1
        if count == 0, chunks.count > 1 {
            chunks = []
            free = []
        } else {
            free.append(slot.raw)
        }
    }
}
