internal import CLedger

/// Bytes that were read from one session in the batch under way. They are valid until the commit.
public struct InputSlice {
    public let session: UInt64
    public let bytes: UnsafeRawBufferPointer

    /// The bytes of an entry in the table of slices.
    static let byteCount = 32
}

/// Where the bytes stand that one batch reads, with a slice for each read.
///
/// 1. Bytes beyond the slices of the batch under way are zero. So after a kill between `read` and `end` the last byte that
///    is not zero shows how many were read: a valid line has no zero byte.
/// 2. An entry counts if it has the number of the batch under way. So the commit makes all of them void.
/// 3. Only the last entry may be without its end.
struct InputRegion: ~Copyable {
    // Offsets of words in an entry. The batch is stored last.
    private static var sessionOffset: Int { 0 }
    /// The offset in the input region, and the check of session and offset.
    private static var startOffset: Int { 8 }
    /// 0, or a mark, the count, and the check of start, count and bytes.
    private static var endOffset: Int { 16 }
    private static var batchOffset: Int { 24 }
    private static var endMark: UInt64 { 1 << 63 }

    private let layout: Layout
    private var count = 0
    private var used = 0
    private var isOpen = false

    init(_ layout: Layout) { self.layout = layout }

    /// Notes that bytes of the session follow, and returns zeroed room for them; nil if the room or the table is full.
    mutating func begin(
        _ session: UInt64, batch: UInt64, room: Int, in memory: borrowing SharedMemory
    ) -> UnsafeMutableRawBufferPointer? {
        precondition(!isOpen, "the slice before has no end")
        guard count < layout.sliceBound, layout.inputSize - used >= room else { return nil }
        let entry = offset(ofEntry: count)
        memory.store(session, at: entry + Self.sessionOffset)
        memory.store(Self.start(session, used), at: entry + Self.startOffset)
        memory.store(0 as UInt64, at: entry + Self.endOffset)
        memory.store(SelfChecked.word(batch), at: entry + Self.batchOffset)
        isOpen = true
        return UnsafeMutableRawBufferPointer(start: memory.base + layout.input + used, count: room)
    }

    /// Ends the slice with its first bytes. A slice without bytes is void.
    mutating func end(_ byteCount: Int, in memory: borrowing SharedMemory) {
        precondition(isOpen && used + byteCount <= layout.inputSize, "there is no such slice")
        isOpen = false
        let entry = offset(ofEntry: count)
        guard byteCount > 0 else { return memory.store(0 as UInt64, at: entry + Self.batchOffset) }
        memory.store(end(of: entry, byteCount, memory), at: entry + Self.endOffset)
        count += 1
        used = (used + byteCount + 7) & ~7
    }

    /// Clears the bytes of the batch that was committed.
    mutating func clear(in memory: borrowing SharedMemory) {
        precondition(!isOpen, "the last slice has no end")
        guard count > 0 else { return }
        memory.clear(layout.input..<layout.input + used)
        count = 0
        used = 0
    }

    /// The slices of the batch under way, in the order in which they were begun.
    func slices(in memory: borrowing SharedMemory) -> [InputSlice] {
        (0..<count).map { index in
            let entry = offset(ofEntry: index)
            let start = Int(UInt32(truncatingIfNeeded: memory.word(at: entry + Self.startOffset)))
            return InputSlice(
                session: memory.word(at: entry + Self.sessionOffset),
                bytes: memory.bytes(
                    at: layout.input + start, count: Self.count(memory.word(at: entry + Self.endOffset))))
        }
    }

    /// Finds the slices of the batch after the one that was committed, and checks them.
    mutating func inspect(committed: UInt64, in memory: borrowing SharedMemory) throws(Doubt) {
        for index in 0..<layout.sliceBound {
            let entry = offset(ofEntry: index)
            guard let batch = SelfChecked.number(memory.word(at: entry + Self.batchOffset)) else {
                throw .input(index)
            }
            guard batch == committed + 1 else {
                if batch > committed { throw .input(index) }
                continue
            }
            let session = memory.word(at: entry + Self.sessionOffset)
            guard count == index, !isOpen, used < layout.inputSize,
                memory.word(at: entry + Self.startOffset) == Self.start(session, used)
            else { throw .input(index) }
            let stored = memory.word(at: entry + Self.endOffset)
            guard stored != 0 else {
                isOpen = true
                continue
            }
            let byteCount = Self.count(stored)
            guard byteCount > 0, byteCount <= layout.inputSize - used,
                stored == end(of: entry, byteCount, memory)
            else { throw .input(index) }
            count += 1
            used = (used + byteCount + 7) & ~7
        }
    }

    /// Ends the slice that a kill left without its end, and clears the rest of the region.
    ///
    /// A kill in between leaves what the next recovery repairs in the same way.
    mutating func mend(in memory: borrowing SharedMemory) {
        if isOpen {
            let bytes = memory.bytes(at: layout.input + used, count: layout.inputSize - used)
            end(bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0, in: memory)
        }
        memory.clear(layout.input + used..<layout.input + layout.inputSize)
    }

    private func offset(ofEntry index: Int) -> Int { layout.slices + index * InputSlice.byteCount }

    private static func start(_ session: UInt64, _ offset: Int) -> UInt64 {
        UInt64(offset) | UInt64(ledger_check(session, UInt64(offset), nil, 0)) << 32
    }

    private func end(of entry: Int, _ byteCount: Int, _ memory: borrowing SharedMemory) -> UInt64 {
        let start = memory.word(at: entry + Self.startOffset)
        let bytes = memory.base + layout.input + Int(UInt32(truncatingIfNeeded: start))
        return Self.endMark | UInt64(byteCount) << 32
            | UInt64(ledger_check(start, UInt64(byteCount), bytes, byteCount))
    }

    private static func count(_ end: UInt64) -> Int { Int((end & ~endMark) >> 32) }
}
