import LockVocabulary

// The rules of fairness. Who may hold a lock at once, who goes next, and who stood in the way: each decision is made here
// and nowhere else. README.md states the rules, and proves that nobody waits in a circle and no wake-up is lost.

/// Whether a request may be granted at once.
extension LockTable {
    /// Whether the owner may hold the lock in this mode now (G1 to G4).
    @inline(__always)
    func mayHold(_ lock: Slot<Lock>, _ mode: LockMode, owner: Slot<Owner>?) -> Bool {
        guard graceEnd == nil else { return false }
        switch mode {
        case .read:
            if locks[lock].exclusiveMode == .write { return false }
            return !locks[lock].keepsReadersOut || mayHoldMore(owner, lock)
        case .update:
            guard locks[lock].exclusive == nil else { return false }
            let isFirst = locks[lock].contenders.isEmpty && locks[lock].upgrade == nil
            return isFirst || mayHoldMore(owner, lock)
        case .write:
            return locks[lock].holders.isEmpty && locks[lock].contenders.isEmpty
        }
    }

    /// Whether the owner holds the lock, so that it goes past those who wait (G4); but for its own upgrade, which
    /// would then wait for its own owner.
    @inline(__always)
    private func mayHoldMore(_ owner: Slot<Owner>?, _ lock: Slot<Lock>) -> Bool {
        guard let owner else { return false }
        return held(by: owner, on: lock).count > 0 && !waitsToUpgrade(owner, lock)
    }

    private func waitsToUpgrade(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> Bool {
        guard let upgrade = locks[lock].upgrade else { return false }
        return waiters[upgrade].owner == owner
    }

    /// Whether such a request conflicts with a grant of the owner's own, other than the one to be upgraded, or
    /// with what its own upgrade will make of one: a circle of one (G4).
    @inline(__always)
    func conflictsWithItself(
        _ lock: Slot<Lock>, _ mode: LockMode, owner: Slot<Owner>, upgrading grant: Slot<Grant>?
    ) -> Bool {
        switch mode {
        case .write:
            return held(by: owner, on: lock).count > (grant == nil ? 0 : 1)
        case .update, .read:
            return waitsToUpgrade(owner, lock) || holdsInConflict(owner, lock, mode)
        }
    }

    /// Whether the exclusive grant of a lock is the owner's, and conflicts with a request to read or update.
    @inline(__always)
    func holdsInConflict(_ owner: Slot<Owner>, _ lock: Slot<Lock>, _ mode: LockMode) -> Bool {
        guard let exclusive = locks[lock].exclusive, grants[exclusive].owner == owner else { return false }
        return mode.conflicts(with: grants[exclusive].mode)
    }
}

/// Who goes next when something on a lock has ended.
extension LockTable {
    /// Grants what may be granted now on each lock, and forgets the locks that nobody uses.
    mutating func reconcile(_ touched: [Slot<Lock>]) {
        // A lock may be touched twice, and its place gone with the first: the last lock takes all places with it.
        for lock in touched where locks.reaches(lock) && !locks[lock].isVacant { reconcile(lock) }
    }

    mutating func reconcile(_ lock: Slot<Lock>) {
        if locks[lock].hasWaiters, graceEnd == nil { serve(lock) }
        if locks[lock].isUnused { removeLock(lock) }
    }

    /// Grants in the order of G2, G3 and G10: an upgrade; then writers and updaters as they came; then, if
    /// nobody waits to write, all readers. Each step stops at the first that has to wait on.
    private mutating func serve(_ lock: Slot<Lock>) {
        if let upgrade = locks[lock].upgrade {
            guard locks[lock].holders.count == 1 else { return }
            grant(upgrade)
            // A token that is lacking ends the upgrade's wait, and then the others are to be looked at.
            if locks[lock].exclusiveMode == .write { return }
        }
        while let contender = locks[lock].contenders.first {
            let isWrite = waiters[contender].mode == .write
            guard isWrite ? locks[lock].holders.isEmpty : locks[lock].exclusive == nil else { break }
            grant(contender)
        }
        guard !locks[lock].keepsReadersOut, locks[lock].exclusiveMode != .write else { return }
        while let reader = locks[lock].readers.first { grant(reader) }
    }
}

/// Who stands in the way.
extension LockTable {
    /// Who stands in the way of a request: those who hold in a mode that conflicts, or, where none does, all
    /// holders, whom somebody ahead waits for.
    func blockers(of mode: LockMode, on lock: Slot<Lock>, upgrading grant: Slot<Grant>?) -> Blockers {
        guard graceEnd == nil else { return .unknown }
        if mode != .write, let exclusive = locks[lock].exclusive, mode.conflicts(with: grants[exclusive].mode)
        {
            return Blockers(first: [blocker(exclusive)], more: 0)
        }
        var first: [Blockers.Blocker] = []
        var holders = locks[lock].holders.walk()
        while first.count < Blockers.most, let holder = holders.next(in: grants) {
            if holder != grant { first.append(blocker(holder)) }
        }
        let others = Int(locks[lock].holders.count) - (grant == nil ? 0 : 1)
        return Blockers(first: first, more: others - first.count)
    }

    private func blocker(_ grant: Slot<Grant>) -> Blockers.Blocker {
        Blockers.Blocker(session: id(of: owners[grants[grant].owner].session), mode: grants[grant].mode)
    }

    /// Whether a waiting request conflicts with a grant.
    func isWaitedFor(_ grant: Slot<Grant>) -> Bool {
        let lock = grants[grant].lock
        if locks[lock].waitingWriters > 0 { return true }
        if let upgrade = locks[lock].upgrade, waiters[upgrade].upgrades != grant { return true }
        switch grants[grant].mode {
        case .read: return false
        case .update: return !locks[lock].contenders.isEmpty
        case .write: return true
        }
    }
}
