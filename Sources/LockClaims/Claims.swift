public import LockVocabulary

/// What a host claims of the names that its fleet shares: a state machine without I/O.
///
/// It observes the registers in the store and the situations in the rules, and decides the next swap of a register and the
/// next directive to the rules. README.md has the states, and the interleavings with the reason why each is safe.
///
/// Order of calls: after `advance`, `answer`, `note` or `update`, the caller takes `takeSeizure`, then all `nextChanged` with their
/// directives, applies each, and states the new situation, before it takes `nextRequest`. Nothing is sent between a directive
/// and its application.
public struct Claims: ~Copyable {
    let configuration: ClaimsConfiguration

    public init(_ configuration: ClaimsConfiguration) {
        self.configuration = configuration
    }

    /// Goes on with a session of an earlier process. The caller then states the situation of each shared lock in its rules before
    /// it takes a request.
    public init(_ configuration: ClaimsConfiguration, from facts: FleetFacts) {
        self.configuration = configuration
    }

    // The store's side

    /// The next request to send; nil for none. The deadline is that of its answer, after which the caller answers `.unknown`.
    public mutating func nextRequest(
        at now: Instant
    ) -> (id: StoreRequestID, request: StoreRequest, deadline: Instant)? { nil }

    public mutating func answer(_ id: StoreRequestID, _ answer: StoreAnswer, at now: Instant) {}

    public mutating func note(_ event: StoreEvent, at now: Instant) {}

    // The rules' side

    /// States what the rules have on a name. To be called whenever it may have changed.
    public mutating func update(_ name: LockName, _ situation: Situation, at now: Instant) {}

    /// The next name whose directive may have changed, each once.
    public mutating func nextChanged() -> LockName? { nil }

    public func directive(for name: LockName) -> Directive { Directive() }

    /// The next instant at which something happens; `advance` then.
    public var nextDeadline: Instant? { nil }

    public mutating func advance(to now: Instant) {}

    /// Nil while no claim counts. When it has passed, all shared names must be seized before anything else is done.
    public var validUntil: Instant? { nil }

    /// Whether all claims have ended at once since the last call: the caller seizes all shared names.
    public mutating func takeSeizure() -> Bool { false }

    /// Tokens of shared names are at least the floor, and below the gate.
    public var tokens: (floor: Token, gate: Token) { (Token(rawValue: 0), Token(rawValue: 0)) }

    /// Raises the gate by a new revision, as few tokens are left below it.
    public mutating func raiseGate() {}

    // Waiting across hosts

    /// Whether the caller is to state its edges of waiting now, by `updateWaits`. True about five times a second while a claim of this
    /// host is recalled and not yet given up.
    public mutating func takeWaitsWanted() -> Bool { false }

    public mutating func updateWaits(_ edges: [WaitEdge], at now: Instant) {}

    /// The circles that this host is to end.
    public mutating func takeCircles() -> [FleetCircle] { [] }

    // For administrators, the ledger and the end

    public var state: FleetState { FleetState() }

    public mutating func takeEvents() -> [FleetEvent] { [] }

    /// The facts to go on from; nil while there is no session. `factsChanged` tells when they differ from the last ones.
    public var facts: FleetFacts? { nil }

    /// Whether the facts have changed since the last call.
    public mutating func takeFactsChanged() -> Bool { false }

    /// Begins the orderly end: recalls all claims, gives them up, and revokes the lease. `state.phase` is `.left` then. Claims
    /// in use stay until their sessions have ended.
    public mutating func leave(at now: Instant) {}
}
