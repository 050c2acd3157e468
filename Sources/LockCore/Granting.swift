import LockVocabulary

/// The life of a grant: no other code adds, upgrades or removes grants.
extension LockTable {
    // MARK: - Beginning

    /// Whether a reserved token is left.
    var hasToken: Bool { nextToken <= lastToken }

    /// Whether a token is left for a grant of this lock: shared locks have tokens of their own.
    @inline(__always)
    func hasToken(for lock: Slot<Lock>) -> Bool { locks[lock].isShared ? hasSharedToken : hasToken }

    /// Grants a waiting request, or refuses it if no token is left.
    mutating func grant(_ waiter: Slot<Waiter>) {
        if isBehind {
            if isCancelled(waiter), let grant = waiters[waiter].upgrades { return endOver(grant) }
            if isOver(waiter) {
                drop(waiter)
                return
            }
        }
        takeStep()
        if locks[waiters[waiter].lock].sharing.contains(.waits), isFleet(waiter) { return grantFleet(waiter) }
        guard hasToken(for: waiters[waiter].lock) else {
            refuse(waiter, .noToken, as: .refused)
            return
        }
        let record = removeWaiter(waiter, keepingOwner: true)
        let session = id(of: owners[record.owner].session)
        let grant: Slot<Grant>
        var former: Change?
        if let upgraded = record.upgrades {
            grant = upgraded
            former = promote(upgraded, at: clock)
        } else {
            grant = addGrant(
                record.lock, record.mode, owner: record.owner, lease: record.lease, note: record.note,
                at: clock)
        }
        // The answer comes before the change for watchers and before a recall of the new grant.
        effects.append(.granted(session, record.tag, name(of: record.lock), summary(grant)))
        emitGranted(grant, record.tag, request: record.number, former: former)
        recallLastHolder(of: record.lock)
    }

    /// Adds a grant. The caller has decided that it may be granted, answers the request, and recalls the grant.
    mutating func addGrant(
        _ lock: Slot<Lock>, _ mode: LockMode, owner: Slot<Owner>, lease: Lease, note: Note, at now: Instant
    ) -> Slot<Grant> {
        let grant = grants.insert(
            Grant(
                token: takeToken(for: lock), since: now, lease: lease, lock: lock, owner: owner,
                note: note.isEmpty ? nil : notes.insert(note), mode: mode))
        noteFact(.grant, grant.raw)
        owners[owner].grants.prepend(grant, in: &grants)
        let session = owners[owner].session
        charge(session, grants: 1)
        let wantsRecall = sessions[session].wantsRecall
        locks[lock].addHolder(grant, mode, wantsRecall: wantsRecall, in: &grants)
        index(grant, on: lock)
        if lease.duration != nil { startLease(grant, at: now) }
        return grant
    }

    /// Makes the only grant of a lock the write grant, under a new token.
    ///
    /// Returns the change that ends the former token, if there are watchers. The caller emits this change, answers the
    /// request and recalls the grant.
    mutating func promote(_ grant: Slot<Grant>, at now: Instant) -> Change? {
        let former = isObserved ? change(.upgraded, grant) : nil
        let lock = grants[grant].lock
        if grants[grant].cache == nil {
            noteHold(since: grants[grant].since, on: lock, isAwaited: locks[lock].hasWaiters)
        }
        if locks[lock].isIndexed { tokens.remove(grants[grant].token.rawValue) }
        grants[grant].token = takeToken(for: lock)
        if locks[lock].isIndexed { tokens.set(grants[grant].token.rawValue, to: grant) }
        grants[grant].since = now
        grants[grant].mode = .write
        grants[grant].isRecalled = false
        noteFact(.grant, grant.raw)
        locks[lock].setMode(.write, of: grant)
        return former
    }

    @inline(__always)
    private mutating func takeToken(for lock: Slot<Lock>) -> Token {
        precondition(hasToken(for: lock), "no token is reserved")
        if locks[lock].isShared {
            defer { nextSharedToken = nextSharedToken.next }
            return nextSharedToken
        }
        let token = nextToken
        nextToken = token.next
        return token
    }

    mutating func startLease(_ grant: Slot<Grant>, at now: Instant) {
        noteFact(.grant, grant.raw)
        let account = account(of: grants[grant].owner)
        if let deadline = grants[grant].deadline { agenda.remove(deadline, of: account) }
        grants[grant].deadline = grants[grant].lease.end(from: now).map {
            agenda.insert(.grant(grant), due: $0, of: account)
        }
    }

    @inline(__always)
    func summary(_ grant: Slot<Grant>) -> GrantSummary {
        GrantSummary(
            mode: grants[grant].mode, token: grants[grant].token,
            mark: locks[grants[grant].lock].mark)
    }

    // MARK: - Ending

    /// The waiting request to upgrade this grant.
    @inline(__always)
    func waitingUpgrade(of grant: Slot<Grant>) -> Slot<Waiter>? {
        guard let upgrade = locks[grants[grant].lock].upgrade, waiters[upgrade].upgrades == grant
        else { return nil }
        return upgrade
    }

    /// Removes a grant and cancels a waiting upgrade of it. A write grant that ends sets or removes the lock's mark (G11).
    ///
    /// The caller reconciles the lock afterwards.
    mutating func endGrant(_ grant: Slot<Grant>, cleanly: Bool, keepingOwner: Bool = false) {
        if let upgrade = waitingUpgrade(of: grant) {
            refuse(upgrade, .cancelled, as: .cancelled, keepingOwner: true)
        }
        let record = grants[grant]
        let lock = record.lock
        let isAwaited = locks[lock].hasWaiters
        // How long its owner held a grant that was cached is not known.
        if record.cache != nil {
            endCache(of: grant)
        } else {
            noteHold(since: record.since, on: lock, isAwaited: isAwaited)
        }
        if isAwaited { noteBlocker(record) }
        let session = owners[record.owner].session
        charge(session, grants: -1)
        let wantsRecall = sessions[session].wantsRecall
        locks[lock].removeHolder(grant, wantsRecall: wantsRecall, in: &grants)
        owners[record.owner].grants.remove(grant, in: &grants)
        if locks[lock].isIndexed { removeFromIndex(grant, record) }
        if let deadline = record.deadline { agenda.remove(deadline, of: sessions[session].account) }
        if let note = record.note { notes.remove(note) }
        grants.remove(grant)
        noteFact(.grant, grant.raw)
        if !keepingOwner { removeIfIdle(record.owner) }
        if record.mode == .write { setMark(cleanly ? nil : .yes, lock) }
    }
}
