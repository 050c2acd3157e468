public import LockVocabulary

/// What the caller does for the fleet. Each command may be given again, with the same result.
extension LockTable {
    // MARK: - Claims

    /// Lets sessions have more of a shared lock, because the host has a claim: what the fleet held is released or weakened, and
    /// its recall ends. The lock stays, even unused, until `setClaimed` or a seizure.
    ///
    /// Only `recall` and `seize` make the fleet hold more, so this does nothing if it holds less.
    public mutating func setFleetHold(_ name: LockName, _ hold: SharedHold, at now: Instant) {
        advance(to: now)
        guard isShared(name), hold != .all else { return }
        let lock = names.find(name) ?? addSharedLock(name)
        locks[lock].sharing.insert(.claimed)
        guard fleetHold(of: lock).rawValue > hold.rawValue else { return }
        setRecall(.none, isFirst: false, of: lock)
        if hold == .read { setFleetMode(.update, on: lock) } else { endFleetGrant(of: lock) }
        reconcile(lock)
    }

    /// Sets whether the host has a claim on a shared lock. Without one, the fleet holds all, the lock's mark is the fleet's to
    /// keep, and the record goes when no session uses it.
    public mutating func setClaimed(_ name: LockName, _ isClaimed: Bool, at now: Instant) {
        advance(to: now)
        guard isShared(name) else { return }
        guard !isClaimed else {
            let lock = names.find(name) ?? addSharedLock(name)
            locks[lock].sharing.insert(.claimed)
            return
        }
        guard let lock = names.find(name), locks[lock].sharing.contains(.claimed) else { return }
        precondition(fleetHold(of: lock) == .all, "a claim is given up while sessions may use it")
        locks[lock].sharing.remove(.claimed)
        setMark(nil, lock)
        reconcile(lock)
    }

    /// Whether the host has a claim on a shared lock.
    public func isClaimed(_ name: LockName) -> Bool {
        names.look(for: name).map { locks[$0].sharing.contains(.claimed) } ?? false
    }

    /// Sets or removes the mark of a shared lock that has a record.
    public mutating func setMark(_ name: LockName, _ mark: Mark?, at now: Instant) {
        advance(to: now)
        guard let lock = names.find(name), locks[lock].isShared, locks[lock].mark != mark else { return }
        setMark(mark, lock)
        reconcile(lock)
    }

    // MARK: - Recall

    /// Makes the fleet request a lock, because other hosts wait for it: all of it, or `update`, beside which sessions may go on
    /// to read, if other hosts only want to read. The situation tells when it has got it.
    ///
    /// - Parameter first: whether the request goes before all writers and updaters that wait.
    public mutating func recall(_ name: LockName, sharing: Bool, first: Bool, at now: Instant) {
        advance(to: now)
        guard let lock = names.find(name), locks[lock].isShared else { return }
        setRecall(sharing ? .share : .all, isFirst: first, of: lock)
        reconcile(lock)
    }

    /// Ends the fleet's request.
    public mutating func endRecall(_ name: LockName, at now: Instant) {
        advance(to: now)
        guard let lock = names.find(name), locks[lock].isShared else { return }
        // A table that was built from facts knows the request, and not why it was made.
        guard stake(of: lock).recall != .none || locks[lock].sharing.contains(.waits) else { return }
        setRecall(.none, isFirst: false, of: lock)
        reconcile(lock)
    }

    private mutating func setRecall(_ recall: FleetRecall, isFirst: Bool, of lock: Slot<Lock>) {
        changeStake(of: lock) {
            $0.recall = recall
            $0.isFirst = isFirst
        }
        pursueRecall(lock)
    }

    // MARK: - Seizure

    /// Takes a shared lock from all sessions of this host at once, because its claim has ended. Waiting requests stay.
    ///
    /// It precedes all that is due, also the end of a lease: a waiting request must not get the lock in between. So it is not done
    /// in turns. Each grant ends with an effect.
    public mutating func seize(_ name: LockName, at now: Instant) {
        beginSeizure(at: now)
        if let lock = names.find(name), locks[lock].isShared { take(lock) }
        advance(to: now)
    }

    /// The same for all shared locks.
    public mutating func seizeAllShared(at now: Instant) {
        beginSeizure(at: now)
        // The last lock that is removed gives the slab's memory back.
        var raw: UInt32 = 0
        while raw < locks.bound {
            if locks[Slot(raw: raw)].isShared { take(Slot(raw: raw)) }
            raw += 1
        }
        advance(to: now)
    }

    private mutating func beginSeizure(at now: Instant) {
        precondition(now >= clock, "time went back")
        clock = now
        stepsLeft = .max
    }

    private mutating func take(_ lock: Slot<Lock>) {
        changeStake(of: lock) {
            $0.recall = .none
            $0.isFirst = false
        }
        locks[lock].sharing.subtract([.claimed, .deferred])
        if locks[lock].sharing.contains(.waits) { removeFleetWaiter(of: lock) }
        if let upgrade = locks[lock].upgrade, isOver(upgrade), !isCancelled(upgrade) { drop(upgrade) }
        var held: [Slot<Grant>] = []
        locks[lock].holders.forEach(in: grants) { if !isFleet($0) { held.append($0) } }
        for grant in held { revokeAtOnce(grant) }
        if locks[lock].sharing.contains(.holds) {
            setFleetMode(.write, on: lock)
        } else {
            addFleetGrant(lock, .write)
        }
        // Another host finds out that this one held the lock, and the fleet keeps the mark.
        setMark(nil, lock)
        if locks[lock].isUnused { removeLock(lock) } else { noteShared(lock) }
    }

    private mutating func revokeAtOnce(_ grant: Slot<Grant>) {
        if isOver(grant) { return endOver(grant) }
        let record = grants[grant]
        effects.append(
            .revoked(id(of: owners[record.owner].session), name(of: record.lock), record.token))
        emit(.revoked, grant)
        // This sets no mark: it would be removed at once.
        endGrant(grant, cleanly: true)
    }

    // MARK: - Refusals

    /// Refuses the requests on a shared lock that were not to wait.
    public mutating func refuseProbes(_ name: LockName, at now: Instant) {
        refuseWaiting(on: name, at: now) { $0.isProbe ? $1() : nil }
    }

    /// Refuses the requests that wait for a shared lock, because the fleet cannot be asked: all of them, or those without a
    /// deadline.
    public mutating func refuseUnavailable(_ name: LockName, onlyEndless: Bool, at now: Instant) {
        refuseWaiting(on: name, at: now) { waiter, _ in
            !onlyEndless || waiter.timeout == nil || waiter.isProbe ? .unavailable : nil
        }
    }

    /// Refuses the waiting request to upgrade, because a session of another host waits to upgrade as well: each would wait for
    /// the end of the other.
    public mutating func refuseUpgrade(_ name: LockName, _ circle: Circle, at now: Instant) {
        refuseWaiting(on: name, at: now) { waiter, _ in waiter.upgrades == nil ? nil : .deadlock(circle) }
    }

    /// Refuses the waiting request with a number, because it is part of a circle over several hosts. Returns false if it does not
    /// wait any more.
    @discardableResult
    public mutating func refuse(
        _ number: UInt64, on name: LockName, _ circle: Circle, at now: Instant
    ) -> Bool {
        var isFound = false
        refuseWaiting(on: name, at: now) { waiter, _ in
            guard waiter.number == number else { return nil }
            isFound = true
            return .deadlock(circle)
        }
        return isFound
    }

    /// Refuses requests of sessions; the body decides which, and is given what a busy lock is refused with.
    private mutating func refuseWaiting(
        on name: LockName, at now: Instant, _ decide: (Waiter, () -> Refusal) -> Refusal?
    ) {
        advance(to: now)
        guard let lock = names.find(name), locks[lock].isShared else { return }
        var refused: [(Slot<Waiter>, Refusal)] = []
        func look(_ waiter: Slot<Waiter>) {
            guard !isFleet(waiter), !isOver(waiter) else { return }
            let record = waiters[waiter]
            let refusal = decide(record) {
                .busy(blockers(of: record.mode, on: lock, upgrading: record.upgrades))
            }
            if let refusal { refused.append((waiter, refusal)) }
        }
        if let upgrade = locks[lock].upgrade { look(upgrade) }
        locks[lock].contenders.forEach(in: waiters) { look($0) }
        locks[lock].readers.forEach(in: waiters) { look($0) }
        noteSearched(locks[lock].waiters)
        for (waiter, refusal) in refused { refuse(waiter, refusal, as: .refused) }
        if !refused.isEmpty { reconcile(lock) }
    }

    // MARK: - Tokens

    /// Sets which tokens grants of shared locks get: none below the floor, none of the gate or above.
    ///
    /// A request for which no such token is left waits for the gate. The floor never takes a token back.
    public mutating func setSharedTokens(floor: Token, gate: Token, at now: Instant) {
        advance(to: now)
        nextSharedToken = max(nextSharedToken, floor)
        sharedGate = gate
        guard hasSharedToken, !shutLocks.isEmpty else { return }
        let shut = shutLocks
        shutLocks = []
        for lock in shut where locks.reaches(lock) && locks[lock].sharing.contains(.shut) {
            locks[lock].sharing.remove(.shut)
            if !locks[lock].isUnsettled { resumeService(of: lock) }
        }
        advance(to: now)
    }

    /// The number of tokens for shared locks that are left.
    public var sharedTokensLeft: UInt64 {
        hasSharedToken ? sharedGate.rawValue - nextSharedToken.rawValue : 0
    }

    /// The token of the next grant of a shared lock, if the gate lets it.
    public var sharedTokensBegin: Token { nextSharedToken }

    @inline(__always)
    var hasSharedToken: Bool { nextSharedToken < sharedGate }

    /// Lets the requests of a lock wait until the gate opens.
    mutating func shut(_ lock: Slot<Lock>) {
        guard !locks[lock].sharing.contains(.shut) else { return }
        locks[lock].sharing.insert(.shut)
        shutLocks.append(lock)
    }
}
