internal import CSlot
import LockVocabulary

/// A grant with a slot in the memory that its session shares. The slot says whether the grant is held.
struct CachedGrant: Placeable {
    static var vacant: CachedGrant { CachedGrant(grant: .nowhere, index: 0) }

    let grant: Slot<Grant>
    /// The slot, counted from 0.
    let index: UInt8
    /// Whether the grant is cached no more. It is held, and its slot is in use until it ends.
    var isWanted = false
    var lockLinks = Links<CachedGrant>()

    var isVacant: Bool { grant == .nowhere }

    enum OnLock: Membership {
        static var links: WritableKeyPath<CachedGrant, Links<CachedGrant>> { \.lockLinks }
    }
}

/// Memory for the slots of a session, which its client has mapped too.
public struct SlotMemory {
    /// How many slots it has.
    public static let slotCount = 64
    /// Its size in bytes.
    public static let size = slotCount * Int(PRWLOCK_SLOT_SIZE)

    private let base: UnsafeMutableRawPointer
    private let lifetime: AnyObject?

    /// - Parameters:
    ///   - base: the first of `size` bytes, a multiple of 64.
    ///   - lifetime: an object that keeps the memory; released when the table needs it no more.
    public init(_ base: UnsafeMutableRawPointer, lifetime: AnyObject? = nil) {
        self.base = base
        self.lifetime = lifetime
    }

    func word(_ index: UInt8) -> UnsafeMutablePointer<UInt64> {
        precondition(index < Self.slotCount, "there is no such slot")
        return prwlock_slot_word(base, UInt32(index))
    }
}

/// The slots of a session.
struct SlotRoom {
    /// Nil in a table that was restored, until the memory is there again.
    var memory: SlotMemory?
    /// The grant of each slot.
    private var users: [Slot<CachedGrant>?] = Array(repeating: nil, count: SlotMemory.slotCount)
    /// The slots of grants that ended since the facts were last taken. Another generation in such a slot
    /// would hide from the next process whether the grant was held, if this one dies before its commit (G14).
    private var resting: UInt64 = 0
    /// Where the search for a slot that can be taken back begins.
    private var hand = 0

    init(_ memory: SlotMemory?) { self.memory = memory }

    /// The slots in use.
    var used: [Slot<CachedGrant>] { users.compactMap { $0 } }

    var free: UInt8? {
        users.indices.first { users[$0] == nil && resting & 1 << UInt64($0) == 0 }.map { UInt8($0) }
    }

    mutating func rest(_ index: UInt8) { resting |= 1 << UInt64(index) }
    mutating func endRest() { resting = 0 }

    /// Sets or removes the grant of a slot. Returns false if another grant has it.
    mutating func set(_ index: UInt8, to cache: Slot<CachedGrant>?) -> Bool {
        guard index < users.count, cache == nil || users[Int(index)] == nil else { return false }
        users[Int(index)] = cache
        return true
    }

    /// The next grants in turn, so that all are asked equally often.
    mutating func takeTurn(of count: Int) -> [Slot<CachedGrant>] {
        defer { hand = (hand + count) % users.count }
        return (hand..<hand + count).compactMap { users[$0 % users.count] }
    }
}
