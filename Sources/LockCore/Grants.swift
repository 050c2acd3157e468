public import LockVocabulary

/// What a holder can do with a grant, and how grants begin and end.
extension LockTable {
    /// Gives a grant back. Returns its token.
    public mutating func release(
        _ name: LockName, _ choice: GrantChoice = .only, by session: SessionID, at now: Instant
    ) -> Result<Token, RefusedCommand> {
        advance(to: now)
        switch chooseGrant(name, choice, of: place(of: session)) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let grant):
            let lock = grants[grant].lock
            let token = grants[grant].token
            tell(.released, grant)
            endGrant(grant, cleanly: true)
            settle(lock)
            return .success(token)
        }
    }

    /// Gives back all that an owner holds and withdraws all that it waits for, in one step.
    ///
    /// The requests are answered `cancelled` by effects, in no stated order. Returns how many grants and requests there were.
    public mutating func releaseAll(
        of owner: OwnerID, by session: SessionID, at now: Instant
    ) -> (grants: Int, waiters: Int) {
        advance(to: now)
        guard let owner = findOwner(owner, of: place(of: session)) else { return (0, 0) }
        var touched: [Slot<Lock>] = []
        // All requests first: none of them may be granted by the end of the owner's own grants.
        while case let waiter = owners[owner].firstWaiter, !waiter.isNone {
            touched.append(waiters[waiter].lock)
            answer(waiter, .cancelled)
            tell(.cancelled, waiter)
            removeWaiter(waiter, keepingOwner: true)
        }
        let waiters = touched.count
        while case let grant = owners[owner].firstGrant, !grant.isNone {
            touched.append(grants[grant].lock)
            tell(.released, grant)
            endGrant(grant, cleanly: true, keepingOwner: true)
        }
        removeIfIdle(owner)
        // All grants before any lock is settled: what others are granted by it is granted once.
        settle(touched)
        return (touched.count - waiters, waiters)
    }

    /// Gives a grant back for when its session ends: no mark is then left (G11), unless it is known that the process was
    /// killed. Returns its token.
    ///
    /// Until then nothing changes. It is for whoever ends without being able to say a last word.
    public mutating func releaseAtEnd(
        _ name: LockName, _ choice: GrantChoice = .only, by session: SessionID, at now: Instant
    ) -> Result<Token, RefusedCommand> {
        advance(to: now)
        switch chooseGrant(name, choice, of: place(of: session)) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let grant):
            grants[grant].isReleasedAtEnd = true
            return .success(grants[grant].token)
        }
    }

    /// Whether a session has given back a grant for when it ends.
    public func releasesAtEnd(_ session: SessionID) -> Bool {
        var owner = sessions[place(of: session)].firstOwner
        while !owner.isNone {
            var grant = owners[owner].firstGrant
            while !grant.isNone {
                if grants[grant].isReleasedAtEnd { return true }
                grant = grants[grant].nextOwned
            }
            owner = owners[owner].next
        }
        return false
    }

    /// Makes a grant weaker, under the same token, with nothing in between (G10).
    public mutating func downgrade(
        _ name: LockName, _ choice: GrantChoice = .only, to mode: LockMode, by session: SessionID,
        at now: Instant
    ) -> Decision {
        advance(to: now)
        switch chooseGrant(name, choice, of: place(of: session)) {
        case .failure(let refusal): return .refused(refusal.refusal)
        case .success(let grant):
            guard mode < grants[grant].mode, waitingUpgrade(of: grant).isNone else {
                return .refused(.wrongMode)
            }
            let lock = grants[grant].lock
            if grants[grant].mode == .write { setMark(false, lock) }
            grants[grant].mode = mode
            locks[lock].exclusiveMode = mode
            if mode == .read { locks[lock].exclusive = .none }
            tell(.downgraded, grant)
            let granted = granted(grant)
            settle(lock)
            return .granted(granted)
        }
    }

    /// Makes a lease end that much later from now (G9); without a length, as long as it was given before.
    ///
    /// Returns the token and the lease; nil is one without end.
    public mutating func renew(
        _ name: LockName, _ choice: GrantChoice = .only, lease: TimeLimit?, by session: SessionID,
        at now: Instant
    ) -> Result<(token: Token, lease: Duration?), RefusedCommand> {
        advance(to: now)
        switch chooseGrant(name, choice, of: place(of: session)) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let grant):
            guard lease != nil || grants[grant].lease > 0 else { return .failure(RefusedCommand(.noLease)) }
            switch lease {
            case .upTo(let duration): grants[grant].lease = duration.wholeNanoseconds
            case .forever: grants[grant].lease = 0
            case nil: break
            }
            let length = grants[grant].lease
            startLease(grant, at: now)
            return .success((grants[grant].token, length == 0 ? nil : .nanoseconds(length)))
        }
    }

    /// Whether a token is that of a grant on this lock (G7).
    public mutating func validate(_ name: LockName, _ token: Token, at now: Instant) -> Bool {
        advance(to: now)
        guard let lock = names.find(name) else { return false }
        return findGrant(token, on: lock) != nil
    }

    /// Takes a grant away from whoever has it. Its session is told by an effect.
    public mutating func revoke(
        _ name: LockName, _ token: Token, at now: Instant
    ) -> Result<Void, RefusedCommand> {
        advance(to: now)
        guard let lock = names.find(name), let grant = findGrant(token, on: lock)
        else { return .failure(RefusedCommand(.notHeld)) }
        effects.append(.revoked(id(of: owners[grants[grant].owner].session), name, token))
        tell(.revoked, grant)
        endGrant(grant, cleanly: false)
        settle(lock)
        return .success(())
    }

    /// The upgrade that waits on a grant, if one does.
    @inline(__always)
    func waitingUpgrade(of grant: Slot<Grant>) -> Slot<Waiter> {
        let upgrade = locks[grants[grant].lock].upgrade
        return !upgrade.isNone && waiters[upgrade].upgrades == grant ? upgrade : .none
    }

    // MARK: - Beginning

    /// Makes a grant that may be made.
    mutating func makeGrant(
        _ request: Acquisition, _ lock: Slot<Lock>, owner: Slot<Owner>?, of session: Slot<Session>,
        at now: Instant
    ) -> Granted {
        var lease: Int64 = 0
        if case .upTo(let duration) = request.lease { lease = duration.wholeNanoseconds }
        let owner = owner ?? addOwner(request.owner, to: session)
        let granted = makeGrant(lock, request.mode, owner: owner, lease: lease, note: request.note, at: now)
        if isObserved { tellGranted(locks[lock].lastHolder, request.tag, request: nil) }
        recallLastHolder(of: lock)
        return granted
    }

    /// Makes a grant that its session is told of before others are, and before it is recalled: by the caller.
    mutating func makeGrant(
        _ lock: Slot<Lock>, _ mode: LockMode, owner: Slot<Owner>, lease: Int64, note: Note, at now: Instant
    ) -> Granted {
        var record = Grant()
        record.token = takeToken()
        record.since = now
        record.lease = lease
        record.lock = lock
        record.owner = owner
        record.nextOwned = owners[owner].firstGrant
        if !note.isEmpty { record.note = notes.insert(note) }
        record.mode = mode
        let grant = grants.insert(record)
        if !record.nextOwned.isNone { grants[record.nextOwned].previousOwned = grant }
        let session = owners[owner].addGrant(grant)
        let wantsRecall = sessions[session].addGrant()
        accounts[sessions[session].account].grants += 1
        locks[lock].addHolder(grant, mode, wantsRecall: wantsRecall, in: &grants)
        index(grant, on: lock)
        if lease > 0 { startLease(grant, at: now) }
        return Granted(mode: mode, token: record.token, ownerDied: locks[lock].ownerDied)
    }

    /// Makes the only grant on its lock the write grant, under a new token; the caller tells of it and recalls it.
    mutating func promote(_ grant: Slot<Grant>, at now: Instant) -> Granted {
        let lock = grants[grant].lock
        if locks[lock].isIndexed { tokens.remove(grants[grant].token.rawValue) }
        grants[grant].token = takeToken()
        if locks[lock].isIndexed { tokens.set(grants[grant].token.rawValue, to: grant) }
        grants[grant].since = now
        grants[grant].mode = .write
        grants[grant].isRecalled = false
        locks[lock].exclusive = grant
        locks[lock].exclusiveMode = .write
        return granted(grant)
    }

    private mutating func takeToken() -> Token {
        precondition(nextToken <= lastToken, "no token is reserved")
        let token = nextToken
        nextToken = token.next
        return token
    }

    private mutating func startLease(_ grant: Slot<Grant>, at now: Instant) {
        if grants[grant].deadline != DeadlineHeap<Due>.none {
            deadlines.remove(grants[grant].deadline)
            grants[grant].deadline = DeadlineHeap<Due>.none
        }
        let length = grants[grant].lease
        if length > 0 {
            let due = now.advanced(byNanoseconds: length)
            grants[grant].deadline = deadlines.insert(.grant(grant), due: due)
        }
    }

    @inline(__always)
    func granted(_ grant: Slot<Grant>) -> Granted {
        Granted(
            mode: grants[grant].mode, token: grants[grant].token,
            ownerDied: locks[grants[grant].lock].ownerDied)
    }

    // MARK: - Ending

    /// Ends a grant, and an upgrade that waits on it; a write grant leaves or clears the mark (G11).
    ///
    /// The lock is to be settled afterwards.
    mutating func endGrant(_ grant: Slot<Grant>, cleanly: Bool, keepingOwner: Bool = false) {
        if case let upgrade = waitingUpgrade(of: grant), !upgrade.isNone {
            answer(upgrade, .cancelled)
            tell(.cancelled, upgrade)
            removeWaiter(upgrade, keepingOwner: true)
        }
        let record = grants[grant]
        let lock = record.lock
        let session = owners[record.owner].session
        let wantsRecall = sessions[session].removeGrant()
        accounts[sessions[session].account].grants -= 1
        locks[lock].removeHolder(grant, record, wantsRecall: wantsRecall, in: &grants)
        if record.previousOwned.isNone {
            owners[record.owner].firstGrant = record.nextOwned
        } else {
            grants[record.previousOwned].nextOwned = record.nextOwned
        }
        if !record.nextOwned.isNone { grants[record.nextOwned].previousOwned = record.previousOwned }
        if locks[lock].isIndexed { removeFromIndex(grant, record) }
        if record.deadline != DeadlineHeap<Due>.none { deadlines.remove(record.deadline) }
        if !record.note.isNone { notes.remove(record.note) }
        grants.remove(grant)
        if !keepingOwner { removeIfIdle(record.owner) }
        if record.mode == .write { setMark(!cleanly, lock) }
    }
}
