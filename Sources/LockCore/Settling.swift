public import LockVocabulary

/// A position among the locks that are opened after the grace, in the order of their names.
enum Opened {
    case beginning
    case through(LockName)
}

/// The work that is due: timeouts, ends of leases, the end of the grace, and what ended sessions leave behind.
///
/// It is done in pieces, so it may be late. No command sees that, because of two rules:
/// 1. What is over counts as gone wherever it is met (`isOver`): a request past its deadline, or of a session that has ended,
///    is never granted, and closes no circle.
/// 2. A command about a lock is decided only when all that is due on this lock is done (`settle`).
extension LockTable {
    // MARK: - What is due

    /// The earliest instant at which something is due; nil for never.
    @inline(__always)
    public var nextDeadline: Instant? {
        if agenda.isBusy || opened != nil { return clock }
        return Instant.earliest(Instant.earliest(agenda.firstDeadline, graceEnd), firstImpatience)
    }

    /// Whether something is due, or was not finished.
    @inline(__always)
    public var isBehind: Bool { unfinishedEnds > 0 || hasWork }

    /// Whether `work` has something to do. (Where last lines are missing, the caller has.)
    @inline(__always)
    public var hasWork: Bool { opened != nil || agenda.isBehind(at: clock) || hasLateReaders }

    /// Whether the limits of a session count something that is over, so that one more request cannot be decided yet.
    public func isBehind(_ session: SessionID) -> Bool {
        hasWork && agenda.isBehind(sessions[slot(of: session)].account, at: clock)
    }

    /// Begins a command: sets the time, and what the command may cost.
    @inline(__always)
    public mutating func advance(to now: Instant) {
        precondition(now >= clock, "time went back")
        clock = now
        if let end = graceEnd, end <= now { endGrace() }
        if completesAtOnce {
            if isBehind { complete() }
        } else {
            stepsLeft = stepsInTurn
        }
    }

    private mutating func endGrace() {
        graceEnd = nil
        opened = .beginning
    }

    private mutating func complete() {
        stepsLeft = .max
        while hasWork { work(atMost: .max) }
        stepsLeft = .max
    }

    // MARK: - Turns

    /// Does work that is due, in turns of the accounts that it is charged to.
    ///
    /// - Parameter steps: how many steps to take in all: grants and requests that end, begin or are told. The last turn may
    ///   take two more.
    /// - Returns: how many steps were taken.
    @discardableResult
    public mutating func work(atMost steps: Int) -> Int {
        var left = steps
        isInTurn = true
        defer { isInTurn = false }
        while left > 0 {
            let readers = takeTurnOfReaders(atMost: completesAtOnce ? .max : min(left, stepsInTurn))
            left -= readers
            guard left > 0, let account = agenda.beginTurn(at: clock) else {
                if readers == 0 { break }
                continue
            }
            let turn = completesAtOnce ? Int.max : min(left, stepsInTurn)
            stepsLeft = turn
            stepsCharged = 0
            takeTurn(account)
            if stepsLeft == turn { takeStep() }
            let taken = turn - stepsLeft
            left -= taken
            if !completesAtOnce { charges[account, default: 0] += taken - stepsCharged }
            agenda.endTurn(of: account, at: clock)
        }
        if opened != nil, left > 0 {
            stepsLeft = left
            openLocks()
            left = stepsLeft
        }
        return steps - left
    }

    private mutating func takeTurn(_ account: AccountID) {
        // End what is due before any lock is reconciled: a lease and a timeout of the same instant then have one order.
        var touched: [Slot<Lock>] = []
        while stepsLeft > 0, let due = agenda.popDue(of: account, by: clock) { touched.append(end(due)) }
        reconcile(touched)
        while stepsLeft > 0, let lock = agenda.nextUnsettled(of: account) {
            if isUnsettled(lock) {
                locks[lock].isUnsettled = false
                reconcile(lock)
            }
            takeStep()
        }
        while stepsLeft > 0, let session = agenda.firstEnded(of: account) {
            // It was taken apart meanwhile, and another session may have its slot.
            let isGone = !sessions.reaches(session) || sessions[session].phase == .open
            if isGone || takeApart(session) { agenda.removeFirstEnded(of: account) }
            takeStep()
        }
        while stepsLeft > 0, let lock = agenda.nextRecall(of: account) {
            if locks.reaches(lock), !locks[lock].isVacant { recallMore(of: lock) }
            takeStep()
        }
    }

    private func isUnsettled(_ lock: Slot<Lock>) -> Bool {
        locks.reaches(lock) && !locks[lock].isVacant && locks[lock].isUnsettled
    }

    /// Serves the locks that were requested in the grace, in the order of their names.
    private mutating func openLocks() {
        var after: LockName?
        if case .through(let name) = opened { after = name }
        var some: [Slot<Lock>] = []
        let most = min(stepsLeft, completesAtOnce ? Int.max : stepsInTurn)
        var last: LockName?
        names.forEach(prefix: "", after: after) { lock in
            some.append(lock)
            last = name(of: lock)
            return some.count < most
        }
        opened = some.count < most ? nil : last.map(Opened.through)
        // No account has caused the end of the grace, so none is charged.
        stepsLeft -= some.count
        reconcile(some)
    }

    // MARK: - What is over

    /// Whether a request counts as gone: its deadline has come, or its session has ended.
    func isOver(_ waiter: Slot<Waiter>) -> Bool {
        isOver(waiters[waiter])
    }

    func isOver(_ record: Waiter) -> Bool {
        let session = owners[record.owner].session
        if sessions[session].phase != .open { return true }
        return record.deadline.map { agenda.due($0, of: sessions[session].account) <= clock } ?? false
    }

    /// Whether a grant counts as gone: its lease has ended, or its session, and its last lines are carried out.
    func isOver(_ grant: Slot<Grant>) -> Bool {
        sessions[owners[grants[grant].owner].session].phase == .ended || hasExpired(grant)
    }

    /// Whether the lease of a grant has ended.
    func hasExpired(_ grant: Slot<Grant>) -> Bool {
        guard let deadline = grants[grant].deadline else { return false }
        return agenda.due(deadline, of: account(of: grants[grant].owner)) <= clock
    }

    /// Whether the lease of the grant that a waiting request is to upgrade has ended before the request was over. With the grant,
    /// its upgrade is cancelled.
    func isCancelled(_ waiter: Slot<Waiter>) -> Bool {
        guard let grant = waiters[waiter].upgrades, let lease = grants[grant].deadline else { return false }
        let session = sessions[owners[waiters[waiter].owner].session]
        let end = agenda.due(lease, of: session.account)
        guard session.phase == .open, end <= clock else { return false }
        return waiters[waiter].deadline.map { end < agenda.due($0, of: session.account) } ?? true
    }

    /// Carries out a deadline. Returns the lock, which the caller reconciles.
    private mutating func end(_ due: Due) -> Slot<Lock> {
        switch due {
        case .waiter(let waiter):
            waiters[waiter].deadline = nil
            if sessions[owners[waiters[waiter].owner].session].phase != .open { return drop(waiter) }
            let lock = waiters[waiter].lock
            takeStep()
            timeOut(waiter)
            return lock
        case .grant(let grant):
            // A late end of a lease is not the release that its session declared.
            grants[grant].isReleasedAtEnd = false
            grants[grant].deadline = nil
            let lock = grants[grant].lock
            endOver(grant)
            return lock
        }
    }

    /// Removes a request that is over, and answers it if its session is open. Returns the lock, which the caller reconciles.
    @discardableResult
    mutating func drop(_ waiter: Slot<Waiter>, keepingOwner: Bool = false) -> Slot<Lock> {
        takeStep()
        let lock = waiters[waiter].lock
        if sessions[owners[waiters[waiter].owner].session].phase == .open {
            timeOut(waiter, keepingOwner: keepingOwner)
        } else {
            emit(.cancelled, waiter)
            removeWaiter(waiter, keepingOwner: keepingOwner)
        }
        return lock
    }

    /// Ends a grant that is over. The caller reconciles the lock.
    mutating func endOver(_ grant: Slot<Grant>) {
        let record = grants[grant]
        let slot = owners[record.owner].session
        guard sessions[slot].phase != .ended else { return endWithSession(grant) }
        takeStep()
        effects.append(.expired(id(of: slot), name(of: record.lock), record.token, record.mode))
        emit(.expired, grant)
        endGrant(grant, cleanly: false)
    }

    private mutating func timeOut(_ waiter: Slot<Waiter>, keepingOwner: Bool = false) {
        let record = waiters[waiter]
        let blockers = blockers(of: record.mode, on: record.lock, upgrading: record.upgrades)
        guard !record.isProbe else {
            return refuse(waiter, .busy(blockers), as: .refused, keepingOwner: keepingOwner)
        }
        let waited = record.since.duration(to: clock)
        refuse(waiter, .timeout(waited: waited, blockers), as: .timeout, keepingOwner: keepingOwner)
    }

    // MARK: - One lock

    /// Does what is due on one lock, so that a command about it can be decided.
    ///
    /// Returns false if the command has to wait: for the rest of this work, or for the last lines of a session that has ended.
    public mutating func settle(_ name: LockName, for session: SessionID) -> Bool {
        guard isBehind, let lock = names.find(name) else { return true }
        return settle(lock, for: slot(of: session))
    }

    /// Does what is due on the lock of the waiting request with a tag.
    public mutating func settle(_ tag: Tag, of session: SessionID) -> Bool {
        guard isBehind, let waiter = waiter(tag, of: slot(of: session)) else { return true }
        return settle(waiters[waiter].lock, for: slot(of: session))
    }

    /// Does what is due on the locks that an owner waits for, and on those that it only seems to hold.
    public mutating func settle(_ owner: OwnerID, of session: SessionID) -> Bool {
        guard isBehind, let owner = findOwner(owner, of: slot(of: session)) else { return true }
        var locks: [Slot<Lock>] = []
        owners[owner].waiters.forEach(in: waiters) { locks.append(waiters[$0].lock) }
        owners[owner].grants.forEach(in: grants) { if isOver($0) { locks.append(grants[$0].lock) } }
        for lock in locks where self.locks.reaches(lock) && !self.locks[lock].isVacant {
            guard settle(lock, for: slot(of: session)) else { return false }
        }
        return true
    }

    private mutating func settle(_ lock: Slot<Lock>, for session: Slot<Session>) -> Bool {
        guard !locks[lock].isUnsettled else { return false }
        // The last lines of two sessions never wait for each other.
        let waits = sessions[session].phase == .open
        let count = Int(locks[lock].holders.count) + locks[lock].waiters
        guard searchedSteps + count <= limits.searchSteps || takeLongLook() else {
            // That would be too much to look through. Nothing is over once nothing is due.
            return !hasWork && !(waits && unfinishedEnds > 0)
        }
        noteSearched(count)
        var isWaitedFor = false
        var over: [Slot<Grant>] = []
        locks[lock].holders.forEach(in: grants) { grant in
            if isOver(grant) { over.append(grant) }
            if waits, sessions[owners[grants[grant].owner].session].phase == .ending { isWaitedFor = true }
        }
        guard !isWaitedFor else { return false }
        var overWaiters: [Slot<Waiter>] = []
        func note(_ waiter: Slot<Waiter>) { if isOver(waiter) { overWaiters.append(waiter) } }
        if let upgrade = locks[lock].upgrade, !isCancelled(upgrade) { note(upgrade) }
        locks[lock].contenders.forEach(in: waiters) { note($0) }
        locks[lock].readers.forEach(in: waiters) { note($0) }
        let impatient = patience == nil ? [] : readersPatientTooLong(of: lock)
        var isDone = overWaiters.count + over.count <= stepsLeft
        for waiter in overWaiters where stepsLeft > 0 { drop(waiter) }
        for grant in over where stepsLeft > 0 { endOver(grant) }
        let name = name(of: lock)
        for reader in impatient {
            isDone = isDone && stepsLeft > 0
            guard isDone else { break }
            // An earlier read of its owner may have shared its place with it.
            if waiters[reader].isPatient { losePatience(through: reader) }
        }
        reconcile(lock)
        guard let left = names.find(name) else { return true }
        return isDone && !locks[left].isUnsettled
    }
}
