public import LockVocabulary

/// What a host claims of the names that its fleet shares: a state machine without I/O.
///
/// It observes the registers in the store and the situations in the rules, and decides the next swap of a register and the
/// next directive to the rules. README.md has the states, and the interleavings with the reason why each is safe.
///
/// Order of calls: after `advance`, `answer`, `note` or `update`, the caller takes `takeSeizure`, then all `nextChanged` with
/// their directives, applies each, and states the new situation, before it takes `nextRequest`. Nothing is sent between a
/// directive and its application.
public struct Claims: ~Copyable {
    let configuration: ClaimsConfiguration
    let keys: Keys
    let anchor = Anchor()
    /// The latest instant that was given.
    var now = Instant.zero

    // The session, see Session.swift
    var step = SessionStep.pausing
    /// Rises with each begin and end of a session: answers to earlier ones do not count.
    var generation: UInt64 = 0
    /// Rises when the store was restored from a backup: answers from before it say nothing.
    var era: UInt64 = 0
    var session: HostSession?
    var lease: LeaseID = 0
    var leaseSeconds: Int64 = 0
    /// When the lease was asked for that no session has yet.
    var leaseSentAt: Instant?
    public internal(set) var validUntil: Instant?
    var pauseEnd: Instant? = .zero
    var settings: FleetSettings?
    /// The revision of the last change of the settings. A session has one state of them: it ends when they change, and a swap
    /// that gains a claim compares this.
    var settingsModified: Revision = 0
    var offset: Revision { settings?.offset ?? 0 }
    /// Whether the settings are to be written.
    var isSettingsNews = false
    var takenSince: Instant?
    /// Until when a full store is no news.
    var noRoomUntil: Instant?
    var isKeepingAlive = false
    var nextKeepAlive = Instant.zero
    var isRaisingGate = false
    /// After a refusal, which would come again at once.
    var gatePauseEnd: Instant?
    /// Nil until something is asked.
    var lastAnswer: Instant?
    var lastTrouble = "no answer yet"
    var isSeized = false
    var isLeaving = false
    var outbox = Fifo<Purpose>()
    var inFlight: [StoreRequestID: InFlight] = [:]
    var lastID: UInt64 = 0

    // Revisions
    var newestRevision: Revision = 0
    /// The newest revision that was seen while the session was valid.
    var gateRevision: Revision = 0
    var floorEpoch: Revision = 0
    var highestEpoch: Revision

    // What the store has, see Observing.swift
    var listing: Listing?
    var listingNumber: UInt32 = 0
    /// Of a restored session: whether the listing waits for the answer to the first keep-alive.
    var isListingDue = false
    var listAt: Instant?
    var hosts: [HostName: HostKnowledge] = [:]
    /// All sessions up to this revision are known.
    var hostsKnownTo: Revision = 0
    var watchedTo: Revision = 0
    var care = WatchCare()
    var isOldest = false
    /// Registers that are to be looked at for sessions that have ended.
    var sweeps = Fifo<LockName>()
    var known: [LockName: Knowledge] = [:]
    /// Whether there are more registers than are to be remembered.
    var hasForgotten = false
    /// Of a restored session: registers that were last changed before this may yet be changed by what the former process has
    /// sent.
    var restoredUpTo: Revision = 0

    /// Names of which the key is absent, with the revision that the watch must have passed before this may be forgotten.
    var absent = Fifo<(LockName, Revision)>()

    // The names, see Deciding.swift
    var records: [LockName: Record] = [:]
    var ready = Fifo<LockName>()
    var swapsInFlight = 0
    var changed = Fifo<LockName>()
    var deadlines = Deadlines()
    var idle = Fifo<(LockName, UInt64)>()
    var lastIdle: UInt64 = 0
    var idleCount = 0
    /// The claims that are recalled and not yet given up.
    var recalls = 0
    var evicted = 0

    var waits = FleetWaits()
    var storedState = FleetState()
    var events: [FleetEvent] = []
    var lastFacts: FleetFacts?

    public init(_ configuration: ClaimsConfiguration) {
        precondition((2...3_600).contains(configuration.leaseSeconds), "a lease of 2 s to an hour")
        self.configuration = configuration
        keys = Keys(prefix: configuration.keyPrefix)
        highestEpoch = configuration.highestEpoch
    }

    /// Goes on with a session of an earlier process. The caller then states the situation of each shared lock in its rules
    /// before it calls anything else.
    public init(_ configuration: ClaimsConfiguration, from facts: FleetFacts) {
        self.init(configuration)
        resume(facts)
    }

    // MARK: - The store's side

    /// The next request to send; nil for none. The deadline is that of its answer, after which the caller answers `.unknown`.
    public mutating func nextRequest(
        at now: Instant
    ) -> (id: StoreRequestID, request: StoreRequest, deadline: Instant)? {
        advance(to: now)
        guard let (purpose, request) = nextPurpose() else { return nil }
        lastID += 1
        let id = StoreRequestID(rawValue: lastID)
        if lastAnswer == nil { lastAnswer = now }
        if case .watch = request {
            // It has no answer but its events.
        } else {
            inFlight[id] = InFlight(
                purpose: purpose, sentAt: now, generation: generation, era: era, seen: newestRevision)
        }
        return (id, request, now.advanced(by: requestTimeout))
    }

    /// A third of the lease, so that a keep-alive can be asked again; at most 3 s.
    private var requestTimeout: Duration {
        min(.seconds(3), .milliseconds(configuration.leaseSeconds * 333))
    }

    public mutating func answer(_ id: StoreRequestID, _ answer: StoreAnswer, at now: Instant) {
        advance(to: now)
        guard let asked = inFlight.removeValue(forKey: id) else { return }
        take(answer, to: asked)
    }

    public mutating func note(_ event: StoreEvent, at now: Instant) {
        advance(to: now)
        observe(event)
    }

    // MARK: - The rules' side

    /// States what the rules have on a name. To be called whenever it may have changed.
    public mutating func update(_ name: LockName, _ situation: Situation, at now: Instant) {
        advance(to: now)
        if records[name] == nil {
            guard !situation.isIdle else { return }
            records[name] = newRecord(name)
        }
        if records[name]?.situation != situation {
            records[name]?.situation = situation
            settle(name)
        } else if records[name]?.held == nil {
            settle(name)
        }
        evictIdle()
    }

    /// The next name of which the directive may have changed, each once.
    public mutating func nextChanged() -> LockName? {
        guard let name = changed.popFirst() else { return nil }
        records[name]?.isChanged = false
        return name
    }

    /// What the rules are to do about a name.
    public func directive(for name: LockName) -> Directive {
        if let record = records[name] { return record.directive }
        var directive = Directive()
        guard let knowledge = known[name], let register = Register(text: knowledge.text) else {
            return directive
        }
        directive.holders = register.holders.map { HostClaim(host: $0.session.host, mode: $0.mode) }
        directive.waiters = register.waiters.map { HostClaim(host: $0.session.host, mode: $0.mode) }
        return directive
    }

    /// Whether all claims have ended at once since the last call: the caller seizes all shared names, before anything else.
    public mutating func takeSeizure() -> Bool {
        defer { isSeized = false }
        return isSeized
    }

    /// Tokens of shared names are at least the floor, and below the gate.
    ///
    /// The gate is of the newest revision that was seen while the session was valid. Whichever host has a claim later has it by
    /// a later revision, and so a higher floor.
    public var tokens: (floor: Token, gate: Token) {
        (token(floorEpoch), token(session == nil ? floorEpoch : gateRevision + 1 + offset))
    }

    private func token(_ epoch: Revision) -> Token {
        Token(
            rawValue: 1 << 62 | UInt64(clamping: min(max(0, epoch), 1 << 46 - 1)) << configuration.tokenBits)
    }

    /// Raises the gate by a new revision, as few tokens are left below it.
    public mutating func raiseGate() {
        guard session != nil, !isRaisingGate, gatePauseEnd == nil else { return }
        isRaisingGate = true
        outbox.append(.raiseGate)
    }

    // MARK: - Waiting across hosts

    /// Whether the caller is to state its edges of waiting now, by `updateWaits`: about five times a second while a claim of
    /// this host is recalled and not given up, or edges are published.
    public mutating func takeWaitsWanted() -> Bool { waits.takeWanted() }

    /// States for which locks of other hosts the holders of recalled locks wait.
    public mutating func updateWaits(_ edges: [WaitEdge], at now: Instant) {
        advance(to: now)
        if waits.update(edges, of: configuration.host, at: now, stamp: newestRevision), session != nil {
            outbox.append(.publishWaits)
        }
    }

    /// The circles that this host is to end, each once.
    public mutating func takeCircles() -> [FleetCircle] { waits.takeCircles() }

    // MARK: - For administrators, the ledger and the end

    public var state: FleetState {
        var state = storedState
        state.session = session
        state.lease = session == nil ? 0 : lease
        state.highestEpoch = highestEpoch
        state.registers = known.count
        return state
    }

    public mutating func takeEvents() -> [FleetEvent] {
        defer { events = [] }
        return events
    }

    /// The facts to go on from; nil while there is no session.
    public var facts: FleetFacts? {
        guard let session, let validUntil else { return nil }
        return FleetFacts(
            session: session, lease: lease, leaseSeconds: leaseSeconds, validUntil: validUntil,
            offset: offset, settingsModified: settingsModified, newestRevision: gateRevision,
            highestEpoch: highestEpoch)
    }

    /// Whether the facts have changed since the last call.
    public mutating func takeFactsChanged() -> Bool {
        let facts = facts
        defer { lastFacts = facts }
        return facts != lastFacts
    }
}
