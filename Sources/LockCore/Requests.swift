public import LockVocabulary

/// The commands of owners that make, upgrade or cancel requests.
extension LockTable {
    /// Requests a lock. An effect answers a request that waits.
    public mutating func acquire(
        _ request: Acquisition, by session: SessionID, at now: Instant
    ) -> Decision {
        acquire(
            request.name, request.mode, owner: request.owner, wait: request.wait, lease: request.lease,
            note: request.note, tag: request.tag, by: session, at: now)
    }

    /// The same for a request in parts: most requests are granted at once, and then nothing has to be copied but the name.
    public mutating func acquire(
        _ name: LockName, _ mode: LockMode, owner id: OwnerID, wait: TimeLimit, lease: TimeLimit, note: Note,
        tag: Tag?, by session: SessionID, at now: Instant
    ) -> Decision {
        advance(to: now)
        let session = slot(of: session)
        guard !isDraining else { return .refused(.draining) }
        if let exceeded = limitOnOneMoreGrant(of: session), !takeBackIdle(of: session) {
            return .refused(.limit(exceeded))
        }
        let found = names.find(name)
        if let found, locks[found].hasCached { resolveCached(on: found, for: mode, of: id, in: session) }
        let owner = findOwner(id, of: session)
        if let found {
            if !mayHold(found, mode, owner: owner) {
                if let owner, conflictsWithItself(found, mode, owner: owner, upgrading: nil) {
                    return .refused(.deadlock(circleOfOne(owner, found)))
                }
                let request = Acquisition(
                    name, mode, owner: id, wait: wait, lease: lease, note: note, tag: tag)
                return self.wait(request, on: found, upgrading: nil, owner: owner, of: session, at: now)
            }
        } else {
            guard locks.count < limits.locks else { return .refused(.limit(.locks)) }
            if graceEnd != nil || isShared(name) {
                let request = Acquisition(
                    name, mode, owner: id, wait: wait, lease: lease, note: note, tag: tag)
                return waitForUnused(request, owner: owner, of: session, at: now)
            }
        }
        if let found, locks[found].isShared, !hasSharedToken {
            let request = Acquisition(
                name, mode, owner: id, wait: wait, lease: lease, note: note, tag: tag)
            shut(found)
            return self.wait(request, on: found, upgrading: nil, owner: owner, of: session, at: now)
        }
        guard found.map({ hasToken(for: $0) }) ?? hasToken else {
            // What was cached may have been all that the lock had.
            if let found, locks[found].isUnused { removeLock(found) }
            return .refused(.noToken)
        }
        let lock = found ?? addLock(name)
        let grant = addGrant(
            lock, mode, owner: owner ?? addOwner(id, to: session), lease: Lease(lease), note: note, at: now)
        emitGranted(grant, tag, request: nil)
        recallLastHolder(of: lock)
        return .granted(summary(grant))
    }

    /// Queues a request for a lock that is not used, because nothing is granted in the grace, or because the host has no claim.
    private mutating func waitForUnused(
        _ request: Acquisition, owner: Slot<Owner>?, of session: Slot<Session>, at now: Instant
    ) -> Decision {
        let lock = isShared(request.name) ? addSharedLock(request.name) : addLock(request.name)
        let decision = wait(request, on: lock, upgrading: nil, owner: owner, of: session, at: now)
        if locks[lock].isUnused { removeLock(lock) }
        return decision
    }

    /// Requests that a read or update grant become the write grant (G10). The grant keeps its lease and its note.
    public mutating func upgrade(
        _ name: LockName, _ choice: GrantChoice = .only, wait: TimeLimit = .forever, tag: Tag? = nil,
        by session: SessionID, at now: Instant
    ) -> Decision {
        advance(to: now)
        let grant: Slot<Grant>
        switch chooseHeldGrant(name, choice, of: session) {
        case .success(let chosen): grant = chosen
        case .failure(let refusal): return .refused(refusal)
        }
        let lock = grants[grant].lock
        if locks[lock].hasCached { stopCaching(on: lock) }
        let owner = grants[grant].owner
        guard grants[grant].mode != .write, waitingUpgrade(of: grant) == nil else {
            return .refused(.wrongMode)
        }
        let isShut = locks[lock].isShared && !hasSharedToken
        if isShut { shut(lock) }
        if graceEnd == nil, locks[lock].holders.count == 1, !isShut {
            guard hasToken(for: lock) else { return .refused(.noToken) }
            let former = promote(grant, at: now)
            emitGranted(grant, tag, request: nil, former: former)
            recallLastHolder(of: lock)
            return .granted(summary(grant))
        }
        if conflictsWithItself(lock, .write, owner: owner, upgrading: grant) {
            return .refused(.deadlock(circleOfOne(owner, lock)))
        }
        let request = Acquisition(name, .write, owner: id(of: owner), wait: wait, tag: tag)
        let fleetWaited = stepBack(on: lock)
        let decision = self.wait(
            request, on: lock, upgrading: grant, owner: owner, of: owners[owner].session, at: now)
        if fleetWaited, locks[lock].upgrade == nil { reconcile(lock) }
        return decision
    }

    /// Cancels the only waiting request on a lock of the session, or of one owner.
    ///
    /// An effect answers the request `cancelled`. Returns its mode.
    public mutating func cancel(
        _ name: LockName, owner: OwnerID? = nil, by session: SessionID, at now: Instant
    ) -> Result<LockMode, Refusal> {
        advance(to: now)
        guard let lock = names.find(name) else { return .failure(.notWaiting) }
        let stake = stake(in: waits, on: lock, owner: owner, of: slot(of: session))
        guard stake.count > 0 else { return .failure(.notWaiting) }
        guard let only = stake.only else { return .failure(.ambiguous) }
        return .success(withdraw(only))
    }

    /// Cancels the waiting request with a tag. An effect answers the request `cancelled`.
    public mutating func cancel(
        _ tag: Tag, by session: SessionID, at now: Instant
    ) -> Result<(name: LockName, mode: LockMode), Refusal> {
        advance(to: now)
        guard let waiter = waiter(tag, of: slot(of: session)) else { return .failure(.notWaiting) }
        let name = name(of: waiters[waiter].lock)
        return .success((name, withdraw(waiter)))
    }

    /// Whether a waiting request of the session has this tag.
    public func isOpen(_ tag: Tag, in session: SessionID) -> Bool {
        waiter(tag, of: slot(of: session)) != nil
    }

    private mutating func withdraw(_ waiter: Slot<Waiter>) -> LockMode {
        let lock = waiters[waiter].lock
        let mode = waiters[waiter].mode
        refuse(waiter, .cancelled, as: .cancelled)
        reconcile(lock)
        return mode
    }

    // MARK: - Waiting

    /// Queues a request that cannot be granted now, unless it must not or may not wait.
    private mutating func wait(
        _ request: Acquisition, on lock: Slot<Lock>, upgrading grant: Slot<Grant>?, owner: Slot<Owner>?,
        of session: Slot<Session>, at now: Instant
    ) -> Decision {
        // No cached grant stands beside a request that waits, so all rules about waiting know only what is held.
        if locks[lock].hasCached { stopCaching(on: lock) }
        if case .upTo(let timeout) = request.wait, timeout <= .zero,
            !waitsOnlyForFleet(request.mode, on: lock, upgrading: grant)
        {
            return .refused(.busy(blockers(of: request.mode, on: lock, upgrading: grant)))
        }
        if isFleetUnavailable, locks[lock].sharing.contains(.holds) { return .refused(.unavailable) }
        if let exceeded = limitOnOneMoreWaiter(of: session) { return .refused(.limit(exceeded)) }
        switch searchCircle(closedBy: request, on: lock, upgrading: grant, owner: owner, of: session) {
        case .none: break
        case .circle(let circle): return .refused(.deadlock(circle))
        case .tooFar: return .refused(.limit(.waits))
        }
        // One of the last lines of a session that has ended: it would never be granted.
        guard sessions[session].phase == .open else { return .waiting }
        let owner = owner ?? addOwner(request.owner, to: session)
        emit(.waiting, addWaiter(request, on: lock, upgrading: grant, owner: owner, of: session, at: now))
        recallHolders(of: lock)
        return .waiting
    }

    private mutating func addWaiter(
        _ request: Acquisition, on lock: Slot<Lock>, upgrading grant: Slot<Grant>?, owner: Slot<Owner>,
        of session: Slot<Session>, at now: Instant
    ) -> Slot<Waiter> {
        let waiter = waiters.insert(
            Waiter(
                number: nextNumber, place: nextNumber, since: now,
                timeout: request.wait.duration.map { max($0, .zero) },
                mode: request.mode, lock: lock, owner: owner, upgrades: grant, lease: Lease(request.lease),
                note: request.note, tag: request.tag))
        nextNumber += 1
        noteFact(.waiter, waiter.raw)
        owners[owner].waiters.prepend(waiter, in: &waiters)
        // Only the fleet blocks a request that must not wait, and other hosts have a moment to answer it.
        let due =
            waiters[waiter].isProbe ? now.advanced(by: Self.probeLimit) : request.wait.deadline(from: now)
        if let due {
            waiters[waiter].deadline = agenda.insert(.waiter(waiter), due: due, of: sessions[session].account)
        }
        if let tag = request.tag { labels[labels(of: session)].tags[tag] = waiter }
        charge(session, waiters: 1)
        Self.changeStake(in: &waits, of: owner, owners, on: lock) { $0.add(waiter) }
        locks[lock].addWaiter(waiter, request.mode, isUpgrade: grant != nil, in: &waiters)
        if patience != nil, request.mode == .read { beginPatience(waiter) }
        if locks[lock].isShared { noteWaiter(1, waiter) }
        return waiter
    }

    /// Removes a waiting request without an answer, and returns it. The caller reconciles the lock.
    @discardableResult
    mutating func removeWaiter(_ waiter: Slot<Waiter>, keepingOwner: Bool = false) -> Waiter {
        let (lock, owner) = (waiters[waiter].lock, waiters[waiter].owner)
        let session = owners[owner].session
        noteWait(waiter)
        if locks[lock].isShared { noteWaiter(-1, waiter) }
        forgetFirstWriter(waiter)
        endPatience(waiter)
        locks[lock].removeWaiter(
            waiter, waiters[waiter].mode, isUpgrade: waiters[waiter].upgrades != nil, in: &waiters)
        Self.changeStake(in: &waits, of: owner, owners, on: lock) { $0.remove(waiter) }
        if let tag = waiters[waiter].tag { labels[labels(of: session)].tags[tag] = nil }
        charge(session, waiters: -1)
        if let deadline = waiters[waiter].deadline { agenda.remove(deadline, of: sessions[session].account) }
        owners[owner].waiters.remove(waiter, in: &waiters)
        let record = waiters.take(waiter)
        noteFact(.waiter, waiter.raw)
        if !keepingOwner { removeIfIdle(owner) }
        return record
    }

    /// Removes a waiting request and answers it with a refusal. The caller reconciles the lock.
    mutating func refuse(
        _ waiter: Slot<Waiter>, _ refusal: Refusal, as kind: ChangeKind, keepingOwner: Bool = false
    ) {
        let record = waiters[waiter]
        let session = id(of: owners[record.owner].session)
        effects.append(.refused(session, record.tag, name(of: record.lock), record.mode, refusal))
        emit(kind, waiter)
        removeWaiter(waiter, keepingOwner: keepingOwner)
    }
}
