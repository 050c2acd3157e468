public import LockVocabulary

/// Asking: for a lock, for another mode, and no longer.
extension LockTable {
    /// Asks for a lock. If it has to wait, the answer will be an effect.
    public mutating func acquire(
        _ request: Acquisition, by session: SessionID, at now: Instant
    ) -> Decision {
        advance(to: now)
        let place = place(of: session)
        guard !isDraining else { return .refused(.draining) }
        let owner = findOwner(request.owner, of: place)
        guard let lock = names.find(request.name) else {
            return acquireUnused(request, owner: owner, of: place, at: now)
        }
        if let exceeded = exceededByOneMoreGrant(of: place) { return .refused(.limit(exceeded)) }
        if mayHold(lock, request.mode, owner: owner) {
            guard nextToken <= lastToken else { return .refused(.noToken) }
            return .granted(makeGrant(request, lock, owner: owner, of: place, at: now))
        }
        if let owner, conflictsWithItself(lock, request.mode, owner: owner, except: .none) {
            return .refused(.deadlock(circleOfOne(owner, lock)))
        }
        return wait(request, on: lock, upgrading: .none, owner: owner, of: place, at: now)
    }

    /// Asks that a read or update grant become the write grant (G10). It keeps its lease and its note.
    public mutating func upgrade(
        _ name: LockName, _ choice: GrantChoice = .only, wait: TimeLimit = .forever, tag: Tag? = nil,
        by session: SessionID, at now: Instant
    ) -> Decision {
        advance(to: now)
        let place = place(of: session)
        let grant: Slot<Grant>
        switch chooseGrant(name, choice, of: place) {
        case .success(let chosen): grant = chosen
        case .failure(let refusal): return .refused(refusal.refusal)
        }
        let lock = grants[grant].lock
        let owner = grants[grant].owner
        guard grants[grant].mode != .write, waitingUpgrade(of: grant).isNone else {
            return .refused(.wrongMode)
        }
        if graceEnd == nil, locks[lock].holders == 1 {
            guard nextToken <= lastToken else { return .refused(.noToken) }
            let former = changeToTell(.upgraded, grant)
            let granted = promote(grant, at: now)
            tell(former)
            tellGranted(grant, tag, request: nil)
            recallLastHolder(of: lock)
            return .granted(granted)
        }
        if conflictsWithItself(lock, .write, owner: owner, except: grant) {
            return .refused(.deadlock(circleOfOne(owner, lock)))
        }
        let request = Acquisition(name, .write, owner: id(of: owner), wait: wait, tag: tag)
        return self.wait(request, on: lock, upgrading: grant, owner: owner, of: place, at: now)
    }

    /// Withdraws a waiting request: the only one of the session on the lock, or of an owner.
    ///
    /// The request itself is answered `cancelled` by an effect. Returns its mode.
    public mutating func cancel(
        _ name: LockName, owner: OwnerID? = nil, by session: SessionID, at now: Instant
    ) -> Result<LockMode, RefusedCommand> {
        advance(to: now)
        guard let lock = names.find(name) else { return .failure(.init(.notWaiting)) }
        let stake = stake(in: waits, on: lock, owner: owner, of: place(of: session))
        guard stake.count > 0 else { return .failure(.init(.notWaiting)) }
        guard let only = stake.only else { return .failure(.init(.ambiguous)) }
        return .success(withdraw(Slot(raw: only)))
    }

    /// Withdraws the waiting request that has a tag. The request itself is answered `cancelled` by an effect.
    public mutating func cancel(
        _ tag: Tag, by session: SessionID, at now: Instant
    ) -> Result<(name: LockName, mode: LockMode), RefusedCommand> {
        advance(to: now)
        guard let waiter = waiter(tag, of: place(of: session)) else { return .failure(.init(.notWaiting)) }
        let name = name(of: waiters[waiter].lock)
        return .success((name, withdraw(waiter)))
    }

    /// Whether a waiting request of the session has this tag.
    public func isOpen(_ tag: Tag, in session: SessionID) -> Bool {
        waiter(tag, of: place(of: session)) != nil
    }

    private mutating func withdraw(_ waiter: Slot<Waiter>) -> LockMode {
        let lock = waiters[waiter].lock
        let mode = waiters[waiter].mode
        answer(waiter, .cancelled)
        tell(.cancelled, waiter)
        removeWaiter(waiter)
        settle([lock])
        return mode
    }

    // MARK: - Whether it may be had

    /// Whether the owner may hold the lock in this mode now (G1 to G4).
    @inline(__always)
    func mayHold(_ lock: Slot<Lock>, _ mode: LockMode, owner: Slot<Owner>?) -> Bool {
        guard graceEnd == nil else { return false }
        switch mode {
        case .read:
            if locks[lock].exclusiveMode == .write { return false }
            return !locks[lock].keepsReadersOut || mayHoldMore(owner, lock)
        case .update:
            guard locks[lock].exclusive.isNone else { return false }
            let isFirst = locks[lock].contenders.isEmpty && locks[lock].upgrade.isNone
            return isFirst || mayHoldMore(owner, lock)
        case .write:
            return locks[lock].holders == 0 && locks[lock].contenders.isEmpty
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
        let upgrade = locks[lock].upgrade
        return !upgrade.isNone && waiters[upgrade].owner == owner
    }

    /// Whether such a request conflicts with a grant of the owner's own, other than the one to be upgraded, or
    /// with what its own upgrade will make of one: a circle of one (G4).
    @inline(__always)
    private func conflictsWithItself(
        _ lock: Slot<Lock>, _ mode: LockMode, owner: Slot<Owner>, except: Slot<Grant>
    ) -> Bool {
        switch mode {
        case .write:
            let held = held(by: owner, on: lock).count
            return held > (except.isNone ? 0 : 1)
        case .update, .read:
            if waitsToUpgrade(owner, lock) { return true }
            let exclusive = locks[lock].exclusive
            guard !exclusive.isNone, grants[exclusive].owner == owner else { return false }
            return mode.conflicts(with: grants[exclusive].mode)
        }
    }

    private func circleOfOne(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> Circle {
        Circle(hops: [hop(owner, lock)])
    }

    // MARK: - Being granted or queued

    private mutating func acquireUnused(
        _ request: Acquisition, owner: Slot<Owner>?, of session: Slot<Session>, at now: Instant
    ) -> Decision {
        if let exceeded = exceededByOneMoreGrant(of: session) { return .refused(.limit(exceeded)) }
        guard locks.count < limits.locks else { return .refused(.limit(.locks)) }
        if graceEnd == nil {
            guard nextToken <= lastToken else { return .refused(.noToken) }
            let lock = addLock(request.name)
            return .granted(makeGrant(request, lock, owner: owner, of: session, at: now))
        }
        let lock = addLock(request.name)
        let decision = wait(request, on: lock, upgrading: .none, owner: owner, of: session, at: now)
        if locks[lock].isUnused { removeLock(lock) }
        return decision
    }

    @inline(__always)
    private func exceededByOneMoreGrant(of session: Slot<Session>) -> ExceededLimit? {
        let own = sessions[session].grants + sessions[session].waiters
        if own >= limits.sessionGrants || grants.count + waiters.count >= limits.grants { return .grants }
        let account = accounts[sessions[session].account]
        return account.grants + account.waiters >= sessions[session].share.grants ? .grants : nil
    }

    private func mayWaitOnceMore(_ session: Slot<Session>) -> Bool {
        sessions[session].waiters < limits.sessionWaiters && waiters.count < limits.waiters
            && accounts[sessions[session].account].waiters < sessions[session].share.waiters
    }

    /// Puts a request that may not be granted now into the queue, unless it was not to wait.
    private mutating func wait(
        _ request: Acquisition, on lock: Slot<Lock>, upgrading grant: Slot<Grant>, owner: Slot<Owner>?,
        of session: Slot<Session>, at now: Instant
    ) -> Decision {
        if case .upTo(let timeout) = request.wait, timeout <= .zero {
            return .refused(.busy(holders(before: request.mode, on: lock, except: grant)))
        }
        guard mayWaitOnceMore(session) else { return .refused(.limit(.waiters)) }
        switch searchCircle(closedBy: request, on: lock, upgrading: grant, owner: owner, of: session) {
        case .none: break
        case .circle(let circle): return .refused(.deadlock(circle))
        case .tooFar: return .refused(.limit(.waits))
        }
        let waiter = addWaiter(request, on: lock, upgrading: grant, owner: owner, of: session, at: now)
        tell(.waiting, waiter)
        recallHolders(of: lock)
        return .waiting
    }

    private mutating func addWaiter(
        _ request: Acquisition, on lock: Slot<Lock>, upgrading grant: Slot<Grant>, owner: Slot<Owner>?,
        of session: Slot<Session>, at now: Instant
    ) -> Slot<Waiter> {
        let owner = owner ?? addOwner(request.owner, to: session)
        var record = Waiter()
        record.number = nextNumber
        record.since = now
        if case .upTo(let timeout) = request.wait { record.timeout = timeout }
        if case .upTo(let lease) = request.lease { record.lease = lease.wholeNanoseconds }
        record.lock = lock
        record.owner = owner
        record.upgrades = grant
        record.note = request.note
        record.tag = request.tag
        record.mode = request.mode
        record.nextOwned = owners[owner].firstWaiter
        let waiter = waiters.insert(record)
        nextNumber += 1

        if case let next = record.nextOwned, !next.isNone { waiters[next].previousOwned = waiter }
        owners[owner].firstWaiter = waiter
        if let due = request.wait.deadline(from: now) {
            waiters[waiter].deadline = deadlines.insert(.waiter(waiter), due: due)
        }
        if let tag = request.tag { sessionWords[words(of: session)].tags[tag] = waiter }
        sessions[session].waiters += 1
        accounts[sessions[session].account].waiters += 1
        Self.changeStake(in: &waits, of: owner, owners, on: lock) { $0.add(waiter.raw) }
        if !grant.isNone {
            locks[lock].upgrade = waiter
        } else if request.mode == .read {
            locks[lock].readers.append(waiter, in: &waiters)
        } else {
            locks[lock].contenders.append(waiter, in: &waiters)
            if request.mode == .write { locks[lock].waitingWriters += 1 }
        }
        return waiter
    }

    /// Takes a request out of the queue, without an answer.
    mutating func removeWaiter(_ waiter: Slot<Waiter>, keepingOwner: Bool = false) {
        let record = waiters[waiter]
        let session = owners[record.owner].session
        if !record.upgrades.isNone {
            locks[record.lock].upgrade = .none
        } else if record.mode == .read {
            locks[record.lock].readers.remove(waiter, in: &waiters)
        } else {
            locks[record.lock].contenders.remove(waiter, in: &waiters)
            if record.mode == .write { locks[record.lock].waitingWriters -= 1 }
        }
        Self.changeStake(in: &waits, of: record.owner, owners, on: record.lock) { $0.remove(waiter.raw) }
        if let tag = record.tag { sessionWords[words(of: session)].tags[tag] = nil }
        sessions[session].waiters -= 1
        accounts[sessions[session].account].waiters -= 1
        if record.deadline != DeadlineHeap<Due>.none { deadlines.remove(record.deadline) }
        if record.previousOwned.isNone {
            owners[record.owner].firstWaiter = record.nextOwned
        } else {
            waiters[record.previousOwned].nextOwned = record.nextOwned
        }
        if !record.nextOwned.isNone { waiters[record.nextOwned].previousOwned = record.previousOwned }
        waiters.remove(waiter)
        if !keepingOwner { removeIfIdle(record.owner) }
    }
}

/// A refusal as an error, for commands whose answer is a value.
public struct RefusedCommand: Error, Equatable {
    public let refusal: Refusal

    init(_ refusal: Refusal) { self.refusal = refusal }
}
