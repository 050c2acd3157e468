public import LockVocabulary

/// The rules: all locks, who holds them, who waits for them, and what follows from a command.
///
/// A value without I/O, clock or chance. Whoever calls says what time it is; times never go back. A command
/// answers the one who gave it; what happens to others, or later, is appended to `effects`. Before a command
/// is carried out, everything that was due by then is (G5), so nothing is ever granted after its deadline.
///
/// The structures and the rules are told in README.md.
public struct LockTable: ~Copyable {
    // The records, and the ways to find them. README.md says what each holds.
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
    /// The locks whose last writer died, the oldest mark first (G11).
    var marks = LinkedList<Lock.Marked>()
    private let anchor = Anchor()

    var nextToken: Token
    var lastToken: Token
    var nextNumber: UInt64 = 0
    var nextSerial: UInt32 = 0
    /// Until when nothing is granted (G1); nil when that is over.
    var graceEnd: Instant?
    /// What the rules were last told of the time.
    var clock = Instant.zero

    /// How much there may be; a limit that is lowered takes nothing away.
    public var limits: Limits

    /// What happened since it was last emptied, in order.
    public var effects: [Effect] = []

    /// Whether changes are told.
    public var isObserved = false

    /// Whether new requests are refused.
    public var isDraining = false

    /// An empty table.
    ///
    /// - Parameters:
    ///   - firstToken: the token of the first grant; above every token that was ever given out.
    ///   - lastToken: the last that may be given out before `allowTokens(through:)`.
    ///   - graceEnd: when the first grant may be made.
    public init(limits: Limits = Limits(), firstToken: Token, lastToken: Token, graceEnd: Instant? = nil) {
        self.limits = limits
        nextToken = firstToken
        self.lastToken = lastToken
        self.graceEnd = graceEnd
    }

    // Not needed, but for a fault of the compiler: code in other modules that destroys the fields itself does not run the
    // `deinit` of `IntegerTable`, since its fields are trivial. With a `deinit` here, it calls this module.
    deinit {}

    /// Allows tokens up to and with this one.
    public mutating func allowTokens(through token: Token) {
        if token > lastToken { lastToken = token }
    }

    /// How many grants may be made before more tokens are allowed.
    public var tokensLeft: UInt64 { lastToken < nextToken ? 0 : lastToken.rawValue - nextToken.rawValue + 1 }

    /// What the rules were last told of the time.
    public var now: Instant { clock }

    // MARK: - Sessions

    /// A new session of an account; nil if there are as many as may be.
    public mutating func openSession(account: Int = 0, share: Share = Share()) -> SessionID? {
        guard sessions.count < limits.sessions else { return nil }
        addAccount(account)
        nextSerial += 1
        let session = sessions.insert(Session(serial: nextSerial, account: account, share: share))
        return SessionID(slot: session.raw, serial: nextSerial)
    }

    /// Has the session told when somebody waits for what it holds, or no longer.
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

    /// Ends a session: what it waits for is dropped unanswered, and what it holds is free (G6).
    ///
    /// The session may do nothing more, and keeps its place until `forgetSession`. Where its process was killed, nothing
    /// counts as released that was to be at the end.
    public mutating func closeSession(_ session: SessionID, wasKilled: Bool = false, at now: Instant) {
        advance(to: now)
        let slot = slot(of: session)
        // All requests first: none of them may be granted by the end of the session's own grants.
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

    /// Drops what a session waits for, unanswered. Of several sessions that end together this comes first for all, so
    /// that none is granted what another of them held.
    public mutating func dropRequests(of session: SessionID, at now: Instant) {
        advance(to: now)
        reconcile(removeRequests(of: slot(of: session)))
    }

    /// Takes a session's requests out of their queues; returns the locks that are to be reconciled.
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

    /// Gives up the place of a session that was closed.
    public mutating func forgetSession(_ session: SessionID) {
        let slot = slot(of: session)
        precondition(sessions[slot].owners.isEmpty, "the session was not closed")
        if let labels = sessions[slot].labels { self.labels.remove(labels) }
        sessions.remove(slot)
    }

    /// How many sessions there are.
    public var sessionCount: Int { sessions.count }
    /// How many locks are held, waited for or marked.
    public var lockCount: Int { locks.count }
    /// How many grants there are.
    public var grantCount: Int { grants.count }
    /// How many requests wait.
    public var waiterCount: Int { waiters.count }
    /// How many locks are marked (G11).
    public var markCount: Int { Int(marks.count) }

    /// The slot of a session that is there.
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

    /// When something happens by itself at the earliest; nil for never.
    @inline(__always)
    public var nextDeadline: Instant? { Instant.earliest(deadlines.first, graceEnd) }

    /// Carries out what is due by `now`: requests time out, leases end, the grace is over.
    @inline(__always)
    public mutating func advance(to now: Instant) {
        precondition(now >= clock, "time went back")
        clock = now
        if let due = nextDeadline, due <= now { carryOutDue(now) }
    }

    private mutating func carryOutDue(_ now: Instant) {
        // First all that is due, then what follows from it: a request whose time is over gets nothing any more.
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
