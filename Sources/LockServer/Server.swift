public import LockCore
public import LockVocabulary
import LockWire

/// The daemon without I/O: bytes, ends and time in; bytes and events out.
///
/// Whoever has the sockets calls `open` for a new connection, `receive` with what was read, `endOfInput` or `died` at its
/// end, and `advance` when `nextDeadline` has come. Then it takes each session from `nextReadySession`, sends what
/// `withOutput` shows, says with `wrote` how much was taken, and does what `interest` asks for.
///
/// Nothing here waits, and no call costs more than a bounded amount for each line; a list is told in parts.
public struct Server: ~Copyable {
    var table: LockTable
    private let anchor = Anchor()
    /// By the place of their session.
    var conversations: [Conversation] = []
    var limits: ServerConfiguration.Limits
    let program: String
    let ownUserID: UInt32
    /// Who may do what, how much and in which order.
    public internal(set) var policy: Policy
    var verdicts: Verdicts
    var ready: [SessionID] = []
    /// By number; an account is there while its user has sessions, or owes for lines.
    var accounts: [Account] = []
    var accountOfUser: [UInt32: Int] = [:]
    var vacantAccounts: [Int] = []
    /// Those with work for a turn, and those that may go on later.
    var accountsToServe: [Int] = []
    var throttled: [(account: Int, until: Instant)] = []
    /// Counts the turns: within one, nobody gets more than one's share.
    var turn: UInt64 = 0
    /// What the line that is carried out costs beyond one, in lines.
    var surcharge = 0
    /// The sessions that watch.
    var watchers: [SessionID] = []
    /// Bytes that all conversations keep.
    public internal(set) var buffered = 0
    private var log = EventLog()
    /// The other of two arrays that take turns at collecting effects.
    private var spareEffects: [Effect] = []
    private var isTellingEffects = false
    var statistics = Statistics()
    /// Rows that `STATS` shows behind the server's own.
    public var hostRows: [ServerConfiguration.HostRow]
    /// What is counted around it.
    public var shell = ShellCounts()
    /// What was carried out, in order, for whoever compares it with a model; nil where nobody does.
    public var carriedOut: [CarriedOut]?

    public init(_ configuration: ServerConfiguration) {
        limits = configuration.limits
        program = configuration.program
        ownUserID = configuration.ownUserID
        policy = configuration.policy
        hostRows = configuration.hostRows
        verdicts = Verdicts(by: configuration.policy)
        table = LockTable(
            limits: configuration.limits.rules, firstToken: configuration.firstToken,
            lastToken: configuration.lastToken, graceEnd: configuration.graceEnd)
    }

    // MARK: - Sessions

    /// A new connection; nil if there are as many sessions as may be: it is to be sent `refusal` and closed.
    public mutating func open(_ peer: Peer, at now: Instant) -> SessionID? {
        let account = account(of: peer.userID, now)
        let verdict = verdicts.verdict(on: peer)
        let allowance = allowance(verdict, peer)
        guard accounts[account].sessions < allowance.sessions ?? .max,
            let session = table.openSession(account: account, share: allowance.share)
        else {
            forgetIfIdle(account, now)
            log.note(ServerEvent(.limitHit(ErrorCode.limitSessions.rawValue), peer: peer), at: now)
            return nil
        }
        accounts[account].sessions += 1
        let slot = Int(session.slot)
        while conversations.count <= slot { conversations.append(.vacant) }
        conversations[slot] = Conversation(
            session: session, peer: peer, since: now, lineLimit: limits.line)
        conversations[slot].account = account
        conversations[slot].allowance = allowance
        conversations[slot].permissions = verdict.permissions
        return session
    }

    /// What a connection is told for which there is no session.
    public static let refusal: [UInt8] = {
        var line: [UInt8] = []
        Reply.error(WireError(.limitSessions)).encode(tag: nil, into: &line)
        return line
    }()

    /// Carries out the lines that these bytes complete.
    public mutating func receive(_ bytes: UnsafeRawBufferPointer, from session: SessionID, at now: Instant) {
        guard let slot = place(of: session), conversations[slot].phase == .open else { return }
        if isPaused(slot) {
            conversations[slot].parked.append(contentsOf: bytes)
        } else {
            carryOutLines(bytes, slot, now, pausing: true)
        }
        settle(slot)
    }

    /// Nothing more will come, and others end with it: what came is carried out, and what it waits for is dropped.
    ///
    /// To be called for all sessions that end together, before and after their last lines, and before `endOfInput` for
    /// any: so the lock of one that is dead does not pass through the hands of another.
    public mutating func prepareEnd(_ session: SessionID, at now: Instant) {
        guard let slot = place(of: session), conversations[slot].phase == .open else { return }
        carryOutParked(slot, now, pausing: false)
        if conversations[slot].phase == .open {
            carriedOut?.append(.withdrawal(session))
            table.dropRequests(of: session, at: now)
        }
        tellEffects()
        settle(slot)
    }

    /// Nothing more will come: what came is carried out, what would wait is dropped, and what it held is free (G6).
    ///
    /// What it is owed can still be sent.
    ///
    /// `wasKilled` is asked only where it matters: whether the process is known to have been killed by a signal.
    public mutating func endOfInput(
        _ session: SessionID, wasKilled: () -> Bool = { false }, at now: Instant
    ) {
        guard let slot = place(of: session), conversations[slot].phase == .open else { return }
        carryOutParked(slot, now, pausing: false)
        let isKilled = conversations[slot].phase == .open && table.releasesAtEnd(session) && wasKilled()
        end(slot, as: .ending, wasKilled: isKilled, now)
        settle(slot)
    }

    /// The process that connected is dead: as at the end of input, and nobody will read.
    public mutating func died(_ session: SessionID, at now: Instant) {
        guard let slot = place(of: session) else { return }
        carryOutParked(slot, now, pausing: false)
        end(slot, as: .cutOff, now)
        settle(slot)
    }

    /// The connection is closed: the session's place may be used again.
    public mutating func close(_ session: SessionID, at now: Instant) {
        guard let slot = place(of: session) else { return }
        end(slot, as: .cutOff, now)
        leave(conversations[slot].account, now)
        conversations[slot] = .vacant
        table.forgetSession(session)
    }

    // MARK: - Time

    /// When something happens by itself at the earliest; nil for never.
    public var nextDeadline: Instant? {
        guard let end = nextThrottleEnd else { return table.nextDeadline }
        return table.nextDeadline.map { min($0, end) } ?? end
    }

    /// Carries out what is due by now, and begins a new turn.
    public mutating func advance(to now: Instant) {
        table.advance(to: now)
        if !table.effects.isEmpty { tellEffects() }
        beginTurn(now)
    }

    // MARK: - Output

    /// The next session that has something to be sent, or is to be closed, each once.
    public mutating func nextReadySession() -> SessionID? {
        while let session = ready.popLast() {
            guard let slot = place(of: session) else { continue }
            conversations[slot].isReady = false
            return session
        }
        return nil
    }

    /// Shows what is to be sent, perhaps nothing.
    public func withOutput<Result>(
        of session: SessionID, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        guard let slot = place(of: session) else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        let sent = conversations[slot].sent
        return conversations[slot].output.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[sent...]))
        }
    }

    /// So many bytes were sent. Makes room for more, which is then ready.
    public mutating func wrote(_ count: Int, to session: SessionID, at now: Instant) {
        guard let slot = place(of: session) else { return }
        conversations[slot].dropSent(count)
        tellMissed(slot)
        goOn(slot, now)
    }

    /// What is to be done with a session's connection.
    public enum Interest: Sendable, Equatable {
        /// Whether to read from it, and whether to wait until it takes more.
        case open(reads: Bool, writes: Bool)
        /// It is to be closed at once.
        case close
    }

    public func interest(in session: SessionID) -> Interest {
        guard let slot = place(of: session) else { return .close }
        let unread = conversations[slot].unread
        let isTelling = conversations[slot].isTelling
        switch conversations[slot].phase {
        case .vacant, .cutOff: return .close
        case .ending: return unread > 0 || isTelling ? .open(reads: false, writes: unread > 0) : .close
        case .open: return .open(reads: !isPaused(slot), writes: unread > 0)
        }
    }

    // MARK: - The whole

    /// Tells every session that the daemon is leaving; new requests are refused from now on.
    public mutating func drain() {
        guard !table.isDraining else { return }
        table.isDraining = true
        for slot in conversations.indices where conversations[slot].phase == .open {
            notify(.drain, slot)
            settle(slot)
        }
    }

    /// Whether no session holds or waits for anything.
    public var isIdle: Bool { table.grantCount == 0 && table.waiterCount == 0 }

    /// Whether nobody but this session holds or waits for anything.
    public func isAlone(_ session: SessionID) -> Bool {
        guard place(of: session) != nil else { return false }
        let stakes = table.stakes(of: session)
        return stakes.grants == table.grantCount && stakes.waiters == table.waiterCount
    }

    public var sessionCount: Int { table.sessionCount }

    public var lockCount: Int { table.lockCount }

    /// How many grants may still be made before more tokens are reserved.
    public var tokensLeft: UInt64 { table.tokensLeft }

    /// Tokens up to and with this one are reserved.
    public mutating func allowTokens(through token: Token) { table.allowTokens(through: token) }

    /// Other limits hold from now on; what is there already stays.
    public mutating func setLimits(_ limits: ServerConfiguration.Limits) {
        self.limits = limits
        table.limits = limits.rules
        for slot in conversations.indices where conversations[slot].phase != .vacant { judge(slot) }
    }

    /// Another policy holds from now on; nobody loses what he holds by it.
    ///
    /// - Parameter identity: what is known of a session's process, for a policy may go by what the one before did not.
    public mutating func setPolicy(
        _ policy: Policy, identity: (SessionID) -> Peer.Identity? = { _ in nil }
    ) {
        self.policy = policy
        verdicts = Verdicts(by: policy)
        forgiveDebts()
        for slot in conversations.indices where conversations[slot].phase != .vacant {
            if let identity = identity(conversations[slot].session) {
                conversations[slot].peer.identity = identity
            }
            judge(slot)
        }
    }

    /// What an operator would want to know of, since it was last asked.
    public mutating func takeEvents() -> [ServerEvent] { log.take(at: table.now) }

    /// Throws if an invariant of the rules does not hold; costs in proportion to all there is.
    public func checkInvariants() throws(BrokenInvariant) { try table.checkInvariants() }

    // MARK: - Within

    @inline(__always)
    func place(of session: SessionID) -> Int? {
        let slot = Int(session.slot)
        guard slot < conversations.count, conversations[slot].session == session else { return nil }
        return slot
    }

    @inline(__always)
    func processID(of session: SessionID) -> Int32? {
        place(of: session).flatMap { conversations[$0].peer.processID }
    }

    /// Whether a session's lines have to wait: for a list that is not all told, or until it has read more of what it
    /// is owed (G12).
    func isBlocked(_ slot: Int) -> Bool {
        conversations[slot].isTelling || conversations[slot].unread > limits.unread
    }

    /// Whether what comes of a session is parked, and it is not to be read from.
    func isPaused(_ slot: Int) -> Bool { isBlocked(slot) || !conversations[slot].parked.isEmpty }

    /// Carries out lines; where it pauses, what comes behind is parked.
    private mutating func carryOutLines(
        _ bytes: UnsafeRawBufferPointer, _ slot: Int, _ now: Instant, pausing: Bool
    ) {
        let most = pausing ? linesInTurn(of: slot, now) : .max
        var (lines, work) = (0, 0)
        var count = 0
        if most > 0 {
            // Taken out, not copied: a copy would make the reader copy its part of a line.
            var reader = LineReader(limit: limits.line)
            swap(&reader, &conversations[slot].reader)
            count = reader.read(bytes) { line in
                carryOut(line, slot, now)
                lines += 1
                work += 1 + surcharge
                surcharge = 0
                return conversations[slot].phase == .open && work < most && !(pausing && isBlocked(slot))
            }
            conversations[slot].reader = reader
        }
        charge(work, forLines: lines, slot, now)
        guard count < bytes.count, conversations[slot].phase == .open else { return }
        conversations[slot].parked.append(contentsOf: bytes[count...])
        if !isBlocked(slot) { queue(slot) }
    }

    /// Carries out what was parked: up to the next list, or all that is there, whose lists are then told in turn.
    private mutating func carryOutParked(_ slot: Int, _ now: Instant, pausing: Bool) {
        guard conversations[slot].phase == .open, !conversations[slot].parked.isEmpty else { return }
        var parked: [UInt8] = []
        swap(&parked, &conversations[slot].parked)
        parked.withUnsafeBytes { carryOutLines($0, slot, now, pausing: pausing) }
    }

    /// Goes on where a list, or lines, had stopped for want of room, or for others' turn.
    mutating func goOn(_ slot: Int, _ now: Instant) {
        if conversations[slot].isTelling, !conversations[slot].isQueued, tellRows(slot, at: now) {
            queue(slot)
        }
        if !isBlocked(slot), !conversations[slot].isQueued { carryOutParked(slot, now, pausing: true) }
        settle(slot)
    }

    /// Begins to tell a list.
    mutating func begin(_ subject: Listing.Subject, _ tag: Tag?, _ slot: Int, _ now: Instant) {
        conversations[slot].listings.append(Listing(tag: tag, subject: subject))
        if tellRows(slot, at: now) { queue(slot) }
    }

    /// Ends what a session holds and waits for.
    mutating func end(
        _ slot: Int, as phase: Conversation.Phase, wasKilled: Bool = false, _ now: Instant
    ) {
        let wasOpen = conversations[slot].phase == .open
        conversations[slot].phase = phase
        if phase == .cutOff { conversations[slot].listings = [] }
        conversations[slot].parked = []
        // Before others are told: they may need the room, and nobody is to look for it where none is left.
        countBuffers(of: slot)
        guard wasOpen else { return }
        carriedOut?.append(.end(conversations[slot].session))
        stopWatching(slot)
        table.closeSession(conversations[slot].session, wasKilled: wasKilled, at: now)
        tellEffects()
    }

    mutating func note(_ kind: ServerEvent.Kind, _ lock: LockName?, _ slot: Int?, _ token: Token? = nil) {
        let session = slot.map { conversations[$0].session }
        var event = ServerEvent(kind, lock: lock, session: session, peer: slot.map { conversations[$0].peer })
        event.token = token
        log.note(event, at: table.now)
    }

    /// Takes what happened in the rules and tells those it concerns.
    mutating func tellEffects() {
        guard !isTellingEffects else { return }
        isTellingEffects = true
        // To tell may cut a session off, and that has effects of its own.
        while !table.effects.isEmpty {
            swap(&table.effects, &spareEffects)
            for index in spareEffects.indices { tell(spareEffects[index]) }
            spareEffects.removeAll(keepingCapacity: true)
        }
        isTellingEffects = false
    }
}
