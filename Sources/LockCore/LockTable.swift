public import LockVocabulary

/// All locks with their holders and waiting requests, and the rules that change them.
///
/// A table is a value without I/O, clock or randomness. Each command takes the present time, which must not go back, and
/// returns its answer. Consequences for other sessions, and later ones, are appended to `effects`. A command first carries
/// out everything that is due (G5), so no request is granted after its deadline.
///
/// README.md describes the structures and the rules.
public struct LockTable: ~Copyable {
    // The records and the indices to them, which README.md describes.
    var locks = Slab<Lock>()
    var grants = Slab<Grant>()
    var waiters = Slab<Waiter>()
    var owners = Slab<Owner>()
    var sessions = Slab<Session>()
    var accounts: [Usage] = []
    var notes = Slab<Note>()
    var ownerIDs = Slab<OwnerID>()
    var labels = Slab<Labels>()
    var names = NameTree()
    var tokens = IntegerTable<Slot<Grant>>(vacant: .nowhere)
    var holds = IntegerTable<Stake<Grant>>(vacant: Stake())
    var waits = IntegerTable<Stake<Waiter>>(vacant: Stake())
    var deadlines = DeadlineHeap<Due>()
    /// The marked locks, the oldest mark first (G11).
    var marks = LinkedList<Lock.Marked>()
    private let anchor = Anchor()

    var nextToken: Token
    var lastToken: Token
    var nextNumber: UInt64 = 0
    var nextSerial: UInt32 = 0
    /// The end of the grace, in which nothing is granted (G1); nil when it is over.
    var graceEnd: Instant?
    /// The time of the last command.
    var clock = Instant.zero

    /// The limits. To lower a limit takes nothing away.
    public var limits: Limits

    /// The effects since the caller last removed them, in order.
    public var effects: [Effect] = []

    /// Whether changes are emitted for watchers.
    public var isObserved = false

    /// Whether new requests are refused.
    public var isDraining = false

    /// An empty table.
    ///
    /// - Parameters:
    ///   - firstToken: the token of the first grant; greater than every token of an earlier table.
    ///   - lastToken: the last token that is reserved; `allowTokens(through:)` raises it.
    ///   - graceEnd: the end of the grace, in which nothing is granted.
    public init(limits: Limits = Limits(), firstToken: Token, lastToken: Token, graceEnd: Instant? = nil) {
        self.limits = limits
        nextToken = firstToken
        self.lastToken = lastToken
        self.graceEnd = graceEnd
    }

    // Without this `deinit` other modules destroy the fields themselves, and Swift 6.3 then omits the `deinit` of
    // `IntegerTable`, so its memory leaks. With it they call this module, which frees everything.
    deinit {}

    /// Raises the last reserved token.
    public mutating func allowTokens(through token: Token) {
        if token > lastToken { lastToken = token }
    }

    /// The number of reserved tokens that are left.
    public var tokensLeft: UInt64 { lastToken < nextToken ? 0 : lastToken.rawValue - nextToken.rawValue + 1 }

    /// The time of the last command.
    public var now: Instant { clock }

    // MARK: - Sessions

    /// Opens a session of an account; nil if the limit of sessions is reached.
    public mutating func openSession(
        account: AccountID = AccountID(rawValue: 0), share: Share = Share()
    ) -> SessionID? {
        guard sessions.count < limits.sessions else { return nil }
        addAccount(account)
        nextSerial += 1
        let session = sessions.insert(Session(serial: nextSerial, account: account, share: share))
        return SessionID(slot: session.raw, serial: nextSerial)
    }

    /// Sets whether the session wants to be told when a request waits for one of its grants.
    public mutating func setRecall(_ wanted: Bool, of session: SessionID) {
        let slot = slot(of: session)
        guard sessions[slot].wantsRecall != wanted else { return }
        sessions[slot].wantsRecall = wanted
        var walk = sessions[slot].owners.walk()
        while let owner = walk.next(in: owners) {
            var held = owners[owner].grants.walk()
            while let grant = held.next(in: grants) {
                let lock = grants[grant].lock
                if wanted { locks[lock].recallers += 1 } else { locks[lock].recallers -= 1 }
                recallHolders(of: lock)
            }
        }
    }

    /// Ends a session: removes its waiting requests without an answer, and ends its grants (G6).
    ///
    /// The session may give no more commands, and keeps its slot until `forgetSession`. If its process was killed, declared
    /// releases (`releaseAtEnd`) do not count.
    public mutating func closeSession(_ session: SessionID, wasKilled: Bool = false, at now: Instant) {
        advance(to: now)
        let slot = slot(of: session)
        // Remove all requests before any grant. Otherwise the end of a grant could grant a request of the same session.
        var touched = removeRequests(of: slot)
        var lost = 0
        var example: (name: LockName, mode: LockMode, token: Token)?
        while let owner = sessions[slot].owners.first {
            while let grant = owners[owner].grants.first {
                let record = grants[grant]
                touched.append(record.lock)
                let isReleased = record.isReleasedAtEnd && !wasKilled
                if !isReleased {
                    lost += 1
                    if example == nil || record.mode > example?.mode ?? .read {
                        example = (name(of: record.lock), record.mode, record.token)
                    }
                }
                emit(isReleased ? .released : .died, grant)
                endGrant(grant, cleanly: isReleased, keepingOwner: true)
            }
            removeOwner(owner)
        }
        if let example { effects.append(.diedHolding(session, example.name, example.token, grants: lost)) }
        reconcile(touched)
    }

    /// Removes the waiting requests of a session without an answer.
    ///
    /// If several sessions end together, call this for all of them before `closeSession` for any. Otherwise a lock of one
    /// ending session could be granted to another.
    public mutating func dropRequests(of session: SessionID, at now: Instant) {
        advance(to: now)
        reconcile(removeRequests(of: slot(of: session)))
    }

    /// Removes a session's requests from their rows. Returns the locks that the caller has to reconcile.
    private mutating func removeRequests(of session: Slot<Session>) -> [Slot<Lock>] {
        var touched: [Slot<Lock>] = []
        var walk = sessions[session].owners.walk()
        while let owner = walk.next(in: owners) {
            while let waiter = owners[owner].waiters.first {
                touched.append(waiters[waiter].lock)
                emit(.cancelled, waiter)
                removeWaiter(waiter, keepingOwner: true)
            }
            removeIfIdle(owner)
        }
        return touched
    }

    /// Frees the slot of a session that was closed.
    public mutating func forgetSession(_ session: SessionID) {
        let slot = slot(of: session)
        precondition(sessions[slot].owners.isEmpty, "the session was not closed")
        if let labels = sessions[slot].labels { self.labels.remove(labels) }
        sessions.remove(slot)
    }

    /// The number of sessions.
    public var sessionCount: Int { sessions.count }
    /// The number of locks that are held, waited for or marked.
    public var lockCount: Int { locks.count }
    /// The number of grants.
    public var grantCount: Int { grants.count }
    /// The number of waiting requests.
    public var waiterCount: Int { waiters.count }
    /// The number of marked locks (G11).
    public var markCount: Int { Int(marks.count) }

    /// The slot of an open session.
    @inline(__always)
    func slot(of session: SessionID) -> Slot<Session> {
        let slot = Slot<Session>(raw: session.slot)
        precondition(sessions[slot].serial == session.serial, "the session has ended")
        return slot
    }

    @inline(__always)
    func name(of lock: Slot<Lock>) -> LockName { names[locks[lock].name] }

    @inline(__always)
    func id(of slot: Slot<Session>) -> SessionID {
        SessionID(slot: slot.raw, serial: sessions[slot].serial)
    }

    mutating func addLock(_ name: LockName) -> Slot<Lock> {
        let lock = locks.insert(Lock(name: .nowhere))
        locks[lock].name = names.insert(name, for: lock)
        return lock
    }

    mutating func removeLock(_ lock: Slot<Lock>) {
        names.remove(locks[lock].name)
        locks.remove(lock)
    }

    // MARK: - Time

    /// The earliest instant at which something is due; nil for never.
    @inline(__always)
    public var nextDeadline: Instant? { Instant.earliest(deadlines.first, graceEnd) }

    /// Carries out what is due by `now`: timeouts, ends of leases, the end of the grace.
    @inline(__always)
    public mutating func advance(to now: Instant) {
        precondition(now >= clock, "time went back")
        clock = now
        if let due = nextDeadline, due <= now { carryOutDue(now) }
    }

    private mutating func carryOutDue(_ now: Instant) {
        // End everything that is due before any lock is reconciled. Otherwise the end of a lease could grant a request after
        // its deadline.
        var touched: [Slot<Lock>] = []
        while let due = deadlines.popFirst(by: now) {
            switch due {
            case .waiter(let waiter):
                waiters[waiter].deadline = nil
                touched.append(waiters[waiter].lock)
                timeOut(waiter, now)
            case .grant(let grant):
                grants[grant].deadline = nil
                touched.append(grants[grant].lock)
                expire(grant)
            }
        }
        if let end = graceEnd, end <= now {
            graceEnd = nil
            names.forEach(prefix: "", after: nil) { lock in
                touched.append(lock)
                return true
            }
        }
        reconcile(touched)
    }

    private mutating func timeOut(_ waiter: Slot<Waiter>, _ now: Instant) {
        let record = waiters[waiter]
        let blockers = blockers(of: record.mode, on: record.lock, upgrading: record.upgrades)
        refuse(waiter, .timeout(waited: record.since.duration(to: now), blockers), as: .timeout)
    }

    private mutating func expire(_ grant: Slot<Grant>) {
        let record = grants[grant]
        let session = id(of: owners[record.owner].session)
        effects.append(.expired(session, name(of: record.lock), record.token, record.mode))
        emit(.expired, grant)
        endGrant(grant, cleanly: false)
    }
}
