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
    static var vacant: Lock { Lock() }

    /// Where its name stands; none where no lock is.
    var entry = Slot<NameTree.Entry>.none
    /// The grants, in the order of their tokens.
    var firstHolder = Slot<Grant>.none
    var lastHolder = Slot<Grant>.none
    var holders: UInt32 = 0
    /// The update or write grant, of which there is at most one.
    var exclusive = Slot<Grant>.none
    var exclusiveMode = LockMode.read
    /// Whether its tokens stand in the index: from more than `fewHolders` on, until the last of them is gone.
    var isIndexed = false
    /// Whether the last writer ended otherwise than by release (G11).
    var ownerDied = false
    /// How many holders asked to be told when somebody waits.
    var recallers: UInt32 = 0
    /// The upgrade that waits, of which there is at most one: two would wait for each other.
    var upgrade = Slot<Waiter>.none
    /// Writers and updaters that wait, in the order of coming (G3).
    var contenders = WaitQueue()
    /// How many of the contenders want to write.
    var waitingWriters: UInt32 = 0
    /// Readers that wait, in the order of coming; they go together (G3).
    var readers = WaitQueue()
    /// The other locks with a mark, the oldest first.
    var nextMarked = Slot<Lock>.none
    var previousMarked = Slot<Lock>.none

    /// How many holders are quicker looked at than looked up.
    static var fewHolders: UInt32 { 8 }

    var isVacant: Bool { entry.isNone }

    var hasWaiters: Bool { !upgrade.isNone || !contenders.isEmpty || !readers.isEmpty }

    var waiters: Int { (upgrade.isNone ? 0 : 1) + Int(contenders.count) + Int(readers.count) }

    /// Whether somebody waits to write, so that no new reader gets in (G2, G10).
    var keepsReadersOut: Bool { waitingWriters > 0 || !upgrade.isNone }

    /// Whether nothing is left that the lock has to be there for.
    var isUnused: Bool { holders == 0 && !ownerDied && !hasWaiters }

    /// The strongest mode that somebody holds.
    var mode: LockMode? { holders == 0 ? nil : exclusiveMode }

    /// Adds the newest grant.
    mutating func addHolder(
        _ grant: Slot<Grant>, _ mode: LockMode, wantsRecall: Bool, in grants: inout Slab<Grant>
    ) {
        if lastHolder.isNone {
            firstHolder = grant
        } else {
            grants[grant].previousHolder = lastHolder
            grants[lastHolder].nextHolder = grant
        }
        lastHolder = grant
        holders += 1
        if mode != .read {
            exclusive = grant
            exclusiveMode = mode
        }
        if wantsRecall { recallers += 1 }
    }

    /// Takes out a grant, whose record is this.
    mutating func removeHolder(
        _ grant: Slot<Grant>, _ record: Grant, wantsRecall: Bool, in grants: inout Slab<Grant>
    ) {
        let next = record.nextHolder
        let previous = record.previousHolder
        if previous.isNone { firstHolder = next } else { grants[previous].nextHolder = next }
        if next.isNone { lastHolder = previous } else { grants[next].previousHolder = previous }
        holders -= 1
        if exclusive == grant {
            exclusive = .none
            exclusiveMode = .read
        }
        if wantsRecall { recallers -= 1 }
    }
}

/// Waiting requests in a row, each of which can leave from where it stands.
struct WaitQueue {
    var first = Slot<Waiter>.none
    var last = Slot<Waiter>.none
    var count: UInt32 = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ waiter: Slot<Waiter>, in waiters: inout Slab<Waiter>) {
        waiters[waiter].previous = last
        waiters[waiter].next = .none
        if last.isNone { first = waiter } else { waiters[last].next = waiter }
        last = waiter
        count += 1
    }

    mutating func remove(_ waiter: Slot<Waiter>, in waiters: inout Slab<Waiter>) {
        let next = waiters[waiter].next
        let previous = waiters[waiter].previous
        if previous.isNone { first = next } else { waiters[previous].next = next }
        if next.isNone { last = previous } else { waiters[next].previous = previous }
        count -= 1
    }
}
