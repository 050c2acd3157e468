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
    var accounts: [Account] = []
    var notes = Slab<Note>()
    var ownerWords = Slab<OwnerID>()
    var sessionWords = Slab<SessionWords>()
    var names = NameTree()
    var tokens = IntegerTable<Slot<Grant>>(vacant: .none)
    var holds = IntegerTable<Stake>(vacant: Stake())
    var waits = IntegerTable<Stake>(vacant: Stake())
    var deadlines = DeadlineHeap<Due>()
    var marks = MarkList()
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
        var session = Session()
        session.serial = nextSerial
        session.account = account
        session.share = share
        return SessionID(slot: sessions.insert(session).raw, serial: nextSerial)
    }

    /// Has the session told when somebody waits for what it holds, or no longer.
    public mutating func setRecall(_ wanted: Bool, of session: SessionID) {
        let slot = place(of: session)
        guard sessions[slot].wantsRecall != wanted else { return }
        sessions[slot].wantsRecall = wanted
        forEachOwner(of: slot) { table, owner in
            var grant = table.owners[owner].firstGrant
            while !grant.isNone {
                let lock = table.grants[grant].lock
                if wanted { table.locks[lock].recallers += 1 } else { table.locks[lock].recallers -= 1 }
                table.recallHolders(of: lock)
                grant = table.grants[grant].nextOwned
            }
        }
    }

    /// Ends a session: what it waits for is dropped unanswered, and what it holds is free (G6).
    ///
    /// The session may do nothing more, and keeps its place until `forgetSession`. Where its process was killed, nothing
    /// counts as released that was to be at the end.
    public mutating func closeSession(_ session: SessionID, wasKilled: Bool = false, at now: Instant) {
        advance(to: now)
        let slot = place(of: session)
        // All requests first: none of them may be granted by the end of the session's own grants.
        var touched = removeRequests(of: slot)
        var lost = 0
        var example: (name: LockName, mode: LockMode, token: Token)?
        forEachOwner(of: slot) { table, owner in
            while case let grant = table.owners[owner].firstGrant, !grant.isNone {
                let lock = table.grants[grant].lock
                touched.append(lock)
                let isReleased = table.grants[grant].isReleasedAtEnd && !wasKilled
                if !isReleased {
                    lost += 1
                    if example == nil || table.grants[grant].mode > example?.mode ?? .read {
                        let record = table.grants[grant]
                        example = (table.name(of: lock), record.mode, record.token)
                    }
                }
                table.tell(isReleased ? .released : .died, grant)
                table.endGrant(grant, cleanly: isReleased, keepingOwner: true)
            }
            table.removeOwner(owner)
        }
        if let example { effects.append(.diedHolding(session, example.name, example.token, grants: lost)) }
        settle(touched)
    }

    /// Drops what a session waits for, unanswered. Of several sessions that end together this comes first for all, so
    /// that none is granted what another of them held.
    public mutating func dropRequests(of session: SessionID, at now: Instant) {
        advance(to: now)
        settle(removeRequests(of: place(of: session)))
    }

    /// Takes a session's requests out of their queues; returns the locks that are to be settled.
    private mutating func removeRequests(of session: Slot<Session>) -> [Slot<Lock>] {
        var touched: [Slot<Lock>] = []
        forEachOwner(of: session) { table, owner in
            while case let waiter = table.owners[owner].firstWaiter, !waiter.isNone {
                touched.append(table.waiters[waiter].lock)
                table.tell(.cancelled, waiter)
                table.removeWaiter(waiter, keepingOwner: true)
            }
            table.removeIfIdle(owner)
        }
        return touched
    }

    /// Gives up the place of a session that was closed.
    public mutating func forgetSession(_ session: SessionID) {
        let slot = place(of: session)
        precondition(sessions[slot].firstOwner.isNone, "the session was not closed")
        if case let words = sessions[slot].words, !words.isNone { sessionWords.remove(words) }
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
    public var markCount: Int { marks.count }

    /// The place of a session that is there.
    @inline(__always)
    func place(of session: SessionID) -> Slot<Session> {
        let slot = Slot<Session>(raw: session.slot)
        precondition(sessions[slot].serial == session.serial, "the session has ended")
        return slot
    }

    @inline(__always)
    func name(of lock: Slot<Lock>) -> LockName { names[locks[lock].entry] }

    @inline(__always)
    func id(of slot: Slot<Session>) -> SessionID {
        SessionID(slot: slot.raw, serial: sessions[slot].serial)
    }

    /// Calls the body with each owner of a session; the body may remove the one it is given.
    private mutating func forEachOwner(
        of session: Slot<Session>, _ body: (inout LockTable, Slot<Owner>) -> Void
    ) {
        var owner = sessions[session].firstOwner
        while !owner.isNone {
            let next = owners[owner].next
            body(&self, owner)
            owner = next
        }
    }

    // MARK: - Time

    /// When something happens by itself at the earliest; nil for never.
    @inline(__always)
    public var nextDeadline: Instant? {
        guard let graceEnd else { return deadlines.first }
        return deadlines.first.map { min($0, graceEnd) } ?? graceEnd
    }

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
                waiters[waiter].deadline = DeadlineHeap<Due>.none
                touched.append(waiters[waiter].lock)
                timeOut(waiter, now)
            case .grant(let grant):
                grants[grant].deadline = DeadlineHeap<Due>.none
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
        settle(touched)
    }

    private mutating func timeOut(_ waiter: Slot<Waiter>, _ now: Instant) {
        let record = waiters[waiter]
        let holders = holders(before: record.mode, on: record.lock, except: record.upgrades)
        let waited = record.since.duration(to: now)
        answer(waiter, .timeout(waited: waited, holders))
        tell(.timeout, waiter)
        removeWaiter(waiter)
    }

    private mutating func expire(_ grant: Slot<Grant>) {
        let record = grants[grant]
        let session = id(of: owners[record.owner].session)
        effects.append(.expired(session, name(of: record.lock), record.token, record.mode))
        tell(.expired, grant)
        endGrant(grant, cleanly: false)
    }
}
