import Glibc
public import Ledger

/// A range of addresses for a ledger. The page behind it cannot be touched, so that a read beyond the end is a fault.
public final class TestMemory {
    public let base: UnsafeMutableRawPointer
    let limit: Int
    public private(set) var byteCount: Int
    /// The most bytes that `grow` makes usable.
    public var bound: Int

    public init(byteCount: Int = 0, limit: Int = 4 << 20) {
        let size = limit + 4_096
        guard let range = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            range != MAP_FAILED
        else { fatalError("no memory") }
        mprotect(range + limit, 4_096, PROT_NONE)
        base = range
        self.limit = limit
        self.byteCount = byteCount
        bound = limit
    }

    deinit { munmap(base, limit + 4_096) }

    /// What a ledger is given. It keeps this object, and so the range.
    public var memory: Memory {
        Memory(base: base, byteCount: byteCount, limit: limit) { [self] count in
            guard count <= bound else { return false }
            byteCount = max(byteCount, count)
            return true
        }
    }

    /// An empty ledger in this memory, with a small input region.
    public func ledger(reserve: Int = 1 << 16) throws -> Ledger {
        guard let ledger = Ledger(creatingIn: memory, inputSize: 512, sliceBound: 8, reserve: reserve) else {
            throw Doubt.size
        }
        return ledger
    }

    /// The memory as a kill leaves it at this instruction, with its guard right behind what is usable.
    public func copy() -> TestMemory {
        let copy = TestMemory(byteCount: byteCount, limit: max(byteCount, 4_096))
        copy.base.copyMemory(from: base, byteCount: byteCount)
        return copy
    }

    /// The same, with room to grow.
    public func copyThatGrows() -> TestMemory {
        let copy = TestMemory(byteCount: byteCount, limit: limit)
        copy.base.copyMemory(from: base, byteCount: byteCount)
        return copy
    }

    public var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    public func flip(bit: Int) { bytes[bit / 8] ^= 1 << UInt8(bit % 8) }
}
