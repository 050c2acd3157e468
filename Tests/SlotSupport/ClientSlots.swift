internal import CSlot
public import LockCore

/// The slots of a session as its client has them mapped, and the client's steps on them.
///
/// The memory lives as long as this object, or as the table that it was given to needs it.
public final class ClientSlots {
    private let base: UnsafeMutableRawPointer

    public init() {
        base = .allocate(byteCount: SlotMemory.size, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: SlotMemory.size)
    }

    deinit { base.deallocate() }

    /// What the daemon gets of it.
    public var memory: SlotMemory { SlotMemory(base, lifetime: self) }

    /// The word of a slot: a hostile client writes what it likes.
    public subscript(index: Int) -> UInt64 {
        get { word(index).pointee }
        set { word(index).pointee = newValue }
    }

    private func word(_ index: Int) -> UnsafeMutablePointer<UInt64> {
        precondition(index >= 0 && index < SlotMemory.slotCount, "there is no such slot")
        return prwlock_slot_word(base, UInt32(index))
    }

    /// Takes the lock under a cached grant; false if the daemon must be asked.
    public func enter(_ index: Int, _ generation: UInt64, isRead: Bool) -> Bool {
        prwlock_slot_enter(word(index), generation, isRead)
    }

    /// Gives up one hold; false if the daemon must be told.
    public func leave(_ index: Int, _ generation: UInt64) -> Bool {
        prwlock_slot_leave(word(index), generation)
    }

    /// How often the grant of a generation is held, as its client believes.
    public func holds(_ index: Int, _ generation: UInt64) -> Int {
        self[index] >> 16 == generation ? Int(self[index] & 0x7FFF) : 0
    }

    /// Whether the grant of a generation is cached and not held.
    public func isIdle(_ index: Int, _ generation: UInt64) -> Bool { self[index] == generation << 16 }

    /// Whether the daemon has ended the caching of the grant, or another grant has its slot.
    public func isOver(_ index: Int, _ generation: UInt64) -> Bool {
        self[index] >> 16 != generation || self[index] & 0x8000 != 0
    }
}
