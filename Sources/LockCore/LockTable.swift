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
    var accounts = OwnedArray<Usage>()
    var notes = Slab<Note>()
    var caches = Slab<CachedGrant>()
    var ownerIDs = Slab<OwnerID>()
    var labels = Slab<Labels>()
    var names = NameTree()
    var tokens = IntegerTable<Slot<Grant>>(vacant: .nowhere)
    var holds = IntegerTable<Stake<Grant>>(vacant: Stake())
    var waits = IntegerTable<Stake<Waiter>>(vacant: Stake())
    var agenda = Agenda()
    /// What is still to be reported when an ended session is taken apart.
    var endings: [Slot<Session>: Ending] = [:]
    /// Where contenders and impatient readers wait: the first contender behind those that are known to be updaters.
    var firstWriters: [Slot<Lock>: Slot<Waiter>] = [:]
    /// The waiting readers that have not lost patience, in the order of arrival; empty without patience.
    var patientReaders = LinkedList<Waiter.Patient>()
    /// The marked locks, the oldest mark first (G11).
    var marks = LinkedList<Lock.Marked>()
    /// The numbers of the marks, by which they are in order.
    var markNumbers: [Slot<Lock>: UInt64] = [:]
    /// The sessions with slots that rest until the facts are taken.
    var resting: [Slot<Session>] = []
    /// The cached grants of each lock that has some.
    var cachedOn: [Slot<Lock>: LinkedList<CachedGrant.OnLock>] = [:]
    /// The slots of each session that shares memory for them.
    var rooms: [Slot<Session>: SlotRoom] = [:]
    /// The slots of sessions that have ended, until that is committed.
    var leaving: [SlotRoom] = []
    var cacheUsage: [AccountID: CacheUsage] = [:]
    /// The session that holds on shared locks what sessions of this host must not have; nil before the first one.
    var fleet: Slot<Session>?
    /// What it has on each shared lock.
    var stakes = IntegerTable<FleetStake>(vacant: FleetStake())
    /// The number of its grants and requests, which no limit counts.
    var fleetRecords = 0
    /// The names of shared locks that are different from what the caller was told.
    var changedShared = Queue<LockName>()
    /// The shared locks on which requests wait for a token.
    var shutLocks: [Slot<Lock>] = []
    /// How long requests waited and grants were held.
    public internal(set) var times = LockTimes()
    private let anchor = Anchor()

    var nextToken: Token
    var lastToken: Token
    /// The next token of shared locks, and the first that they may not have. Until both are set, there is none.
    var nextSharedToken = Token(rawValue: 1 << 62)
    var sharedGate = Token(rawValue: 1 << 62)
    /// The number of the next request; 0 is the place before all requests.
    var nextNumber: UInt64 = 1
    var nextSerial: UInt32 = 0
    var nextMark: UInt64 = 0
    /// How many sessions have ended, and are not taken apart.
    var unfinishedEnds = 0
    /// How many more steps of work the present command, or turn, may take.
    var stepsLeft = Int.max
    /// How many of these steps are charged to the account that they are for, which may not have the turn.
    var stepsCharged = 0
    /// The end of the grace, in which nothing is granted (G1); nil when it is over.
    var graceEnd: Instant?
    /// How far the locks are opened after the end of the grace; nil if all are.
    var opened: Opened?
    /// The time of the last command.
    var clock = Instant.zero

    /// The limits. To lower a limit takes nothing away.
    public var limits: Limits

    /// How long a reader waits behind writers that came after it (G2); nil for as long as they come.
    let patience: Duration?

    /// Whether each command first completes all work that is due. A caller that serves many users sets this to false, and
    /// calls `work` and `settle`.
    public var completesAtOnce = true

    /// The steps of work that a command may take for what follows it, and an account before another has its turn.
    public var stepsInTurn = 16

    /// The work done for each account in its turns since the caller last removed it, in steps.
    public var charges: [AccountID: Int] = [:]

    private var commandSteps = 0

    /// Removes and returns the number of steps that commands took: what followed them at once.
    public mutating func takeCommandSteps() -> Int {
        defer { commandSteps = 0 }
        return commandSteps
    }

    /// Takes one step, at the cost of the account that has its turn, or of the command.
    @inline(__always)
    mutating func takeStep() {
        stepsLeft -= 1
        if !isInTurn { commandSteps += 1 }
    }

    /// Whether an account has its turn, and pays for the steps.
    var isInTurn = false

    private(set) var searchedSteps = 0

    /// Removes and returns the number of grants and requests that were examined for commands: by searches for circles, by
    /// `settle`, and on the way to the names of locks, where 40 nodes of the tree count as one.
    public mutating func takeSearchedSteps() -> Int {
        let steps = searchedSteps + names.passed / 40
        searchedSteps = 0
        names.passed = 0
        return steps
    }

    /// Whether a command in this batch may still look through a lock that has more than a search may examine.
    private var mayLookLong = true

    /// Begins a batch. In each batch, one command may look through any lock.
    public mutating func beginBatch() { mayLookLong = true }

    mutating func takeLongLook() -> Bool {
        defer { mayLookLong = false }
        return mayLookLong
    }

    mutating func noteSearched(_ steps: Int) { searchedSteps += steps }

    /// The effects since the caller last removed them, in order.
    public var effects: [Effect] = []

    /// Whether changes are emitted for watchers.
    public var isObserved = false

    /// Whether the table notes which of its facts change.
    public var keepsFacts = false
    /// The facts that may have changed since `forEachChangedFact`.
    var changedFacts: [FactKey] = []
    /// The counters at that time.
    var keptCounters: Fact.Counters?

    /// Whether new requests are refused.
    public var isDraining = false

    /// The names that a fleet shares; nil without a fleet.
    let sharedNames: SharedNames?

    /// Whether new requests for shared locks are refused where they would have to wait for the fleet.
    public var isFleetUnavailable = false

    /// An empty table.
    ///
    /// - Parameters:
    ///   - firstToken: the token of the first grant; greater than every token of an earlier table.
    ///   - lastToken: the last token that is reserved; `allowTokens(through:)` raises it.
    ///   - graceEnd: the end of the grace, in which nothing is granted.
    ///   - patience: how long a reader waits behind writers that came after it; nil for as long as they come.
    ///   - sharedNames: the names that a fleet shares; nil without a fleet.
    public init(
        limits: Limits = Limits(), firstToken: Token, lastToken: Token, graceEnd: Instant? = nil,
        patience: Duration? = nil, sharedNames: SharedNames? = nil
    ) {
        self.limits = limits
        self.sharedNames = sharedNames
        self.patience = patience
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

    /// Opens a session of an account; nil if the limit of sessions is reached. Its process is only named in `times`.
    public mutating func openSession(
        account: AccountID = AccountID(rawValue: 0), share: Share = Share(), processID: Int32? = nil
    ) -> SessionID? {
        guard sessionCount < limits.sessions else { return nil }
        addAccount(account)
        nextSerial = max(1, nextSerial &+ 1)
        let session = sessions.insert(
            Session(serial: nextSerial, account: account, share: share, processID: processID))
        noteFact(.session, session.raw)
        return SessionID(slot: session.raw, serial: nextSerial)
    }

    /// Sets the process of a session of a former table.
    public mutating func setProcess(_ processID: Int32?, of session: SessionID) {
        sessions[slot(of: session)].processID = processID
    }

    /// Sets whether the session wants to be told when a request waits for one of its grants.
    public mutating func setRecall(_ wanted: Bool, of session: SessionID) {
        let slot = slot(of: session)
        guard sessions[slot].wantsRecall != wanted else { return }
        sessions[slot].wantsRecall = wanted
        noteFact(.session, slot.raw)
        var walk = sessions[slot].owners.walk()
        while let owner = walk.next(in: owners) {
            var held = owners[owner].grants.walk()
            while let grant = held.next(in: grants) {
                noteSearched(1)
                let lock = grants[grant].lock
                if wanted { locks[lock].recallers += 1 } else { locks[lock].recallers -= 1 }
                locks[lock].hasRecalledAll = false
                guard wanted, locks[lock].hasWaiters else { continue }
                takeStep()
                recall(grant)
            }
        }
    }

    /// Whether there is such a session, open or not.
    public func has(_ session: SessionID) -> Bool {
        let slot = Slot<Session>(raw: session.slot)
        return sessions.reaches(slot) && sessions[slot].serial == session.serial && session.serial != 0
    }

    /// The number of sessions.
    public var sessionCount: Int { sessions.count - (fleet == nil ? 0 : 1) }
    /// The number of locks that are held, waited for or marked, or that this host claims.
    public var lockCount: Int { locks.count }
    /// The number of grants.
    public var grantCount: Int { grants.count - (fleet.map { sessions[$0].usage.grants } ?? 0) }
    /// The number of waiting requests.
    public var waiterCount: Int { waiters.count - (fleet.map { sessions[$0].usage.waiters } ?? 0) }
    /// The number of marked locks (G11).
    public var markCount: Int { Int(marks.count) }

    /// The slot of an open session.
    @inline(__always)
    func slot(of session: SessionID) -> Slot<Session> {
        let slot = Slot<Session>(raw: session.slot)
        precondition(sessions[slot].serial == session.serial, "the session has ended")
        return slot
    }

    /// The account that an owner belongs to.
    @inline(__always)
    func account(of owner: Slot<Owner>) -> AccountID { sessions[owners[owner].session].account }

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
        if locks[lock].isShared { forgetShared(lock) }
        names.remove(locks[lock].name)
        locks.remove(lock)
    }
}
