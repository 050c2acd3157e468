public import CSlot
import LockVocabulary
import LockWire

/// The cached grants of one lock that one client can enter: a word for each, seven to read and one to write.
///
/// The memory of the words stays until the end, and a word that is out of date does no harm. So any thread may look at them
/// without a lock.
///
/// Calls with a cached grant are inlined in the program that makes them, because a call costs as much as the swaps.
///
/// `@unchecked Sendable` is safe because the address never changes, and all words are read and written in one step.
@usableFromInline
final class CachedEntries: @unchecked Sendable {
    /// The places of the entries.
    static let places = 8
    @usableFromInline static var writing: Int { @inlinable get { 7 } }

    let memory: SlotMemory
    @usableFromInline let pages: UnsafeMutableRawPointer
    @usableFromInline let words: UnsafeMutablePointer<UInt64>
    /// Those of the process. An inlined call reaches them through this object; a static property would cost it a call.
    @usableFromInline let owners = BoundOwners.ofProcess

    init(in memory: SlotMemory) {
        self.memory = memory
        pages = memory.pages
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: Self.places * 8, alignment: 64)
        words = bytes.initializeMemory(as: UInt64.self, repeating: 0, count: Self.places)
    }

    deinit { words.deallocate() }

    /// One cached grant, in one word.
    struct Entry: Equatable, Sendable {
        let word: UInt64

        init(_ slot: GrantedSlot) {
            word = prwlock_entry_of(slot.generation, UInt32(truncatingIfNeeded: slot.index))
        }

        fileprivate init(word: UInt64) { self.word = word }

        /// The token of the grant, but for the bits that a generation lacks.
        var token: Token { Token(rawValue: word >> PRWLOCK_SLOT_GENERATION_SHIFT) }
    }

    /// A cached grant that is held, and its place.
    @usableFromInline
    struct Entered {
        @usableFromInline let word: UInt64
        @usableFromInline let place: Int

        var entry: Entry { Entry(word: word) }

        @inlinable
        init(word: UInt64, place: Int) { (self.word, self.place) = (word, place) }
    }

    /// Enters a cached grant that is not held; nil if there is none.
    @inlinable @inline(__always)
    func enterToWrite() -> Entered? { enter(Self.writing) }

    /// Enters a cached grant to read that is not held; nil if there is none.
    @inlinable @inline(__always)
    func enterToRead() -> Entered? {
        if let entered = enter(0) { return entered }
        return enterAnotherToRead()
    }

    /// Enters the first cached grant to read, unless it is held.
    @inlinable @inline(__always)
    func enterFirstToRead() -> Entered? { enter(0) }

    @usableFromInline @inline(never)
    func enterAnotherToRead() -> Entered? {
        for place in 1..<Self.writing {
            if let entered = enter(place) { return entered }
        }
        return nil
    }

    @inlinable @inline(__always)
    func enter(_ place: Int) -> Entered? {
        let word = prwlock_entry_load(words + place)
        guard prwlock_entry_enter(pages, word) else { return nil }
        return Entered(word: word, place: place)
    }

    /// Whether a process serves. Check it after a grant was entered.
    @usableFromInline var isServed: Bool {
        @inlinable @inline(__always) get { prwlock_pages_are_served(pages) }
    }

    /// Whether a grant that was entered is held in the present session. Look after `isServed`, which may speak of another
    /// session than `enter` did.
    @inlinable @inline(__always)
    func isHeld(_ entered: Entered) -> Bool { prwlock_entry_is_held(pages, entered.word) }

    /// Undoes an `enter` because no process serves; false if the daemon has to release the grant.
    func stepBack(_ entered: Entered) -> Bool { prwlock_entry_step_back(pages, entered.word) }

    /// Leaves a cached grant. If this fails, the lock is still held, and the daemon has to release it.
    @inlinable @inline(__always)
    func leave(_ entered: Entered) -> Bool { prwlock_entry_leave(pages, entered.word) }

    /// Whether the grant can be entered, now or later.
    func isAlive(_ entry: Entry) -> Bool { prwlock_entry_is_alive(pages, entry.word) }

    /// The entry at a place; nil if there is none.
    func entry(at place: Int) -> Entry? {
        let word = prwlock_entry_load(words + place)
        return word == 0 ? nil : Entry(word: word)
    }

    /// The places for grants of a mode.
    static func places(for mode: LockMode) -> Range<Int> {
        switch mode {
        case .read: 0..<writing
        case .write: writing..<places
        case .update: 0..<0
        }
    }

    /// Shows an entry to all threads, or removes it. One thread at a time may do so.
    func set(_ place: Int, _ entry: Entry?) { prwlock_entry_store(words + place, entry?.word ?? 0) }
}

extension SlotMemory {
    /// Whether a grant is held under its slot.
    func isHeld(_ slot: GrantedSlot) -> Bool {
        prwlock_entry_is_held(
            pages, prwlock_entry_of(slot.generation, UInt32(truncatingIfNeeded: slot.index)))
    }
}

extension Session.Terms {
    /// The slot, if it is one that can be.
    var usableSlot: GrantedSlot? {
        guard let slot, (0..<Int(PRWLOCK_CACHED_SLOTS)).contains(slot.index),
            slot.generation == prwlock_slot_generation(token.rawValue)
        else { return nil }
        return slot
    }
}
