public import LockVocabulary

/// The guarantees G1 to G11 as a slow and simple program, for comparison with the rules.
///
/// It is written from the guarantees and shares only the vocabulary with the rules. It has a list of grants, a list of
/// requests, and one definition of what a request waits for (`before`). It grants each request that waits for nothing.
///
/// Where the guarantees leave a choice, an answer is a set, and `Choice` names why.
///
/// A grant has the number of the request that made it. The model has no tokens; its caller maps them to numbers.
public struct Model: Sendable {
    /// An owner of a session.
    public struct Party: Hashable, Sendable {
        public let session: Int
        public let owner: String

        public init(session: Int, owner: String) {
            self.session = session
            self.owner = owner
        }
    }

    public struct Grant: Hashable, Sendable {
        public var id: Int
        public let party: Party
        public let lock: String
        public var mode: LockMode
        public var lease: Duration?
        public var leaseEnd: Instant?
        public var isReleasedAtEnd = false
        public var isRecalled = false
    }

    public struct Request: Hashable, Sendable {
        public let id: Int
        public let party: Party
        public let lock: String
        public let mode: LockMode
        /// The grant that the request would upgrade.
        public var upgrades: Int?
        public var lease: Duration?
        public var deadline: Instant?
        public internal(set) var since = Instant.zero
        public internal(set) var arrival = Int.max
        /// The place of an impatient read among the writers: the arrival of the first such read of its owner.
        public internal(set) var place: Int?

        /// The tag that the rules and the server know the request by.
        public var tag: String { Model.tag(of: id) }
    }

    public private(set) var grants: [Grant] = []
    /// In the order of arrival.
    public internal(set) var requests: [Request] = []
    /// The locks with the mark of a dead writer (G11).
    public private(set) var marks: Set<String> = []
    public private(set) var now = Instant.zero
    /// How long a read waits behind writers that came after it; nil for as long as they come.
    public let patience: Duration?
    var arrivals = 0
    /// For each read that closed a circle as it lost patience: the state with the circle.
    var statesOfCircles: [Int: Model] = [:]
    private(set) var graceEnd: Instant?
    /// The sessions that want a notice when a request waits for one of their grants.
    private var recalling: Set<Int> = []
    /// The sessions that have ended and may have last lines. They get no locks.
    private var ending: Set<Int> = []
    public var limits = Limits()
    /// The user of each session, and that user's limits; a session that is missing here has no such limits.
    public var shares: [Int: (user: UInt32, grants: Share, waiters: Share)] = [:]
    public var isDraining = false
    /// Requests that the rules have not decided yet, as far as the caller knows. One of them that was granted here is only
    /// dropped if its session ends.
    public var undecided: Set<Int> = []
    /// The events since the caller last emptied this list.
    public var events: [Event] = []

    /// The choices that were open so far.
    public private(set) var choices: Set<Choice> = []

    public init(graceEnd: Instant? = nil, patience: Duration? = nil) {
        (self.graceEnd, self.patience) = (graceEnd, patience)
    }

    /// The locks with a grant, a request or a mark.
    public var locks: Set<String> {
        marks.union(grants.map(\.lock)).union(requests.map(\.lock))
    }

    public static func tag(of request: Int) -> String { "r\(request)" }

    // MARK: - What a request waits for

    /// Upgrades come before writers and updaters, and these before patient readers; in a row the earlier one (G2, G3, G10).
    func isAhead(_ one: Request, of other: Request) -> Bool { place(one) < place(other) }

    private func place(_ request: Request) -> (row: Int, coming: Int) {
        if let place = request.place { return (1, place) }
        return (request.upgrades != nil ? 0 : request.mode == .read ? 2 : 1, request.arrival)
    }

    private func conflictingGrants(_ request: Request) -> [Grant] {
        grants.filter {
            $0.lock == request.lock && $0.id != request.upgrades && $0.mode.conflicts(with: request.mode)
        }
    }

    /// The parties that a request waits for: those with a conflicting grant, or a conflicting request ahead (G8).
    func before(_ request: Request) -> [Party] {
        let ahead = requests.filter {
            $0.lock == request.lock && isAhead($0, of: request) && $0.mode.conflicts(with: request.mode)
        }
        return conflictingGrants(request).map(\.party) + ahead.map(\.party)
    }

    /// Whether a party waits for itself through other parties.
    func hasCircle(through party: Party) -> Bool {
        var seen: Set<Party> = []
        var next = [party]
        while let one = next.popLast() {
            for other in requests.filter({ $0.party == one }).flatMap(before) {
                if other == party { return true }
                if seen.insert(other).inserted { next.append(other) }
            }
        }
        return false
    }

    /// Whether, if this request waited, each hop would wait on its lock for the next hop, and the last for the first.
    ///
    /// A circle of one hop names the asking owner alone and needs no way through the queue.
    public func isCircle(_ hops: [(party: Party, lock: String)], closedBy request: Request?) -> Bool {
        guard let request, hops.first?.party == request.party else { return false }
        let asked = requests.contains { $0.id == request.id } ? self : with(request)
        return hops.count == 1
            || hops.indices.allSatisfy { index in
                let next = hops[(index + 1) % hops.count].party
                return asked.requests.contains {
                    $0.party == hops[index].party && $0.lock == hops[index].lock
                        && asked.before($0).contains(next)
                }
            }
    }

    private func with(_ request: Request) -> Model {
        var copy = self
        copy.append(request)
        return copy
    }

    // MARK: - Asking

    /// Asks for a lock; `mayWait` is false for `wait=0`.
    mutating func acquire(_ request: Request, mayWait: Bool) -> Set<Answer> {
        var refusals: Set<Answer> = []
        let session = request.party.session
        if isDraining { refusals.insert(.draining) }
        let own = stakes(of: session)
        if own.grants + own.waiters >= limits.sessionGrants { refusals.insert(.limitGrants) }
        if !mayHaveOneMoreGrant(session) { refusals.insert(.limitGrants) }
        if grants.count + requests.count >= limits.grants { refusals.insert(.limitGrants) }
        if !locks.contains(request.lock), locks.count >= limits.locks { refusals.insert(.limitLocks) }
        let ownGrants = grants.filter { $0.lock == request.lock && $0.party == request.party }
        let ownUpgrades = requests.contains {
            $0.lock == request.lock && $0.party == request.party && $0.upgrades != nil
        }
        // A circle of one (G4): the request conflicts with a grant of its owner, or with one that its upgrade will make.
        if ownGrants.contains(where: { $0.mode.conflicts(with: request.mode) }) || ownUpgrades {
            refusals.insert(.deadlock)
        }
        if !refusals.isEmpty { return refused(refusals) }
        // A holder passes the queue (G4).
        let passes = !ownGrants.isEmpty && request.mode != .write
        let isFree = passes ? conflictingGrants(request).isEmpty : before(request).isEmpty
        return decide(request, isFree: isFree, mayWait: mayWait)
    }

    /// Asks to turn a grant into the write grant (G10).
    mutating func upgrade(_ request: Request, mayWait: Bool) -> Set<Answer> {
        guard let grant = grants.first(where: { $0.id == request.upgrades }) else { return [.notHeld] }
        if grant.mode == .write || requests.contains(where: { $0.upgrades == grant.id }) {
            return [.wrongMode]
        }
        let others = grants.filter { $0.lock == grant.lock && $0.id != grant.id }
        if others.contains(where: { $0.party == grant.party }) { return [.deadlock] }
        return decide(request, isFree: others.isEmpty, mayWait: mayWait)
    }

    private mutating func decide(_ request: Request, isFree: Bool, mayWait: Bool) -> Set<Answer> {
        if isFree, graceEnd == nil {
            let died = marks.contains(request.lock)
            enter(request)
            sendRecalls()
            return [.granted(request.mode, ownerDied: died)]
        }
        guard mayWait else { return [.busy] }
        var refusals: Set<Answer> = []
        if stakes(of: request.party.session).waiters >= limits.sessionWaiters { refusals = [.limitWaiters] }
        if requests.count >= limits.waiters { refusals = [.limitWaiters] }
        if !mayHaveOneMoreRequest(request.party.session) { refusals = [.limitWaiters] }
        if with(request).hasCircle(through: request.party) {
            refusals.insert(.deadlock)
            choices.insert(.whichCircle)
        }
        guard refusals.isEmpty else { return refused(refusals) }
        if ending.contains(request.party.session) { return [.waiting] }
        append(request)
        sendRecalls()
        return [.waiting]
    }

    private mutating func refused(_ reasons: Set<Answer>) -> Set<Answer> {
        if reasons.count > 1 { choices.insert(.whichRefusal) }
        return reasons
    }

    mutating func cancel(_ matches: [Request]) -> Set<Answer> {
        guard let request = matches.first else { return [.notWaiting] }
        guard matches.count == 1 else { return [.ambiguous] }
        remove(request, [.cancelled])
        serve()
        return [.cancelled]
    }

    // MARK: - Grants

    mutating func release(_ matches: [Grant]) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        end(grant, cleanly: true)
        serve()
        return [.done]
    }

    /// Ends all grants and all requests of a party at once.
    mutating func releaseAll(of party: Party) -> Set<Answer> {
        let asked = requests.filter { $0.party == party }
        for request in asked { remove(request, [.cancelled]) }
        let held = grants.filter { $0.party == party }
        for grant in held { end(grant, cleanly: true) }
        serve()
        return [.releasedAll(grants: held.count, waiters: asked.count)]
    }

    mutating func releaseAtEnd(_ matches: [Grant]) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        change(grant) { $0.isReleasedAtEnd = true }
        return [.done]
    }

    mutating func downgrade(_ matches: [Grant], to mode: LockMode) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        if mode >= grant.mode || requests.contains(where: { $0.upgrades == grant.id }) { return [.wrongMode] }
        if grant.mode == .write { marks.remove(grant.lock) }
        change(grant) { $0.mode = mode }
        let died = marks.contains(grant.lock)
        serve()
        return [.granted(mode, ownerDied: died)]
    }

    mutating func revoke(_ matches: [Grant]) -> Set<Answer> {
        guard let grant = only(matches) else { return [.notHeld] }
        events.append(.revoked(grant.id))
        end(grant, cleanly: false)
        serve()
        return [.done]
    }

    // MARK: - Sessions and time

    mutating func setRecall(_ wanted: Bool, of session: Int) {
        if wanted { recalling.insert(session) } else { recalling.remove(session) }
        sendRecalls()
    }

    /// Begins the end of a session: drops its waiting requests without an answer, and queues no more of them.
    public mutating func beginEnd(of session: Int) {
        ending.insert(session)
        requests.removeAll { $0.party.session == session }
        grants.removeAll { $0.party.session == session && undecided.contains($0.id) }
        serve()
    }

    /// Whether the last lines of a session are carried out.
    public func isEnding(_ session: Int) -> Bool { ending.contains(session) }

    /// Ends a session with all its grants and requests (G6).
    public mutating func endSession(_ session: Int, wasKilled: Bool = false) {
        ending.remove(session)
        recalling.remove(session)
        requests.removeAll { $0.party.session == session }
        for grant in grants where grant.party.session == session {
            if undecided.contains(grant.id) {
                grants.removeAll { $0.id == grant.id }
            } else {
                end(grant, cleanly: grant.isReleasedAtEnd && !wasKilled)
            }
        }
        serve()
    }

    /// Carries out all that is due, in the order of the deadlines, and then grants what became free (G5, G9).
    public mutating func advance(to now: Instant) {
        self.now = now
        while let due = earliestDue, due <= now {
            let late = requests.filter { $0.deadline == due }
            let ended = grants.filter { $0.leaseEnd == due }
            for request in late {
                let loses = ended.contains { $0.id == request.upgrades }
                if loses { choices.insert(.sameInstant) }
                remove(request, loses ? [.timeout, .cancelled] : [.timeout])
            }
            for grant in ended {
                events.append(.expired(grant.id))
                end(grant, cleanly: false)
            }
        }
        losePatience()
        if let end = graceEnd, end <= now { graceEnd = nil }
        serve()
    }

    /// The earliest deadline of a request or a lease.
    private var earliestDue: Instant? {
        (requests.compactMap(\.deadline) + grants.compactMap(\.leaseEnd)).min()
    }

    // MARK: - Within

    func only(_ matches: [Grant]) -> Grant? { matches.count == 1 ? matches.first : nil }

    static func refusal(_ matches: [Grant]) -> Set<Answer> {
        matches.isEmpty ? [.notHeld] : [.ambiguous]
    }

    mutating func change(_ grant: Grant, _ body: (inout Grant) -> Void) {
        for index in grants.indices where grants[index].id == grant.id { body(&grants[index]) }
    }

    /// Turns a request into a grant; an upgrade changes its grant, which keeps its lease.
    private mutating func enter(_ request: Request) {
        if let old = request.upgrades {
            for index in grants.indices where grants[index].id == old {
                grants[index].id = request.id
                grants[index].mode = .write
                grants[index].isRecalled = false
            }
        } else {
            var grant = Grant(id: request.id, party: request.party, lock: request.lock, mode: request.mode)
            grant.lease = request.lease
            grant.leaseEnd = request.lease.map { now.advanced(by: $0) }
            grants.append(grant)
        }
    }

    private mutating func end(_ grant: Grant, cleanly: Bool) {
        grants.removeAll { $0.id == grant.id }
        for request in requests where request.upgrades == grant.id { remove(request, [.cancelled]) }
        if grant.mode == .write {
            if cleanly { marks.remove(grant.lock) } else { marks.insert(grant.lock) }
        }
    }

    mutating func remove(_ request: Request, _ why: Set<Answer>) {
        requests.removeAll { $0.id == request.id }
        events.append(.refused(request.id, why))
    }

    /// Grants each request that waits for nothing, from the front.
    private mutating func serve() {
        while graceEnd == nil,
            let next = requests.sorted(by: isAhead).first(where: { before($0).isEmpty })
        {
            if case .granted = events.last { choices.insert(.whichFirst) }
            requests.removeAll { $0.id == next.id }
            events.append(.granted(next.id, next.mode, ownerDied: marks.contains(next.lock)))
            enter(next)
        }
        sendRecalls()
    }

    /// Recalls each grant that a conflicting request waits for, once, if its session wants recalls.
    private mutating func sendRecalls() {
        for index in grants.indices where !grants[index].isRecalled {
            let grant = grants[index]
            let isWaitedFor = requests.contains {
                $0.lock == grant.lock && $0.upgrades != grant.id && $0.mode.conflicts(with: grant.mode)
            }
            if isWaitedFor, recalling.contains(grant.party.session) {
                grants[index].isRecalled = true
                events.append(.recalled(grant.id))
            }
        }
    }
}
