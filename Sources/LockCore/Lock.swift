import LockVocabulary

/// One reader-writer lock with its holders and its waiting requests.
///
///   request                    granted
///  ─────────▶ [ WAITING ] ──────────────▶ [ HELD ]
///                 │ cancel, deadline         │ release, expire, revoke, death
///                 ▼                          ▼
///               (gone)                     (gone)
///
/// README.md states the invariants, and `LockTable.checkInvariants()` checks them.
struct Lock: Placeable {
    static var vacant: Lock { Lock(name: .nowhere) }

    /// The entry of its name in the tree of names.
    var name: Slot<NameTree.Entry>
    /// The grants, in the order of their tokens.
    private(set) var holders = LinkedList<Grant.OnLock>()
    /// The update or write grant. There is at most one.
    @Compact private(set) var exclusive: Slot<Grant>? = nil
    /// The mode of the exclusive grant; `read` without one.
    private(set) var exclusiveMode = LockMode.read
    /// Whether its holders are in the index: from more than `fewHolders` on, until the last of them ends.
    var isIndexed = false
    /// Whether waiting requests can be granted, and the agenda has this lock.
    var isUnsettled = false
    /// Whether all its holders were told that a request to write waits.
    var hasRecalledAll = false
    /// The next holder to tell that a request waits; nil if no holder is still to be told.
    @Compact private(set) var nextToRecall: Slot<Grant>? = nil
    /// Its mark, if its last write grant ended without a release (G11).
    var mark: Mark? = nil
    /// Whether some of its grants are cached: `cachedOn` has them.
    var hasCached = false
    /// What it is to the fleet, if its name is shared.
    var sharing = Sharing()
    /// The number of holders in sessions that want recalls.
    var recallers: UInt32 = 0
    /// The waiting upgrade. There is at most one, as two would wait for each other.
    @Compact private(set) var upgrade: Slot<Waiter>? = nil
    /// The waiting writers and updaters, in the order of arrival (G3).
    private(set) var contenders = LinkedList<Waiter.InRow>()
    /// The number of writers among the contenders.
    private(set) var waitingWriters: UInt32 = 0
    /// The waiting readers, in the order of arrival. They are granted together (G3).
    private(set) var readers = LinkedList<Waiter.InRow>()
    /// The neighbours in the list of marks.
    var markLinks = Links<Lock>()

    enum Marked: Membership {
        static var links: WritableKeyPath<Lock, Links<Lock>> { \.markLinks }
    }

    init(name: Slot<NameTree.Entry>) { self.name = name }

    /// Up to this many holders, a walk is faster than the index.
    static var fewHolders: UInt32 { 8 }

    var isVacant: Bool { name == .nowhere }

    var hasWaiters: Bool { upgrade != nil || !contenders.isEmpty || !readers.isEmpty }

    var waiters: Int { (upgrade == nil ? 0 : 1) + Int(contenders.count) + Int(readers.count) }

    /// Whether a request to write waits, which keeps new readers out (G2, G10).
    var keepsReadersOut: Bool { waitingWriters > 0 || upgrade != nil }

    /// Whether the lock has a mark.
    var ownerDied: Bool { mark != nil }

    var isShared: Bool { !sharing.isEmpty }

    /// The number of grants of the fleet's session: 0 or 1.
    var fleetHolders: UInt32 { UInt32(sharing.intersection(.holds).rawValue) }

    /// Whether the record can be removed.
    var isUnused: Bool {
        holders.count == fleetHolders && !ownerDied && !hasWaiters && !sharing.contains(.claimed)
    }

    /// Adds the newest grant.
    @inline(__always)
    mutating func addHolder(
        _ grant: Slot<Grant>, _ mode: LockMode, wantsRecall: Bool, in grants: inout Slab<Grant>
    ) {
        holders.append(grant, in: &grants)
        if mode != .read { setMode(mode, of: grant) }
        guard wantsRecall else { return }
        recallers += 1
        // Where a request to write waits, the caller recalls the new grant at once.
        if !keepsReadersOut { hasRecalledAll = false }
    }

    @inline(__always)
    mutating func removeHolder(_ grant: Slot<Grant>, wantsRecall: Bool, in grants: inout Slab<Grant>) {
        if nextToRecall == grant { nextToRecall = grants[grant].lockLinks.next }
        holders.remove(grant, in: &grants)
        if exclusive == grant { setMode(.read, of: grant) }
        if wantsRecall { recallers -= 1 }
    }

    /// Begins a walk that tells all holders, unless one is under way.
    mutating func beginRecalls() {
        if nextToRecall == nil { nextToRecall = holders.first }
    }

    /// Ends the walk, because no holder is waited for any more.
    mutating func endRecalls() {
        nextToRecall = nil
        hasRecalledAll = false
    }

    /// The next holder to tell; the walk goes on behind it.
    mutating func takeNextToRecall(in grants: borrowing Slab<Grant>) -> Slot<Grant>? {
        guard let next = nextToRecall else { return nil }
        nextToRecall = grants[next].lockLinks.next
        return next
    }

    /// Records the new mode of a grant that is, or was, the exclusive grant.
    mutating func setMode(_ mode: LockMode, of grant: Slot<Grant>) {
        hasRecalledAll = false
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

    /// Adds a contender behind another one, or as the first.
    mutating func insertContender(
        _ waiter: Slot<Waiter>, _ mode: LockMode, behind other: Slot<Waiter>?, in waiters: inout Slab<Waiter>
    ) {
        if let other {
            contenders.insert(waiter, behind: other, in: &waiters)
        } else {
            contenders.prepend(waiter, in: &waiters)
        }
        if mode == .write { waitingWriters += 1 }
    }

    /// Moves a waiting reader to the place directly behind another one.
    mutating func moveReader(
        _ reader: Slot<Waiter>, behind other: Slot<Waiter>, in waiters: inout Slab<Waiter>
    ) {
        readers.remove(reader, in: &waiters)
        readers.insert(reader, behind: other, in: &waiters)
    }

    mutating func removeWaiter(
        _ waiter: Slot<Waiter>, _ mode: LockMode, isUpgrade: Bool, in waiters: inout Slab<Waiter>
    ) {
        if isUpgrade {
            upgrade = nil
            // Its grant was not told, as it did not wait for itself.
            hasRecalledAll = false
        } else if mode == .read {
            readers.remove(waiter, in: &waiters)
        } else {
            contenders.remove(waiter, in: &waiters)
            if mode == .write { waitingWriters -= 1 }
        }
    }
}
