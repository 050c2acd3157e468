import LockVocabulary

// The grants and requests of the fleet's session. They have no token, no lease and no place in lists, limits, counts, or changes
// for watchers; for the rules of fairness and the search for circles they are as any others.

extension LockTable {
    /// The fleet's session, which is made at its first use.
    private mutating func openFleet() -> Slot<Session> {
        if let fleet { return fleet }
        addAccount(AccountID(rawValue: 0))
        nextSerial = max(1, nextSerial &+ 1)
        let session = sessions.insert(
            Session(serial: nextSerial, account: AccountID(rawValue: 0), share: Share()))
        fleet = session
        return session
    }

    /// The fleet's owner for a lock, which is made if it is missing.
    mutating func fleetOwner(of lock: Slot<Lock>) -> Slot<Owner> {
        if let owner = stake(of: lock).owner { return owner }
        let session = openFleet()
        let owner = owners.insert(Owner(session: session))
        sessions[session].owners.prepend(owner, in: &owners)
        changeStake(of: lock) { $0.owner = owner }
        return owner
    }

    private mutating func removeFleetOwnerIfIdle(of lock: Slot<Lock>) {
        guard let owner = stake(of: lock).owner, owners[owner].isIdle else { return }
        sessions[owners[owner].session].owners.remove(owner, in: &owners)
        owners.remove(owner)
        changeStake(of: lock) { $0.owner = nil }
    }

    /// Counts what the fleet's session has. No account is charged for it, and no limit counts it.
    mutating func chargeFleet(grants: Int = 0, waiters: Int = 0) {
        guard let fleet else { return }
        sessions[fleet].usage.grants += grants
        sessions[fleet].usage.waiters += waiters
        fleetRecords += grants + waiters
    }

    // MARK: - Grants

    /// Lets the fleet hold a lock on which it holds nothing. The caller has decided that it may.
    mutating func addFleetGrant(_ lock: Slot<Lock>, _ mode: LockMode) {
        let owner = fleetOwner(of: lock)
        let grant = grants.insert(
            Grant(token: .ofFleet, since: clock, lease: Lease(.forever), lock: lock, owner: owner, mode: mode)
        )
        noteFact(.grant, grant.raw)
        linkFleetGrant(grant, on: lock)
    }

    /// Enters a grant of the fleet into its lock and its owner.
    mutating func linkFleetGrant(_ grant: Slot<Grant>, on lock: Slot<Lock>) {
        owners[grants[grant].owner].grants.prepend(grant, in: &grants)
        chargeFleet(grants: 1)
        locks[lock].addHolder(grant, grants[grant].mode, wantsRecall: false, in: &grants)
        index(grant, on: lock)
        locks[lock].sharing.insert(.holds)
        changeStake(of: lock) { $0.grant = grant }
        noteShared(lock)
    }

    /// Ends the fleet's grant, which never leaves or removes a mark. The caller reconciles the lock.
    mutating func endFleetGrant(of lock: Slot<Lock>) {
        guard let grant = stake(of: lock).grant else { return }
        let record = grants[grant]
        chargeFleet(grants: -1)
        locks[lock].removeHolder(grant, wantsRecall: false, in: &grants)
        owners[record.owner].grants.remove(grant, in: &grants)
        if locks[lock].isIndexed { removeFromIndex(grant, record) }
        grants.remove(grant)
        noteFact(.grant, grant.raw)
        locks[lock].sharing.remove(.holds)
        changeStake(of: lock) { $0.grant = nil }
        removeFleetOwnerIfIdle(of: lock)
        noteShared(lock)
    }

    /// Changes what the fleet holds.
    mutating func setFleetMode(_ mode: LockMode, on lock: Slot<Lock>) {
        guard let grant = stake(of: lock).grant else { return }
        grants[grant].mode = mode
        noteFact(.grant, grant.raw)
        locks[lock].setMode(mode, of: grant)
        noteShared(lock)
    }

    /// Grants the fleet's waiting request.
    mutating func grantFleet(_ waiter: Slot<Waiter>) {
        let (lock, mode) = (waiters[waiter].lock, waiters[waiter].mode)
        if waiters[waiter].upgrades != nil {
            removeFleetWaiter(of: lock)
            setFleetMode(mode, on: lock)
        } else {
            removeFleetWaiter(of: lock)
            addFleetGrant(lock, mode)
        }
    }

    // MARK: - Requests

    /// Makes the fleet request what its recall of a lock needs, or ends its request. The caller reconciles the lock, which grants
    /// the request where that is possible.
    ///
    /// The request may have to be put off: one session's request to upgrade has the only place for upgrades, or the fleet would
    /// close a circle of owners, which `fleetDependencies` tells. Both end with an event on this lock, and `reconcile` then calls
    /// this again.
    mutating func pursueRecall(_ lock: Slot<Lock>) {
        locks[lock].sharing.remove(.deferred)
        let stake = stake(of: lock)
        guard let mode = stake.recall.mode(for: fleetHold(of: lock)) else {
            return removeFleetWaiter(of: lock)
        }
        if let waiter = stake.waiter {
            if waiters[waiter].mode == mode {
                if stake.isFirst { moveFirst(waiter) }
                return
            }
            removeFleetWaiter(of: lock)
        }
        let isTaken = stake.grant != nil && locks[lock].upgrade != nil
        guard !isTaken, !closesCircle(mode, on: lock, isFirst: false) else {
            locks[lock].sharing.insert(.deferred)
            return
        }
        let waiter = waiters.insert(
            Waiter(
                number: nextNumber, place: nextNumber, since: clock, mode: mode, lock: lock,
                owner: fleetOwner(of: lock), upgrades: stake.grant, lease: Lease(.forever)))
        nextNumber += 1
        linkFleetWaiter(waiter)
        locks[lock].addWaiter(waiter, mode, isUpgrade: stake.grant != nil, in: &waiters)
        recallHolders(of: lock)
        if stake.isFirst { moveFirst(waiter) }
    }

    /// The mode of the fleet's request on a lock that was put off, as it would close a circle of owners; nil for none.
    func deferredMode(on lock: Slot<Lock>) -> LockMode? {
        guard locks[lock].sharing.contains(.deferred), locks[lock].upgrade == nil else { return nil }
        return stake(of: lock).recall.mode(for: fleetHold(of: lock))
    }

    /// Whether a request of the fleet would close a circle of owners, or that cannot be known within the bound.
    private mutating func closesCircle(_ mode: LockMode, on lock: Slot<Lock>, isFirst: Bool) -> Bool {
        let owner = fleetOwner(of: lock)
        let request = WaitsFor.Request(
            owner: owner, asking: hop(owner, lock), lock: lock, mode: mode, upgrades: stake(of: lock).grant,
            isFirst: isFirst)
        defer { removeFleetOwnerIfIdle(of: lock) }
        guard case .none = searchCircle(closedBy: request) else { return true }
        return false
    }

    /// Enters a request of the fleet into its owner; the caller enters it into its row.
    mutating func linkFleetWaiter(_ waiter: Slot<Waiter>) {
        let (lock, owner) = (waiters[waiter].lock, waiters[waiter].owner)
        noteFact(.waiter, waiter.raw)
        owners[owner].waiters.prepend(waiter, in: &waiters)
        chargeFleet(waiters: 1)
        Self.changeStake(in: &waits, of: owner, owners, on: lock) { $0.add(waiter) }
        locks[lock].sharing.insert(.waits)
        changeStake(of: lock) { $0.waiter = waiter }
    }

    /// Ends the fleet's request, if there is one. The caller reconciles the lock.
    mutating func removeFleetWaiter(of lock: Slot<Lock>) {
        unlinkFleetWaiter(of: lock)
        removeFleetOwnerIfIdle(of: lock)
    }

    private mutating func unlinkFleetWaiter(of lock: Slot<Lock>) {
        guard let waiter = stake(of: lock).waiter else { return }
        let record = waiters[waiter]
        forgetFirstWriter(waiter)
        locks[lock].removeWaiter(waiter, record.mode, isUpgrade: record.upgrades != nil, in: &waiters)
        Self.changeStake(in: &waits, of: record.owner, owners, on: lock) { $0.remove(waiter) }
        owners[record.owner].waiters.remove(waiter, in: &waiters)
        chargeFleet(waiters: -1)
        waiters.remove(waiter)
        noteFact(.waiter, waiter.raw)
        locks[lock].sharing.remove(.waits)
        changeStake(of: lock) { $0.waiter = nil }
    }

    /// Moves the fleet's request before all contenders, unless that would close a circle of owners.
    ///
    /// Then it stays where it is: those before it came earlier, so it does not wait for ever.
    private mutating func moveFirst(_ waiter: Slot<Waiter>) {
        let lock = waiters[waiter].lock
        guard waiters[waiter].upgrades == nil, let former = waiters[waiter].rowLinks.previous else { return }
        let record = waiters[waiter]
        // The search must not find the request at its former place.
        unlinkFleetWaiter(of: lock)
        let stays = closesCircle(record.mode, on: lock, isFirst: true)
        let moved = waiters.insert(
            Waiter(
                number: record.number, place: stays ? record.place : 0, since: record.since,
                mode: record.mode, lock: lock, owner: fleetOwner(of: lock), lease: record.lease))
        linkFleetWaiter(moved)
        locks[lock].insertContender(moved, record.mode, behind: stays ? former : nil, in: &waiters)
        if !firstWriters.isEmpty { firstWriters[lock] = nil }
    }

    /// Makes way for a session's request to upgrade, which other hosts let go first as well. Returns whether the fleet had the
    /// place; if the session's request does not take it, the caller reconciles the lock.
    mutating func stepBack(on lock: Slot<Lock>) -> Bool {
        guard locks[lock].sharing.contains(.waits), let upgrade = locks[lock].upgrade, isFleet(upgrade)
        else { return false }
        removeFleetWaiter(of: lock)
        // A table that was built from facts knows the request, and not why it was made: the caller asks for it again.
        if stake(of: lock).recall != .none { locks[lock].sharing.insert(.deferred) }
        return true
    }
}

extension Token {
    /// In the grants of the fleet's session, which have none.
    static var ofFleet: Token { Token(rawValue: 0) }
}

extension FleetRecall {
    /// What the fleet has to request beside what it holds; nil for nothing more.
    fileprivate func mode(for hold: SharedHold) -> LockMode? {
        switch self {
        case .none: nil
        case .share: hold == .nothing ? .update : nil
        case .all: hold == .all ? nil : .write
        }
    }
}
