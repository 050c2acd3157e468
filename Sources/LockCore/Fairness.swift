import LockVocabulary

// The rules of fairness: which request is granted at once, which waiting request is granted next, and which holders block a
// request. No other file decides this. README.md states the rules and proves that no circle of owners waits and that no
// wake-up is lost; a change here has to keep both proofs.

/// Decides whether a request is granted at once.
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

    /// Whether the owner holds the lock already, so that its request may pass the waiting requests (G4).
    ///
    /// An owner with a waiting upgrade may not: the upgrade would then wait for the new grant of its own owner.
    @inline(__always)
    private func mayHoldMore(_ owner: Slot<Owner>?, _ lock: Slot<Lock>) -> Bool {
        guard let owner else { return false }
        return held(by: owner, on: lock).count > 0 && !waitsToUpgrade(owner, lock)
    }

    private func waitsToUpgrade(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> Bool {
        guard let upgrade = locks[lock].upgrade else { return false }
        return waiters[upgrade].owner == owner
    }

    /// Whether the request would wait for its own owner, which is a circle of one (G4).
    ///
    /// That is so if the request conflicts with another grant of the owner, or if an upgrade of the owner waits.
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

    /// Whether the owner has the exclusive grant of the lock, and it conflicts with a request to read or update.
    @inline(__always)
    func holdsInConflict(_ owner: Slot<Owner>, _ lock: Slot<Lock>, _ mode: LockMode) -> Bool {
        guard let exclusive = locks[lock].exclusive, grants[exclusive].owner == owner else { return false }
        return mode.conflicts(with: grants[exclusive].mode)
    }
}

/// Decides which waiting requests are granted after a grant or a request has ended.
extension LockTable {
    /// Reconciles each lock once all removals are done.
    mutating func reconcile(_ touched: [Slot<Lock>]) {
        // `touched` may name a lock twice, and the first time may have removed it. Removing the last lock frees the slab's
        // chunks, so check the slot against the slab before reading it.
        for lock in touched where locks.reaches(lock) && !locks[lock].isVacant { reconcile(lock) }
    }

    /// Grants the waiting requests that no longer conflict, and removes the lock if it is unused.
    ///
    /// Call this after the removal of a grant or a request: a request is only granted once the grant that blocked it has
    /// gone. Cost: the requests that are granted, and one look at each row. Where no steps are left, the rest goes on the
    /// agenda; until then no command is decided on the lock (`settle`).
    mutating func reconcile(_ lock: Slot<Lock>) {
        if locks[lock].sharing.contains(.deferred) { pursueRecall(lock) }
        let isServed = locks[lock].hasWaiters && graceEnd == nil
        setUnsettled(lock, isServed ? serve(lock) : nil)
        if locks[lock].isShared { return reconcileShared(lock) }
        if locks[lock].isUnused { removeLock(lock) }
    }

    /// Puts a lock on the agenda if a waiting request can be granted, and no step is left for it.
    private mutating func setUnsettled(_ lock: Slot<Lock>, _ next: Slot<Waiter>?) {
        guard (next != nil) != locks[lock].isUnsettled else { return }
        locks[lock].isUnsettled = next != nil
        if let next { agenda.settle(lock, of: account(of: waiters[next].owner)) }
    }

    /// Puts a lock on the agenda if one of its requests can be granted, and its holders if they may have to be told.
    mutating func resumeService(of lock: Slot<Lock>) {
        guard graceEnd == nil else { return }
        if let request = overdueReader(of: lock) ?? next(on: lock) {
            locks[lock].isUnsettled = true
            agenda.settle(lock, of: account(of: waiters[request].owner))
        }
        recallHolders(of: lock)
    }

    /// Grants what can be granted, one request after another.
    ///
    /// - Returns: the request that is next, if it can be granted and no step is left.
    private mutating func serve(_ lock: Slot<Lock>) -> Slot<Waiter>? {
        while true {
            // The loss of patience may be late, but not later than a decision that depends on it.
            if let reader = overdueReader(of: lock) {
                guard stepsLeft > 0 else { return reader }
                losePatience(through: reader)
            } else if let next = next(on: lock) {
                guard stepsLeft > 0 else { return next }
                if locks[lock].isShared, !hasSharedToken, !isFleet(next) {
                    shut(lock)
                    return nil
                }
                grant(next)
            } else {
                return nil
            }
        }
    }

    /// The waiting request that can be granted, in the order of G2, G3 and G10: first the upgrade, then writers and updaters in
    /// the order of arrival, and then, unless a writer waits, all readers. An impatient reader goes before the writers that came
    /// after it.
    private mutating func next(on lock: Slot<Lock>) -> Slot<Waiter>? {
        if let upgrade = locks[lock].upgrade { return locks[lock].holders.count == 1 ? upgrade : nil }
        guard locks[lock].exclusiveMode != .write else { return nil }
        if let contender = locks[lock].contenders.first {
            if waiters[contender].mode == .update {
                if locks[lock].exclusive == nil { return contender }
            } else if locks[lock].holders.isEmpty, !readerGoesFirst(on: lock) {
                return contender
            }
        }
        let reader = locks[lock].readers.first
        return locks[lock].waitingWriters == 0 || readerGoesFirst(on: lock) ? reader : nil
    }
}

/// Finds what blocks a request, and which grants are waited for.
extension LockTable {
    /// The holders that block a request: the exclusive grant if it conflicts with the mode, otherwise all holders.
    ///
    /// A reader or updater that conflicts with no holder waits for a request ahead of it, and that request waits for the
    /// holders.
    func blockers(of mode: LockMode, on lock: Slot<Lock>, upgrading grant: Slot<Grant>?) -> Blockers {
        guard graceEnd == nil else { return .unknown }
        if mode != .write, let exclusive = locks[lock].exclusive, mode.conflicts(with: grants[exclusive].mode)
        {
            return isFleet(exclusive)
                ? Blockers(first: [], more: 0, hasHosts: true)
                : Blockers(first: [blocker(exclusive)], more: 0)
        }
        var first: [Blockers.Blocker] = []
        var holders = locks[lock].holders.walk()
        while first.count < Blockers.most, let holder = holders.next(in: grants) {
            if holder != grant, !isFleet(holder) { first.append(blocker(holder)) }
        }
        let others = Int(locks[lock].holders.count - locks[lock].fleetHolders) - (grant == nil ? 0 : 1)
        return Blockers(
            first: first, more: others - first.count, hasHosts: locks[lock].sharing.contains(.holds))
    }

    /// Whether a request of a session waits for the fleet, and for no session: the claims of other hosts decide.
    func waitsOnlyForFleet(_ mode: LockMode, on lock: Slot<Lock>, upgrading grant: Slot<Grant>?) -> Bool {
        let record = locks[lock]
        guard record.isShared, graceEnd == nil else { return false }
        // Without a token for shared locks, the fleet is waited for as well.
        guard record.sharing.contains(.holds) else {
            let isFree = grant == nil ? mayHold(lock, mode, owner: nil) : record.holders.count == 1
            return record.sharing.contains(.shut) && !record.hasWaiters && isFree
        }
        if grant != nil { return record.upgrade == nil && record.holders.count == 2 }
        guard let exclusive = record.exclusive, isFleet(exclusive), record.upgrade == nil else {
            return false
        }
        switch mode {
        case .read: return record.waitingWriters == 0
        case .update: return record.contenders.isEmpty
        case .write: return record.contenders.isEmpty && record.holders.count == 1
        }
    }

    private func blocker(_ grant: Slot<Grant>) -> Blockers.Blocker {
        Blockers.Blocker(session: id(of: owners[grants[grant].owner].session), mode: grants[grant].mode)
    }

    /// Whether a waiting request of the lock conflicts with the grant.
    func isWaitedFor(_ grant: Slot<Grant>) -> Bool {
        mayBeWaitedFor(grant) && (!isBehind || isWaitedForNow(grant))
    }

    /// Whether one of the requests that conflict is not over. In turns, this examines only the first ones.
    private func isWaitedForNow(_ grant: Slot<Grant>) -> Bool {
        let lock = locks[grants[grant].lock]
        let mode = grants[grant].mode
        if let upgrade = lock.upgrade, waiters[upgrade].upgrades != grant {
            if !isOver(upgrade), !isCancelled(upgrade) { return true }
        }
        var left = completesAtOnce ? Int.max : stepsInTurn
        func counts(_ waiter: Slot<Waiter>) -> Bool {
            left -= 1
            return left < 0 || waiters[waiter].mode.conflicts(with: mode) && !isOver(waiter)
        }
        return lock.contenders.contains(in: waiters, where: counts)
            || mode == .write && lock.readers.contains(in: waiters, where: counts)
    }

    private func mayBeWaitedFor(_ grant: Slot<Grant>) -> Bool {
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
