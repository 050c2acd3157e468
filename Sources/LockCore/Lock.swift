import LockVocabulary

/// One reader-writer lock: who holds it and who waits.
///
///   request                    granted
///  ─────────▶ [ WAITING ] ──────────────▶ [ HELD ]
///                 │ cancel, deadline         │ release, expire, revoke, death
///                 ▼                          ▼
///               (gone)                     (gone)
///
/// The invariants stand in README.md, and `LockTable.checkInvariants()` holds them.
struct Lock: Placeable {
    static var vacant: Lock { Lock(name: .nowhere) }

    /// Where its name stands in the tree of names.
    var name: Slot<NameTree.Entry>
    /// The grants, in the order of their tokens.
    private(set) var holders = LinkedList<Grant.OnLock>()
    /// The update or write grant, of which there is at most one.
    @Compact private(set) var exclusive: Slot<Grant>? = nil
    /// The mode of that grant; `read` without one.
    private(set) var exclusiveMode = LockMode.read
    /// Whether its holders stand in the index: from more than `fewHolders` on, until the last of them is gone.
    var isIndexed = false
    /// Whether the last writer ended otherwise than by release (G11).
    var ownerDied = false
    /// How many holders asked to be told when somebody waits.
    var recallers: UInt32 = 0
    /// The upgrade that waits, of which there is at most one: two would wait for each other.
    @Compact private(set) var upgrade: Slot<Waiter>? = nil
    /// Writers and updaters that wait, in the order of coming (G3).
    private(set) var contenders = LinkedList<Waiter.InRow>()
    /// How many of the contenders want to write.
    private(set) var waitingWriters: UInt32 = 0
    /// Readers that wait, in the order of coming; they go together (G3).
    private(set) var readers = LinkedList<Waiter.InRow>()
    /// The other locks with a mark.
    var markLinks = Links<Lock>()

    enum Marked: Membership {
        static var links: WritableKeyPath<Lock, Links<Lock>> { \.markLinks }
    }

    init(name: Slot<NameTree.Entry>) { self.name = name }

    /// How many holders are quicker looked at than looked up.
    static var fewHolders: UInt32 { 8 }

    var isVacant: Bool { name == .nowhere }

    var hasWaiters: Bool { upgrade != nil || !contenders.isEmpty || !readers.isEmpty }

    var waiters: Int { (upgrade == nil ? 0 : 1) + Int(contenders.count) + Int(readers.count) }

    /// Whether somebody waits to write, so that no new reader gets in (G2, G10).
    var keepsReadersOut: Bool { waitingWriters > 0 || upgrade != nil }

    /// Whether nothing is left that the lock has to be there for.
    var isUnused: Bool { holders.isEmpty && !ownerDied && !hasWaiters }

    /// The strongest mode that somebody holds.
    var mode: LockMode? { holders.isEmpty ? nil : exclusiveMode }

    /// Adds the newest grant.
    @inline(__always)
    mutating func addHolder(
        _ grant: Slot<Grant>, _ mode: LockMode, wantsRecall: Bool, in grants: inout Slab<Grant>
    ) {
        holders.append(grant, in: &grants)
        if mode != .read { setMode(mode, of: grant) }
        if wantsRecall { recallers += 1 }
    }

    @inline(__always)
    mutating func removeHolder(_ grant: Slot<Grant>, wantsRecall: Bool, in grants: inout Slab<Grant>) {
        holders.remove(grant, in: &grants)
        if exclusive == grant { setMode(.read, of: grant) }
        if wantsRecall { recallers -= 1 }
    }

    /// Notes the mode of a grant that is or was exclusive.
    mutating func setMode(_ mode: LockMode, of grant: Slot<Grant>) {
        exclusive = mode == .read ? nil : grant
        exclusiveMode = mode
    }

    mutating func addWaiter(
        _ waiter: Slot<Waiter>, _ mode: LockMode, isUpgrade: Bool, in waiters: inout Slab<Waiter>
    ) {
        if isUpgrade {
            upgrade = waiter
        } else if mode == .read {
            readers.append(waiter, in: &waiters)
        } else {
            contenders.append(waiter, in: &waiters)
            if mode == .write { waitingWriters += 1 }
        }
    }

    mutating func removeWaiter(
        _ waiter: Slot<Waiter>, _ mode: LockMode, isUpgrade: Bool, in waiters: inout Slab<Waiter>
    ) {
        if isUpgrade {
            upgrade = nil
        } else if mode == .read {
            readers.remove(waiter, in: &waiters)
        } else {
            contenders.remove(waiter, in: &waiters)
            if mode == .write { waitingWriters -= 1 }
        }
    }
}
