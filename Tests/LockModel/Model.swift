public import LockVocabulary

/// The guarantees G1 to G11, as plainly as they can be said, for the rules to be held against.
///
/// It is written from the guarantees and shares nothing with the rules but the words: a list of grants, a list of requests,
/// and one definition of what a request waits for (`before`). Whatever waits for nothing is granted. It is slow, and
/// nothing in it is clever.
///
/// Where the guarantees leave a choice, an answer is a set, and `Choice` names why.
///
/// A grant is known by the request that made it: whoever compares knows which token that is.
public struct Model: Sendable {
    /// One who asks: an owner of a session.
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
        /// The grant that it would change.
        public var upgrades: Int?
        public var lease: Duration?
        public var deadline: Instant?

        public init(
            id: Int, party: Party, lock: String, mode: LockMode, lease: Duration? = nil,
            deadline: Instant? = nil
        ) {
            self.id = id
            self.party = party
            self.lock = lock
            self.mode = mode
            self.lease = lease
            self.deadline = deadline
        }
    }

    public private(set) var grants: [Grant] = []
    /// In the order of coming.
    public private(set) var requests: [Request] = []
    /// The locks whose last writer died (G11).
    public private(set) var marks: Set<String> = []
    public private(set) var now = Instant.zero
    private(set) var graceEnd: Instant?
    /// The sessions that want to be told when somebody waits for what they hold.
    private var recalling: Set<Int> = []
    public var limits = Limits()
    /// Whose each session is, and how much that user may have; a session that is not here is nobody's.
    public var shares: [Int: (user: UInt32, grants: Int, waiters: Int)] = [:]
    public var isDraining = false
    /// What happened since it was last emptied.
    public var events: [Event] = []

    /// Which choices were open so far.
    public private(set) var choices: Set<Choice> = []

    public init(graceEnd: Instant? = nil) { self.graceEnd = graceEnd }

    /// The locks that somebody holds or waits for, or that are marked.
    public var locks: Set<String> {
        marks.union(grants.map(\.lock)).union(requests.map(\.lock))
    }

    // MARK: - What a request waits for

    /// Upgrades are ahead of writers and updaters, and those of readers; else who came earlier (G2, G3, G10).
    func isAhead(_ one: Request, of other: Request) -> Bool { place(one) < place(other) }

    private func place(_ request: Request) -> (row: Int, coming: Int) {
        let coming = requests.firstIndex { $0.id == request.id } ?? requests.count
        return (request.upgrades != nil ? 0 : request.mode == .read ? 2 : 1, coming)
    }

    private func conflictingGrants(_ request: Request) -> [Grant] {
        grants.filter {
            $0.lock == request.lock && $0.id != request.upgrades && $0.mode.conflicts(with: request.mode)
        }
    }

    /// For whom a request waits: those who hold what conflicts, and those who ask for it ahead (G8).
    public func before(_ request: Request) -> [Party] {
        let ahead = requests.filter {
            $0.lock == request.lock && isAhead($0, of: request) && $0.mode.conflicts(with: request.mode)
        }
        return conflictingGrants(request).map(\.party) + ahead.map(\.party)
    }

    /// Whether a way leads from a party, over whom its requests wait for, back to it.
    public func hasCircle(through party: Party) -> Bool {
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

    /// Whether, if this request waited, each of these would wait on that lock for the next, and the last for the first.
    public func isCircle(_ hops: [(party: Party, lock: String)], closedBy request: Request) -> Bool {
        let asked = with(request)
        return hops.first?.party == request.party
            && hops.indices.allSatisfy { index in
                let next = hops[(index + 1) % hops.count].party
                return asked.requests.contains {
                    $0.party == hops[index].party && $0.lock == hops[index].lock
                        && asked.before($0).contains(next)
                }
            }
    }

    private func with(_ request: Request) -> Model {
        var copy = self
        copy.requests.append(request)
        return copy
    }

    // MARK: - Asking

    /// Asks for a lock; `mayWait` is false for `wait=0`.
    public mutating func acquire(_ request: Request, mayWait: Bool) -> Set<Answer> {
        var refusals: Set<Answer> = []
        let session = request.party.session
        if isDraining { refusals.insert(.draining) }
        let own = stakes(of: session)
        if own.grants + own.waiters >= limits.sessionGrants { refusals.insert(.limitGrants) }
        if let share = shares[session] {
            let users = stakes(ofUser: share.user)
            if users.grants + users.waiters >= share.grants { refusals.insert(.limitGrants) }
        }
        if grants.count + requests.count >= limits.grants { refusals.insert(.limitGrants) }
        if !locks.contains(request.lock), locks.count >= limits.locks { refusals.insert(.limitLocks) }
        let ownGrants = grants.filter { $0.lock == request.lock && $0.party == request.party }
        let ownUpgrades = requests.contains {
            $0.lock == request.lock && $0.party == request.party && $0.upgrades != nil
        }
        // A circle of one (G4): it conflicts with what its owner holds, or will when its own upgrade is granted.
        if ownGrants.contains(where: { $0.mode.conflicts(with: request.mode) }) || ownUpgrades {
            refusals.insert(.deadlock)
        }
        if !refusals.isEmpty { return refused(refusals) }
        // A holder goes past those who wait (G4).
        let passes = !ownGrants.isEmpty && request.mode != .write
        let isFree = passes ? conflictingGrants(request).isEmpty : before(request).isEmpty
        return decide(request, isFree: isFree, mayWait: mayWait)
    }

    /// Asks that a grant become the write grant (G10).
    public mutating func upgrade(
        _ id: Int, _ lock: String, _ matches: [Grant], wait: TimeLimit
    ) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        if grant.mode == .write || requests.contains(where: { $0.upgrades == grant.id }) {
            return [.wrongMode]
        }
        var request = Request(id: id, party: grant.party, lock: lock, mode: .write)
        request.upgrades = grant.id
        request.deadline = wait.deadline(from: now)
        let others = grants.filter { $0.lock == lock && $0.id != grant.id }
        if others.contains(where: { $0.party == grant.party }) { return [.deadlock] }
        return decide(request, isFree: others.isEmpty, mayWait: wait != .upTo(.zero))
    }

    private mutating func decide(_ request: Request, isFree: Bool, mayWait: Bool) -> Set<Answer> {
        if isFree, graceEnd == nil {
            let died = marks.contains(request.lock)
            enter(request)
            tellRecalls()
            return [.granted(request.mode, ownerDied: died)]
        }
        guard mayWait else { return [.busy] }
        var refusals: Set<Answer> = []
        if stakes(of: request.party.session).waiters >= limits.sessionWaiters { refusals = [.limitWaiters] }
        if requests.count >= limits.waiters { refusals = [.limitWaiters] }
        if let share = shares[request.party.session], stakes(ofUser: share.user).waiters >= share.waiters {
            refusals = [.limitWaiters]
        }
        if with(request).hasCircle(through: request.party) {
            refusals.insert(.deadlock)
            choices.insert(.whichCircle)
        }
        guard refusals.isEmpty else { return refused(refusals) }
        requests.append(request)
        tellRecalls()
        return [.waiting]
    }

    private mutating func refused(_ reasons: Set<Answer>) -> Set<Answer> {
        if reasons.count > 1 { choices.insert(.whichRefusal) }
        return reasons
    }

    public mutating func cancel(_ matches: [Request]) -> Set<Answer> {
        guard let request = matches.first else { return [.notWaiting] }
        guard matches.count == 1 else { return [.ambiguous] }
        remove(request, [.cancelled])
        settle()
        return [.done]
    }

    // MARK: - Grants

    public mutating func release(_ matches: [Grant]) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        end(grant, cleanly: true)
        settle()
        return [.done]
    }

    /// All that a party holds and waits for ends at once; returns how many grants and requests that are.
    public mutating func releaseAll(of party: Party) -> (grants: Int, waiters: Int) {
        let asked = requests.filter { $0.party == party }
        for request in asked { remove(request, [.cancelled]) }
        let held = grants.filter { $0.party == party }
        for grant in held { end(grant, cleanly: true) }
        settle()
        return (held.count, asked.count)
    }

    public mutating func releaseAtEnd(_ matches: [Grant]) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        change(grant) { $0.isReleasedAtEnd = true }
        return [.done]
    }

    public mutating func downgrade(_ matches: [Grant], to mode: LockMode) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        if mode >= grant.mode || requests.contains(where: { $0.upgrades == grant.id }) { return [.wrongMode] }
        if grant.mode == .write { marks.remove(grant.lock) }
        change(grant) { $0.mode = mode }
        let died = marks.contains(grant.lock)
        settle()
        return [.granted(mode, ownerDied: died)]
    }

    /// A lease of nil is the one that was given before.
    public mutating func renew(_ matches: [Grant], lease: TimeLimit?) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        if lease == nil, grant.lease == nil { return [.noLease] }
        let now = now
        change(grant) {
            switch lease {
            case .upTo(let duration): $0.lease = duration
            case .forever: $0.lease = nil
            case nil: break
            }
            $0.leaseEnd = $0.lease.map { now.advanced(by: $0) }
        }
        return [.done]
    }

    public mutating func revoke(_ matches: [Grant]) -> Set<Answer> {
        guard let grant = only(matches) else { return [.notHeld] }
        events.append(.revoked(grant.id))
        end(grant, cleanly: false)
        settle()
        return [.done]
    }

    // MARK: - Sessions and time

    public mutating func setRecall(_ wanted: Bool, of session: Int) {
        if wanted { recalling.insert(session) } else { recalling.remove(session) }
        tellRecalls()
    }

    /// What a session waits for is dropped, unanswered.
    public mutating func dropRequests(of session: Int) {
        requests.removeAll { $0.party.session == session }
        settle()
    }

    /// A session ends, and everything of it (G6).
    public mutating func endSession(_ session: Int, wasKilled: Bool = false) {
        recalling.remove(session)
        requests.removeAll { $0.party.session == session }
        for grant in grants where grant.party.session == session {
            end(grant, cleanly: grant.isReleasedAtEnd && !wasKilled)
        }
        settle()
    }

    /// What is due by an instant happens, in the order in which it is; then what follows from it (G5, G9).
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
        if let end = graceEnd, end <= now { graceEnd = nil }
        settle()
    }

    /// When something happens by itself at the earliest.
    private var earliestDue: Instant? {
        (requests.compactMap(\.deadline) + grants.compactMap(\.leaseEnd)).min()
    }

    // MARK: - Within

    private func only(_ matches: [Grant]) -> Grant? { matches.count == 1 ? matches.first : nil }

    private static func refusal(_ matches: [Grant]) -> Set<Answer> {
        matches.isEmpty ? [.notHeld] : [.ambiguous]
    }

    private mutating func change(_ grant: Grant, _ body: (inout Grant) -> Void) {
        for index in grants.indices where grants[index].id == grant.id { body(&grants[index]) }
    }

    /// Makes a grant of a request; an upgrade changes one, which keeps its lease.
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

    private mutating func remove(_ request: Request, _ why: Set<Answer>) {
        requests.removeAll { $0.id == request.id }
        events.append(.refused(request.id, why))
    }

    /// Grants whatever waits for nothing, from the front.
    private mutating func settle() {
        while graceEnd == nil,
            let next = requests.sorted(by: isAhead).first(where: { before($0).isEmpty })
        {
            if case .granted = events.last { choices.insert(.whichFirst) }
            requests.removeAll { $0.id == next.id }
            events.append(.granted(next.id, next.mode, ownerDied: marks.contains(next.lock)))
            enter(next)
        }
        tellRecalls()
    }

    /// Tells each holder who asked for it, once for a grant, that somebody waits for what conflicts with it.
    private mutating func tellRecalls() {
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
