/// A few words that the owner stores outside of batches.
///
/// A note has two copies of its value and a selector, which is stored last. So a kill leaves the old value or the new one, and
/// a copy that fails its check was changed, not torn.
enum Notes {
    static let count = 8
    static let byteCount = count * noteSize

    private static let noteSize = 40

    /// Nil if the note fails its check.
    static func value(_ index: Int, in memory: borrowing SharedMemory) -> UInt64? {
        let selector = selectorOffset(index)
        guard let copy = SelfChecked.number(memory.word(at: selector)), copy <= 2 else { return nil }
        guard copy > 0 else { return 0 }
        let offset = copyOffset(selector, copy)
        let value = memory.word(at: offset)
        return memory.word(at: offset + 8) == ~value ? value : nil
    }

    static func set(_ index: Int, to value: UInt64, in memory: borrowing SharedMemory) {
        let selector = selectorOffset(index)
        let other: UInt64 = memory.word(at: selector) == SelfChecked.word(1) ? 2 : 1
        let offset = copyOffset(selector, other)
        memory.store(value, at: offset)
        memory.store(~value, at: offset + 8)
        memory.store(SelfChecked.word(other), at: selector)
    }

    private static func selectorOffset(_ index: Int) -> Int {
        precondition((0..<count).contains(index), "there is no such note")
        return Header.notesOffset + index * noteSize
    }

    private static func copyOffset(_ selector: Int, _ copy: UInt64) -> Int {
        selector + 8 + (Int(copy) - 1) * 16
    }
}
