import LockClaims
public import LockCore
public import LockVocabulary
import LockWire

/// The daemon without I/O: bytes, ends and time in; bytes and events out.
///
/// The owner of the sockets calls `open` for a new connection, `receive` with what it read, `endOfInput` or `died` at the
/// connection's end, and `advance` when `nextDeadline` has come. Then it takes each session from `nextReadySession`, sends
/// what `withOutput` shows, states with `wrote` how much the socket took, and does what `interest` asks for.
///
/// The server leads a request through the types that own the state: the rules (`LockTable`), the conversations with their
/// buffers, the accounts with the order of service, the watchers, and the policy with its verdicts. No call blocks, and the
/// cost of each line is bounded, because rows are written in pages.
public struct Server: ~Copyable {
    var table: LockTable
    var conversations: Conversations
    var accounts: Accounts
    let turns: ServerConfiguration.Turns
    let pieceSize: Int
    var watchers = Watchers()
    var verdicts: Verdicts
    var statistics: Statistics
    var log = EventLog()
    var limits: ServerConfiguration.Limits
    let program: String
    let start: Instant
    /// How many steps of due work are left for this batch.
    private var dueStepsLeft: Int
    /// An empty array that keeps its memory, to exchange for the rules' effects.
    var spareEffects: [Effect] = []
    var cachePolicy = CachePolicy()
    var hotReport = HotReport()
    /// What the server has of a fleet; nil if it shares no names.
    var fleet: Fleet?
    /// When the claims of this host no longer count, and with them all grants on shared names; never without claims.
    var claimsEnd = Instant.never
    /// The circle over hosts for which requests are being refused: the hops after that of this host.
    var fleetHops: [Cycle.Hop] = []
    /// Whether `nextStoreRequest` may have one: to be called until it has none before anything waits.
    public internal(set) var mayHaveStoreRequests = false
    /// Makes memory for the slots of a session, and has its client mapped to it with the reply to `HELLO`; nil if there is no
    /// room for more. Without a maker no grant is cached.
    public var slotMaker: ((SessionID) -> SlotMemory?)?
    /// Whether `slotMaker` was called since the caller last reset this.
    public var hasCalledSlotMaker = false
    /// Kept for its memory.
    var factWriter = FactWriter()
    var isFullNow = false
    /// How many bytes all sessions may keep: those of the limit, but hardly more than now while nothing more has room.
    var bufferLimit = Int.max
    private let anchor = Anchor()
    #if DEBUG
        /// Faults that a test has planted; nil for none.
        public var plantedFaults: PlantedFaults?
    #endif
    /// What was carried out, in order, for a caller that compares it with a model; nil for any other.
    public var carriedOut: [CarriedOut]?

    public init(_ configuration: ServerConfiguration) {
        limits = configuration.limits
        bufferLimit = limits.buffers
        turns = configuration.turns
        pieceSize = configuration.pieceSize
        dueStepsLeft = turns.batch
        accounts = Accounts(turns)
        program = configuration.program
        start = configuration.start
        verdicts = Verdicts(by: configuration.policy, ownUserID: configuration.ownUserID)
        statistics = Statistics(hostRows: configuration.hostRows)
        conversations = Conversations(unreadLimit: configuration.limits.unread)
        table = LockTable(
            limits: configuration.limits.rules, firstToken: configuration.firstToken,
            lastToken: configuration.lastToken, graceEnd: configuration.graceEnd,
            patience: configuration.patience,
            sharedNames: configuration.fleet.map { SharedNames(prefixes: $0.namePrefixes) })
        if let claims = configuration.fleet {
            fleet = Fleet(claims)
            mayHaveStoreRequests = true
        }
        table.completesAtOnce = false
        table.stepsInTurn = turns.steps
    }

    // MARK: - Sessions

    /// Opens a session for a new connection.
    ///
    /// - Returns: nil if there are as many sessions as allowed: send `refusal` to the connection and close it.
    public mutating func open(_ peer: Peer, at now: Instant) -> SessionID? {
        let verdict = verdicts.verdict(on: peer)
        let entered = accounts.enter(
            peer.userID, within: verdict.sessions, having: table.sessionCount, of: sessionsToShare, at: now)
        guard let account = entered else {
            noteRefusal(of: peer, at: now)
            return nil
        }
        guard
            let session = table.openSession(
                account: account, share: verdict.share, processID: peer.processID)
        else {
            accounts.leave(account, at: now)
            noteRefusal(of: peer, at: now)
            return nil
        }
        conversations.open(
            Conversation(
                session: session, peer: peer, since: now, account: account, verdict: verdict,
                lineLimit: limits.line))
        return session
    }

    /// The line for a connection that gets no session.
    public static let refusal: [UInt8] = {
        var line: [UInt8] = []
        Reply.error(WireError(.limitSessions)).encode(tag: nil, into: &line)
        return line
    }()

    /// Carries out the lines that these bytes complete.
    public mutating func receive(_ bytes: UnsafeRawBufferPointer, from session: SessionID, at now: Instant) {
        guard let client = conversations.openIndex(of: session) else { return }
        catchUp(at: now)
        conversations.count(received: bytes.count, from: client)
        if conversations.isPaused(client) {
            conversations[client].park(bytes)
        } else {
            carryOutLines(bytes, client, now)
        }
        finish(client)
    }

    /// Notes that the process of a session is dead, or has closed its end: it gets no lock any more, and gets no answers.
    ///
    /// Call this for every session that ends in this batch, before the last lines of any of them are received. Otherwise a
    /// lock released by one dying session could be granted to another.
    public mutating func beginEnd(_ session: SessionID, at now: Instant) {
        guard let client = conversations.index(of: session) else { return }
        conversations[client].mute()
        guard conversations[client].phase == .open else { return }
        carriedOut?.append(.withdrawal(session))
        table.beginEnd(of: session, at: now)
    }

    /// Ends the input of a session. After its last lines its waiting requests are dropped and its locks released (G6).
    ///
    /// Its output can still be sent. `wasKilled` returns whether a signal killed the process; it is called only if that
    /// can make a difference.
    public mutating func endOfInput(
        _ session: SessionID, wasKilled: () -> Bool = { false }, at now: Instant
    ) {
        endOfInput(session, as: .ending, wasKilled: wasKilled, at: now)
    }

    /// Ends a session as `endOfInput` does, and drops its output, because the process that connected is dead.
    public mutating func died(
        _ session: SessionID, wasKilled: () -> Bool = { false }, at now: Instant
    ) {
        beginEnd(session, at: now)
        endOfInput(session, as: .cutOff, wasKilled: wasKilled, at: now)
    }

    private mutating func endOfInput(
        _ session: SessionID, as phase: Conversation.Phase, wasKilled: () -> Bool, at now: Instant
    ) {
        endClaimsIfOver(at: now)
        guard let client = conversations.index(of: session) else { return }
        guard conversations[client].phase == .open else {
            if phase == .cutOff { end(client, as: .cutOff, now) }
            return
        }
        let mayRelease = conversations[client].hasParked || table.releasesAtEnd(session)
        let wasKilled = conversations[client].ending?.wasKilled ?? (mayRelease && wasKilled())
        conversations[client].ending = Conversation.Ending(phase: phase, wasKilled: wasKilled)
        goOn(client, now)
    }

    /// Forgets a session, because its connection is closed. Its place is used again once its grants are removed.
    public mutating func close(_ session: SessionID, at now: Instant) {
        guard let client = conversations.index(of: session) else { return }
        end(client, as: .cutOff, now)
        finish(client)
        let isTakenApart = table.isTakenApart(session)
        table.forgetSession(session)
        if isTakenApart { forget(client) }
    }

    /// Forgets a session that has nothing any more.
    mutating func forget(_ client: ConversationIndex) {
        accounts.leave(conversations[client].account, at: table.now)
        conversations.close(client)
    }

    // MARK: - Time

    /// The earliest instant at which something happens without input; nil for never.
    public var nextDeadline: Instant? {
        let own = Instant.earliest(.earliest(table.nextDeadline, accounts.nextThrottleEnd), hotReport.due)
        return fleet == nil ? own : Instant.earliest(own, nextFleetDeadline)
    }

    /// Carries out what is due by now, and begins a round of service. Returns whether there is unfinished work.
    @discardableResult
    public mutating func advance(to now: Instant) -> Bool {
        endClaimsIfOver(at: now)
        table.advance(to: now)
        accounts.beginRound(at: now)
        table.beginBatch()
        dueStepsLeft = turns.batch
        if table.hasWork { doDueWork() }
        if fleet != nil { advanceFleet(to: now) }
        if let due = hotReport.due, due <= now { reportHotLocks(at: now) }
        return hasUnfinishedWork
    }

    private mutating func doDueWork() {
        chargeTurns()
        let steps = table.work(atMost: dueStepsLeft)
        dueStepsLeft -= steps
        // No account has caused the end of the grace: the locks that are opened then only count.
        accounts.count(steps - table.charges.values.reduce(0, +))
        chargeTurns()
        // A step includes what it looks through.
        _ = table.takeSearchedSteps()
        deliverEffects()
    }

    private mutating func chargeTurns() {
        guard !table.charges.isEmpty else { return }
        for (account, steps) in table.charges { accounts.chargeTurn(steps, to: account) }
        table.charges.removeAll(keepingCapacity: true)
    }

    /// Does what has become due since the batch began, so that lines come after it wherever it is little.
    private mutating func catchUp(at now: Instant) {
        endClaimsIfOver(at: now)
        table.advance(to: now)
        if table.hasWork { doDueWork() }
    }

    /// Whether there is work left that waits for a turn, and not for room in a socket.
    public var hasUnfinishedWork: Bool {
        accounts.haveWork || table.hasWork || hasUnsettledFleet
    }

    /// Goes on with rows and lines: one turn for each account with work left, and in it for each of its sessions.
    public mutating func resumeWork(at now: Instant) {
        endClaimsIfOver(at: now)
        accounts.beginTurns()
        if table.hasWork { doDueWork() }
        while let session = nextInTurn(at: now) {
            if let client = conversations.index(of: session) { goOn(client, now) }
        }
        if hasUnsettledFleet { settleFleet(at: now) }
        dueStepsLeft = turns.batch
    }

    private mutating func nextInTurn(at now: Instant) -> SessionID? {
        accounts.next(at: now) { session in
            // Rows were paid for with their line.
            guard let client = conversations.index(of: session), !conversations[client].isWritingRows
            else { return nil }
            return conversations[client].awaitedRate
        }
    }

    // MARK: - Output

    /// The next session that has something to send, is to be closed, or to be read from again; each once.
    public mutating func nextReadySession() -> SessionID? { conversations.nextReady() }

    /// Shows the output that is to be sent, which may be empty.
    @inlinable
    public func withOutput<Result>(
        of session: SessionID, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        var result: Result?
        showOutput(of: session) { result = body($0) }
        guard let result else { preconditionFailure("the output was not shown") }
        return result
    }

    /// What is to be done with a session's connection.
    public enum Interest: Sendable, Equatable {
        /// Whether to read from it, and whether to wait until it takes more.
        case open(reads: Bool, writes: Bool)
        /// It is to be closed at once.
        case close
    }

    public func interest(in session: SessionID) -> Interest {
        guard let client = conversations.index(of: session) else { return .close }
        let isUnread = conversations[client].unread > 0
        switch conversations[client].phase {
        case .vacant, .cutOff: return .close
        case .ending:
            let isDone = !isUnread && !conversations[client].isWritingRows
            return isDone ? .close : .open(reads: false, writes: isUnread)
        case .open:
            let reads = conversations[client].ending == nil && !conversations.isPaused(client)
            return .open(reads: reads, writes: isUnread)
        }
    }

    // MARK: - The whole

    /// Sends every session a notice that the daemon is leaving; new requests are refused from now on.
    public mutating func drain() {
        guard !table.isDraining else { return }
        table.isDraining = true
        table.stopCaching(at: table.now)
        for client in conversations.indices where conversations[client].phase == .open {
            conversations[client].write(.drain)
            finish(client)
        }
    }

    /// Whether no session holds or waits for anything.
    public var isIdle: Bool { table.grantCount == 0 && table.waiterCount == 0 }

    /// Whether no other session holds or waits for anything.
    public func isAlone(_ session: SessionID) -> Bool {
        guard conversations.index(of: session) != nil else { return false }
        let usage = table.usage(of: session)
        return usage.grants == table.grantCount && usage.waiters == table.waiterCount
    }

    public var sessionCount: Int { table.sessionCount }

    public var lockCount: Int { table.lockCount }

    /// The bytes that all conversations keep.
    public var buffered: Int { conversations.buffered }

    /// What the shell counts, for `STATS`.
    public var shell: ShellCounts {
        get { statistics.shell }
        set { statistics.shell = newValue }
    }

    /// How many grants can be made before more tokens are reserved.
    public var tokensLeft: UInt64 { table.tokensLeft }

    /// Allows tokens up to and including this one, because they are reserved.
    public mutating func allowTokens(through token: Token) { table.allowTokens(through: token) }

    /// Whether `takeEvents` may return events.
    public var hasEvents: Bool { log.hasEvents }

    /// Takes the events since the last call that an operator should see.
    public mutating func takeEvents() -> [ServerEvent] { log.take(at: table.now) }

    /// Throws if an invariant of the rules does not hold; costs in proportion to the whole state.
    public func checkInvariants() throws(BrokenInvariant) { try table.checkInvariants() }

    // MARK: - Within

    /// Ends a session: the rules release its locks and drop its waiting requests.
    mutating func end(
        _ client: ConversationIndex, as phase: Conversation.Phase, wasKilled: Bool = false,
        isLater: Bool = false, _ now: Instant
    ) {
        let wasOpen = conversations[client].phase == .open
        conversations[client].end(as: phase)
        guard wasOpen else { return }
        let session = conversations[client].session
        carriedOut?.append(.end(session))
        watchers.remove(session)
        table.isObserved = !watchers.isEmpty
        table.closeSession(session, wasKilled: wasKilled, isLater: isLater, at: now)
    }

    /// Ends a piece of work for a session: delivers its effects, and holds the session to its bounds.
    mutating func finish(_ client: ConversationIndex) {
        deliverEffects()
        chargeTurns()
        let steps = table.takeCommandSteps()
        if steps > 0 { accounts.charge(steps, to: conversations[client].account) }
        enforceBounds(on: client)
        deliverEffects()
    }

    /// Notes an event for the operator, with the session that caused it.
    mutating func note(
        _ kind: ServerEvent.Kind, _ lock: LockName? = nil, by client: ConversationIndex?,
        _ token: Token? = nil
    ) {
        var event = ServerEvent(kind, lock: lock)
        if let client {
            event.session = conversations[client].session
            event.peer = conversations[client].peer
        }
        event.token = token
        log.note(event, at: table.now)
    }
}
