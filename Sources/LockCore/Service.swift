import LockVocabulary

/// What follows when something on a lock has ended: who is next, and whether the lock is still needed.
extension LockTable {
    mutating func addLock(_ name: LockName) -> Slot<Lock> {
        let lock = locks.insert(Lock())
        locks[lock].entry = names.insert(name, for: lock)
        return lock
    }

    mutating func removeLock(_ lock: Slot<Lock>) {
        names.remove(locks[lock].entry)
        locks.remove(lock)
    }

    /// Grants what may be granted now on each lock, and forgets the locks that nobody uses.
    mutating func settle(_ touched: [Slot<Lock>]) {
        // A lock may be touched twice, and its place gone with the first: the last lock takes all places with it.
        for lock in touched where lock.raw < locks.bound && !locks[lock].isVacant { settle(lock) }
    }

    mutating func settle(_ lock: Slot<Lock>) {
        if locks[lock].hasWaiters, graceEnd == nil { serve(lock) }
        if locks[lock].isUnused { removeLock(lock) }
    }

    /// Grants in the order of G2, G3 and G10: an upgrade; then writers and updaters as they came; then, if
    /// nobody waits to write, all readers. Each step stops at the first that has to wait on.
    private mutating func serve(_ lock: Slot<Lock>) {
        if case let upgrade = locks[lock].upgrade, !upgrade.isNone {
            guard locks[lock].holders == 1 else { return }
            grant(upgrade)
            // A token that is lacking ends the upgrade's wait, and then the others are to be looked at.
            if locks[lock].exclusiveMode == .write { return }
        }
        while case let contender = locks[lock].contenders.first, !contender.isNone {
            let isWrite = waiters[contender].mode == .write
            guard isWrite ? locks[lock].holders == 0 : locks[lock].exclusive.isNone else { break }
            grant(contender)
        }
        guard !locks[lock].keepsReadersOut, locks[lock].exclusiveMode != .write else { return }
        while case let reader = locks[lock].readers.first, !reader.isNone { grant(reader) }
    }

    /// Turns a waiting request into a grant, or refuses it where no token is left.
    private mutating func grant(_ waiter: Slot<Waiter>) {
        guard nextToken <= lastToken else {
            answer(waiter, .noToken)
            tell(.refused, waiter)
            removeWaiter(waiter)
            return
        }
        let record = waiters[waiter]
        let session = id(of: owners[record.owner].session)
        let name = name(of: record.lock)
        removeWaiter(waiter, keepingOwner: true)
        let former = isObserved && !record.upgrades.isNone ? changeToTell(.upgraded, record.upgrades) : nil
        let granted =
            record.upgrades.isNone
            ? makeGrant(
                record.lock, record.mode, owner: record.owner, lease: record.lease, note: record.note,
                at: clock)
            : promote(record.upgrades, at: clock)
        effects.append(.granted(session, record.tag, name, granted))
        if isObserved {
            tell(former)
            // A grant that was made or upgraded now is its lock's last.
            tellGranted(locks[record.lock].lastHolder, record.tag, request: record.number)
        }
        recallLastHolder(of: record.lock)
    }

    // MARK: - Who stands before

    /// Who stands in the way of a request: those who hold in a mode that conflicts, or, where none does, all
    /// holders, whom somebody ahead waits for.
    func holders(before mode: LockMode, on lock: Slot<Lock>, except: Slot<Grant>) -> Holders {
        guard graceEnd == nil else { return .unknown }
        let exclusive = locks[lock].exclusive
        if mode != .write, !exclusive.isNone, mode.conflicts(with: grants[exclusive].mode) {
            return Holders(first: [holder(exclusive)], more: 0)
        }
        var first: [Holders.Holder] = []
        var grant = locks[lock].firstHolder
        while !grant.isNone, first.count < Holders.most {
            if grant != except { first.append(holder(grant)) }
            grant = grants[grant].nextHolder
        }
        return Holders(first: first, more: Int(locks[lock].holders) - first.count - (except.isNone ? 0 : 1))
    }

    private func holder(_ grant: Slot<Grant>) -> Holders.Holder {
        Holders.Holder(session: id(of: owners[grants[grant].owner].session), mode: grants[grant].mode)
    }

    // MARK: - Telling

    /// Answers a waiting request.
    mutating func answer(_ waiter: Slot<Waiter>, _ refusal: Refusal) {
        let record = waiters[waiter]
        let session = id(of: owners[record.owner].session)
        effects.append(.refused(session, record.tag, name(of: record.lock), record.mode, refusal))
    }

    /// Tells those who watch what happens to a request.
    mutating func tell(_ kind: ChangeKind, _ waiter: Slot<Waiter>) {
        guard isObserved else { return }
        let record = waiters[waiter]
        let session = id(of: owners[record.owner].session)
        effects.append(
            .changed(
                Change(
                    kind: kind, name: name(of: record.lock), session: session, mode: record.mode, token: nil,
                    owner: id(of: record.owner), tag: record.tag, request: record.number,
                    upgrades: record.upgrades.isNone ? nil : grants[record.upgrades].token)))
    }

    /// Tells those who watch what happens to a grant.
    mutating func tell(_ kind: ChangeKind, _ grant: Slot<Grant>) { tell(changeToTell(kind, grant)) }

    /// Tells those who watch of a grant, and which request it answers.
    mutating func tellGranted(_ grant: Slot<Grant>, _ tag: Tag?, request: UInt64?) {
        guard var change = changeToTell(.granted, grant) else { return }
        change.tag = tag
        change.request = request
        tell(change)
    }

    mutating func tell(_ change: Change?) {
        if let change { effects.append(.changed(change)) }
    }

    /// What watchers hear of a grant as it stands; nil if there is no watcher.
    func changeToTell(_ kind: ChangeKind, _ grant: Slot<Grant>) -> Change? {
        guard isObserved else { return nil }
        let record = grants[grant]
        let session = id(of: owners[record.owner].session)
        return Change(
            kind: kind, name: name(of: record.lock), session: session, mode: record.mode, token: record.token,
            owner: id(of: record.owner))
    }

    /// Tells holders who asked for it that somebody waits for what they hold, each once for a grant.
    mutating func recallHolders(of lock: Slot<Lock>) {
        guard locks[lock].recallers > 0, locks[lock].hasWaiters else { return }
        var grant = locks[lock].firstHolder
        while !grant.isNone {
            let next = grants[grant].nextHolder
            recall(grant)
            grant = next
        }
    }

    /// The same for the grant that was made last: the others were told when those who wait came.
    @inline(__always)
    mutating func recallLastHolder(of lock: Slot<Lock>) {
        guard locks[lock].recallers > 0, locks[lock].hasWaiters else { return }
        recall(locks[lock].lastHolder)
    }

    private mutating func recall(_ grant: Slot<Grant>) {
        let session = owners[grants[grant].owner].session
        guard !grants[grant].isRecalled, sessions[session].wantsRecall, isWaitedFor(grant) else { return }
        grants[grant].isRecalled = true
        effects.append(.recalled(id(of: session), name(of: grants[grant].lock), grants[grant].token))
    }

    /// Whether a waiting request conflicts with a grant.
    private func isWaitedFor(_ grant: Slot<Grant>) -> Bool {
        let lock = grants[grant].lock
        if locks[lock].waitingWriters > 0 { return true }
        if case let upgrade = locks[lock].upgrade, !upgrade.isNone, waiters[upgrade].upgrades != grant {
            return true
        }
        switch grants[grant].mode {
        case .read: return false
        case .update: return !locks[lock].contenders.isEmpty
        case .write: return true
        }
    }
}
