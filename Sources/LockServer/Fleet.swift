public import LockClaims
import LockCore
public import LockVocabulary
import LockWire

/// What a server has of its fleet.
///
///     rules ── situation ──▶ claims ── request ──▶ store
///       ▲                      │ ▲                   │
///       └───── directive ──────┘ └── answer, event ──┘
///
/// The claims decide from what the rules and the store say, and remember no step. So the server may tell them of a name once
/// too often, and must never fail to.
///
/// Invariants, whenever a call of the server returns:
/// 1. What the claims direct is done in the rules, and the claims know the situation that followed.
/// 2. While a grant on a shared name is held, `Server.claimsEnd` is the instant at which it no longer counts. Each call with a
///    later instant ends the claims before it does anything else.
struct Fleet: ~Copyable {
    var claims: Claims
    let configuration: ClaimsConfiguration
    /// The end of the claims that sessions know of.
    var toldEnd = Instant.never
    /// The names for which requests wait that a claim would help.
    var wanted: Set<LockName> = []

    init(_ configuration: ClaimsConfiguration, from facts: FleetFacts? = nil) {
        self.configuration = configuration
        claims = facts.map { Claims(configuration, from: $0) } ?? Claims(configuration)
    }
}

// MARK: - The store

extension Server {
    /// The next request that is to be sent to the store, and the deadline of its answer: `.unknown` is to be given then.
    ///
    /// The changed facts must be kept before the request is sent: a successor that finds them repeats what it must.
    public mutating func nextStoreRequest(
        at now: Instant
    ) -> (id: StoreRequestID, request: StoreRequest, deadline: Instant)? {
        endClaimsIfOver(at: now)
        // What is directed is done first: nothing is sent for a state of the rules that was before it.
        if hasUnsettledFleet { settleFleet(at: now) }
        let request = fleet?.claims.nextRequest(at: now) ?? nil
        mayHaveStoreRequests = request != nil
        return request
    }

    public mutating func storeAnswer(_ id: StoreRequestID, _ answer: StoreAnswer, at now: Instant) {
        // An answer cannot extend what has ended.
        endClaimsIfOver(at: now)
        fleet?.claims.answer(id, answer, at: now)
        settleFleet(at: now)
    }

    public mutating func storeEvent(_ event: StoreEvent, at now: Instant) {
        endClaimsIfOver(at: now)
        fleet?.claims.note(event, at: now)
        settleFleet(at: now)
    }

    /// Whether the server is one of a fleet.
    public var isInFleet: Bool { fleet != nil }

    /// How this host stands in its fleet; nil without one.
    public var fleetState: FleetState? { fleet.inspect { $0.claims.state } }

    /// Takes the events of the fleet since the last call that an administrator should see.
    public mutating func takeFleetEvents() -> [FleetEvent] { fleet?.claims.takeEvents() ?? [] }

    /// Begins the orderly end in the fleet. It is over when the phase of `fleetState` is `.left`.
    public mutating func leaveFleet(at now: Instant) {
        endClaimsIfOver(at: now)
        fleet?.claims.leave(at: now)
        settleFleet(at: now)
    }
}

// MARK: - Time

extension Server {
    /// Ends all claims, and takes all grants under them back, if their time is over: before anything else is decided.
    @inline(__always)
    mutating func endClaimsIfOver(at now: Instant) { if now >= claimsEnd { advanceFleet(to: now) } }

    /// When the claims have something to do without input.
    var nextFleetDeadline: Instant? {
        let due = fleet.inspect { $0.claims.nextDeadline } ?? nil
        return Instant.earliest(due, claimsEnd == .never ? nil : claimsEnd)
    }

    /// Whether the claims do not know yet what has changed in the rules.
    var hasUnsettledFleet: Bool { fleet != nil && table.hasChangedShared }

    mutating func advanceFleet(to now: Instant) {
        fleet?.claims.advance(to: now)
        settleFleet(at: now)
    }
}

extension Instant {
    /// Later than all that happens.
    static let never = Instant(nanoseconds: .max)
}

// MARK: - The rules

extension Server {
    /// Tells the claims what has changed in the rules, and does in the rules what the claims direct, until neither changes.
    mutating func settleFleet(at now: Instant) {
        guard fleet != nil else { return }
        repeat {
            if fleet?.claims.takeSeizure() ?? false { table.seizeAllShared(at: now) }
            while let name = table.nextChangedShared() { _ = tellSituation(of: name, at: now) }
            while let name = fleet?.claims.nextChanged() ?? nil { follow(name, at: now) }
            refuseUnavailable(at: now)
            endCircles(at: now)
            setTokens(at: now)
            deliverEffects()
        } while table.hasChangedShared
        mayHaveStoreRequests = true
        claimsEnd = fleet?.claims.validUntil ?? nil ?? .never
        tellEnd(at: now)
    }

    private mutating func tellSituation(of name: LockName, at now: Instant) -> SharedSituation {
        let situation = table.situation(of: name)
        if situation.demand == .none {
            fleet?.wanted.remove(name)
        } else {
            fleet?.wanted.insert(name)
        }
        fleet?.claims.update(name, Situation(situation), at: now)
        return situation
    }

    /// Does what the claims direct about a name.
    private mutating func follow(_ name: LockName, at now: Instant) {
        // The rules do not note each use of a lock under a claim, so the claims decide anew with what is true now.
        let hold = tellSituation(of: name, at: now).fleet
        guard let directive = fleet?.claims.directive(for: name) else { return }
        let wanted = SharedHold(directive.allowed)
        // A grant under a new claim has a token above those of the claim before it.
        if wanted.rawValue < hold.rawValue { setTokens(at: now) }
        if wanted.rawValue > hold.rawValue {
            // The claim has ended at once.
            table.seize(name, at: now)
            if wanted != .all { table.setFleetHold(name, wanted, at: now) }
        } else if wanted.rawValue < hold.rawValue {
            table.setClaimed(name, true, at: now)
            table.setMark(name, directive.mark.map(Mark.init), at: now)
            table.setFleetHold(name, wanted, at: now)
        }
        if directive.isClaimed || wanted == .all { table.setClaimed(name, directive.isClaimed, at: now) }
        switch directive.recall {
        case .none: table.endRecall(name, at: now)
        case .share: table.recall(name, sharing: true, first: directive.recallsFirst, at: now)
        case .all: table.recall(name, sharing: false, first: directive.recallsFirst, at: now)
        }
        refuse(directive, on: name, at: now)
    }

    private mutating func refuse(_ directive: Directive, on name: LockName, at now: Instant) {
        switch directive.refusal {
        case .none: break
        case .busy: table.refuseProbes(name, at: now)
        case .deadlock(let host):
            refuse(through: [Cycle.Hop(host: host, lock: name)]) { $0.table.refuseUpgrade(name, $1, at: now) }
        case .unavailable: table.refuseUnavailable(name, onlyEndless: true, at: now)
        case .damaged: table.refuseUnavailable(name, onlyEndless: false, at: now)
        }
    }

    /// Refuses what waits for claims while the cluster cannot be asked, but for requests that have a deadline.
    private mutating func refuseUnavailable(at now: Instant) {
        guard let wanted = fleet?.wanted, !wanted.isEmpty, fleetState?.unavailable != nil else { return }
        for name in wanted.sorted() { table.refuseUnavailable(name, onlyEndless: true, at: now) }
    }

    // MARK: - Tokens

    private mutating func setTokens(at now: Instant) {
        guard let tokens = fleet?.claims.tokens, let bits = fleet?.configuration.tokenBits else { return }
        table.setSharedTokens(floor: tokens.floor, gate: tokens.gate, at: now)
        // A new revision of the store makes room for more, before the half of an epoch that is left is used up.
        if table.sharedTokensLeft < 1 << (bits - 1) { fleet?.claims.raiseGate() }
    }

    // MARK: - The end of the claims

    /// Until when a grant on a name counts; nil for one that is not shared.
    @inline(__always)
    func until(_ name: LockName) -> Until? { fleet == nil ? nil : sharedUntil(name) }

    private func sharedUntil(_ name: LockName) -> Until? {
        table.isShared(name) ? Until(table.now.duration(to: claimsEnd), from: table.now) : nil
    }

    /// Tells the sessions that hold shared names that their grants count for longer.
    private mutating func tellEnd(at now: Instant) {
        guard claimsEnd != fleet?.toldEnd ?? .never else { return }
        let isLater = claimsEnd != .never
        fleet?.toldEnd = claimsEnd
        guard isLater else { return }
        let notice = Notice.until(Until(now.duration(to: claimsEnd), from: now))
        for client in conversations.indices where conversations[client].mayHoldShared {
            guard conversations[client].phase == .open,
                table.usage(of: conversations[client].session).grants > 0
            else {
                conversations[client].mayHoldShared = false
                continue
            }
            // One that does not read finds by its own clock that they no longer count, and the next notice comes soon.
            guard conversations[client].unread <= limits.unread else { continue }
            conversations[client].write(notice)
            enforceBounds(on: client)
        }
        deliverEffects()
    }

    // MARK: - Circles

    private mutating func endCircles(at now: Instant) {
        if fleet?.claims.takeWaitsWanted() ?? false {
            // A lease or a deadline that is over makes no edge.
            table.advance(to: now)
            // Of the requests that wait for this host's claim, the first one on the way: those behind which it waits need not be
            // in a circle.
            let edges = table.fleetDependencies().compactMap { part in
                part.path.first { $0.lock == part.awaits }.map {
                    WaitEdge(held: part.awaited, wanted: part.awaits, waiter: $0.number)
                }
            }
            fleet?.claims.updateWaits(edges, at: now)
        }
        for circle in fleet?.claims.takeCircles() ?? [] {
            guard let name = circle.hops.first?.lock else { continue }
            var hops = circle.hops.dropFirst().map { Cycle.Hop(host: $0.host, lock: $0.lock) }
            if hops.isEmpty {
                // A reader wants more on the name that it holds, and another host waits for it to release what it holds.
                let waiting = fleet?.claims.directive(for: name).waiters ?? []
                let other = waiting.first { $0.host != fleet?.configuration.host }
                guard let other else { continue }
                hops = [Cycle.Hop(host: other.host, lock: name)]
            }
            refuse(through: hops) { $0.table.refuse(circle.waiter, on: name, $1, at: now) }
        }
    }

    /// Refuses requests for a circle over hosts. The rules know none, so the answers take it from here.
    private mutating func refuse(through hops: [Cycle.Hop], _ body: (inout Server, Circle) -> Void) {
        deliverEffects()
        fleetHops = hops
        body(&self, Circle(hops: []))
        deliverEffects()
        fleetHops = []
    }
}

// MARK: - Words

extension Situation {
    init(_ shared: SharedSituation) {
        let demand: Demand
        switch shared.demand {
        case .none: demand = .none
        case .read: demand = .read
        case .write: demand = .write
        case .upgrade: demand = .upgrade
        }
        let hold: FleetHold
        switch shared.fleet {
        case .nothing: hold = .nothing
        case .read: hold = .read
        case .all: hold = .all
        }
        self.init(
            demand: demand, isProbe: shared.isProbe, fleet: hold, isUsed: shared.isUsed,
            mark: shared.mark.map(ClaimMark.init))
    }
}

extension SharedHold {
    /// What the fleet's session holds while sessions may have this.
    init(_ allowed: ClaimMode?) {
        switch allowed {
        case .write: self = .nothing
        case .read: self = .read
        case nil: self = .all
        }
    }
}

extension Mark {
    init(_ mark: ClaimMark) {
        switch mark {
        case .yes: self = .yes
        case .maybe: self = .maybe
        }
    }
}

extension ClaimMark {
    init(_ mark: Mark) {
        switch mark {
        case .yes: self = .yes
        case .maybe: self = .maybe
        }
    }
}

extension LockMode {
    init(_ mode: ClaimMode) {
        switch mode {
        case .read: self = .read
        case .write: self = .write
        }
    }
}
