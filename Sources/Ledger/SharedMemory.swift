internal import CLedger

/// The memory that a ledger is given: a fixed range of addresses, of which the first bytes can be used.
///
/// Memory that was never used is zero. The range stays valid as long as the ledger.
public struct Memory {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    let limit: Int
    let grow: (Int) -> Bool

    /// - Parameters:
    ///   - base: the first address of the range, a multiple of 16.
    ///   - byteCount: how many bytes can be used now.
    ///   - limit: how many bytes the range has.
    ///   - grow: makes so many bytes of the range usable in all, or returns false.
    public init(
        base: UnsafeMutableRawPointer, byteCount: Int, limit: Int, grow: @escaping (_ byteCount: Int) -> Bool
    ) {
        precondition(UInt(bitPattern: base).isMultiple(of: 16), "the base is not aligned")
        precondition(byteCount >= 0 && byteCount <= limit, "the range is smaller than what can be used")
        self.base = base
        self.byteCount = byteCount
        self.limit = min(limit, Chunk.byteCount << 20)
        self.grow = grow
    }
}

/// The memory of a ledger that is in use. All stores to it are made here.
struct SharedMemory: ~Copyable {
    let base: UnsafeMutableRawPointer
    private(set) var byteCount: Int
    private let limit: Int
    private let grow: (Int) -> Bool
    /// Called before each store, so that a test sees the memory as a kill at that instruction leaves it.
    var beforeStore: (() -> Void)? {
        didSet { isWatched = beforeStore != nil }
    }
    private var isWatched: Bool

    init(_ memory: Memory, beforeStore: (() -> Void)? = nil) {
        base = memory.base
        byteCount = memory.byteCount
        limit = memory.limit
        grow = memory.grow
        self.beforeStore = beforeStore
        isWatched = beforeStore != nil
    }

    /// Makes more of the range usable; false if that is not possible.
    mutating func extend(to count: Int) -> Bool {
        guard count > byteCount else { return true }
        guard count <= limit, grow(count) else { return false }
        byteCount = count
        return true
    }

    @inline(__always)
    func word(at offset: Int) -> UInt64 { base.load(fromByteOffset: offset, as: UInt64.self) }

    @inline(__always)
    func halfWord(at offset: Int) -> UInt32 { base.load(fromByteOffset: offset, as: UInt32.self) }

    @inline(__always)
    func bytes(at offset: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + offset, count: count)
    }

    @inline(__always)
    func store(_ word: UInt64, at offset: Int) {
        if isWatched { callHook() }
        ledger_store64(base + offset, word)
    }

    @inline(__always)
    func store(_ halfWord: UInt32, at offset: Int) {
        if isWatched { callHook() }
        ledger_store32(base + offset, halfWord)
    }

    @inline(never)
    private func callHook() { beforeStore?() }

    /// Copies bytes. With a hook it copies word by word, because a kill may fall between any two words.
    @inline(__always)
    func copy(_ bytes: UnsafeRawBufferPointer, to offset: Int) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        guard isWatched else { return (base + offset).copyMemory(from: source, byteCount: bytes.count) }
        for start in stride(from: 0, to: bytes.count, by: 8) {
            callHook()
            (base + offset + start).copyMemory(
                from: source + start, byteCount: min(8, bytes.count - start))
        }
    }

    /// Makes each word of a range zero. Words that are zero are not stored, so that untouched pages stay untouched.
    func clear(_ range: Range<Int>) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            if word(at: offset) != 0 { store(0 as UInt64, at: offset) }
            offset += 8
        }
    }
}
