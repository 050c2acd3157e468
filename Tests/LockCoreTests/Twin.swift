import LockCore
import LockModel
import LockVocabulary
import SlotSupport

/// A step of a history: a command of the session with a number, or an event without a command.
enum TwinStep: Hashable, Sendable {
    case command(Int, Command)
    /// The session's waiting requests are dropped.
    case drop(Int)
    /// The session ends, and another takes its number.
    case end(Int)
    case pass(Duration)
    /// The last grant is cached, if the rules permit it.
    case cache
    /// The client of a cached grant takes the lock, or gives it up.
    case enter(Token)
    case leave(Token)
}

/// The rules beside the model: both get the same steps, and their answers, effects and states must agree.
struct Twin: ~Copyable {
    var model: Model
    var table: LockTable
    private(set) var sessions: [SessionID] = []
    private var numbers: [SessionID: Int] = [:]
    /// The request that made each grant.
    var ids: [Token: Int] = [:]
    var tokens: [Int: Token] = [:]
    private var lastToken = Token(rawValue: 0)
    var asked = 0
    /// The session of each request.
    var askers: [Int: Int] = [:]
    /// The slots of each session, as its client has them; empty if no session has any.
    private(set) var clientSlots: [ClientSlots] = []
    /// The cached grants that clients know.
    var slots: [Token: TwinSlot] = [:]
    /// The last grant, if it is the last thing that happened.
    private(set) var lastGranted: (session: Int, lock: String, owner: String, mode: LockMode, token: Token)?
    /// How often the clients made each step on their slots.
    var counts = (cached: 0, enters: 0, leaves: 0, refusedEnters: 0, refusedLeaves: 0)
    /// The number of owners in the longest circle that was refused.
    private(set) var longestCircle = 0
    /// The number of reads that were refused because they would have closed a circle as they lost patience.
    private(set) var circlesByTime = 0
    /// Whether that can happen: an owner may have several waiting requests.
    private let circlesCloseByTime: Bool
    /// A watcher; nil if the rules make no changes for watchers.
    private var follower: Follower?
    /// How many users the sessions belong to, in turn. The first one has no limits, as root.
    private let users: UInt32

    struct Disagreement: Error, CustomStringConvertible {
        let description: String
    }

    /// What the model expects to happen, and the rules have not done yet.
    private var expected: [Model.Event] = []

    /// - Parameters:
    ///   - users: how many users the sessions belong to, in turn; the first one has no limits, as root.
    ///   - stepsInTurn: the steps of work in one turn of the rules; nil if each command completes all work.
    ///   - waitsOnce: whether no session ever has a second waiting request.
    ///   - hasSlots: whether all sessions have slots. Watched locks are not cached, so there must be no watcher.
    init(
        sessions count: Int, users: UInt32 = 1, limits: Limits = Limits(), grace: Duration? = nil,
        patience: Duration? = nil, isObserved: Bool = false, stepsInTurn: Int? = nil, waitsOnce: Bool = false,
        hasSlots: Bool = false
    ) {
        self.users = users
        if hasSlots { clientSlots = (0..<count).map { _ in ClientSlots() } }
        circlesCloseByTime = patience != nil && !waitsOnce
        let graceEnd = grace.map { Instant.zero.advanced(by: $0) }
        table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: .max - 1),
            graceEnd: graceEnd, patience: patience)
        table.isObserved = isObserved
        if let stepsInTurn {
            table.completesAtOnce = false
            table.stepsInTurn = stepsInTurn
        }
        if isObserved { follower = Follower() }
        model = Model(graceEnd: graceEnd, patience: patience)
        model.limits.sessionGrants = limits.sessionGrants
        model.limits.sessionWaiters = limits.sessionWaiters
        model.limits.grants = limits.grants
        model.limits.waiters = limits.waiters
        model.limits.locks = limits.locks
        for number in 0..<count { sessions.append(openSession(number)) }
    }

    // MARK: - Steps

    /// The token of a grant.
    func token(of grant: Model.Grant) -> Token { tokens[grant.id] ?? Token(rawValue: 0) }

    /// Carries out a step in both; returns the answer to a command.
    @discardableResult
    mutating func play(_ step: TwinStep) throws -> Model.Answer {
        var answer = Model.Answer.done
        if step != .cache { lastGranted = nil }
        switch step {
        case .cache: cacheLastGrant()
        case .enter(let token): try enter(token)
        case .leave(let token): answer = try leave(token)
        case .command(let number, let command): answer = try carryOut(command, of: number)
        case .drop(let number):
            // A grant that is late would be dropped here, and the model would have it until the end.
            try rest()
            forgetExpected(of: number)
            model.beginEnd(of: number)
            table.beginEnd(of: sessions[number], at: model.now)
        case .end(let number):
            // The rules drop a request that could be granted, and the model has its grant die.
            let isLate = expected.contains {
                if case .granted(let id, _, _) = $0 { askers[id] == number } else { false }
            }
            if isLate { try rest() }
            forgetExpected(of: number)
            model.endSession(number)
            table.closeSession(sessions[number], at: model.now)
            table.forgetSession(sessions[number])
            slots = slots.filter { $0.value.session != number }
            if !clientSlots.isEmpty { clientSlots[number] = ClientSlots() }
            sessions[number] = openSession(number)
        case .pass(let duration):
            // A request that could be granted in time may time out if the work is late.
            while table.hasWork { table.work(atMost: table.stepsInTurn) }
            model.advance(to: model.now.advanced(by: duration))
            table.advance(to: model.now)
            // The model finds circles as patience ends. If this is late, another command may have opened the circle.
            while circlesCloseByTime, table.hasWork { table.work(atMost: table.stepsInTurn) }
        }
        if !table.completesAtOnce { table.work(atMost: table.stepsInTurn) }
        try compareEffects(after: step)
        return answer
    }

    /// Expects no late answers and notices for a session that ends.
    private mutating func forgetExpected(of number: Int) {
        expected.removeAll { event in
            switch event {
            case .granted(let id, _, _), .refused(let id, _), .expired(let id), .revoked(let id),
                .recalled(let id):
                askers[id] == number
            }
        }
    }

    /// Does the work that is left, if the rules do it in turns.
    mutating func rest() throws {
        while table.hasWork { table.work(atMost: table.stepsInTurn) }
        try compareEffects(after: .pass(.zero))
        if !table.completesAtOnce { expected = [] }
    }

    /// Does work until the command can be decided; false if it waits for the last lines of a session that has ended.
    private mutating func settle(for command: Command, of number: Int) -> Bool {
        guard !table.completesAtOnce else { return true }
        table.advance(to: model.now)
        while true {
            if table.canDecide(command, by: sessions[number]) { return true }
            guard table.hasWork else { return false }
            table.work(atMost: table.stepsInTurn)
        }
    }

    private mutating func openSession(_ number: Int) -> SessionID {
        let user = UInt32(number) % users
        if user > 0 { model.shares[number] = (user, .quarterOfRest, .quarterOfRest) }
        let share = user > 0 ? Share(grants: .quarterOfRest, waiters: .quarterOfRest) : Share()
        let account = AccountID(rawValue: Int(user))
        guard let session = table.openSession(account: account, share: share) else {
            fatalError("no session is left")
        }
        numbers[session] = number
        if !clientSlots.isEmpty { table.setSlots(clientSlots[number].memory, of: session) }
        return session
    }

    mutating func carryOut(_ command: Command, of number: Int) throws -> Model.Answer {
        guard settle(for: command, of: number) else { return .done }
        try compareEffects(after: .command(number, command))
        asked += 1
        askers[asked] = number
        let before = model
        let request = model.request(command, of: number, as: asked, ids)
        let hasIdle = !idleSlots.isEmpty
        let expected =
            answerAboutIdle(command, of: number) ?? model.carryOut(command, of: number, as: asked, ids)
        let outcome = table.carryOut(
            command, by: sessions[number], tag: Tag(Model.tag(of: asked)), at: model.now)
        if case .decision(.refused(.deadlock(let circle))) = outcome {
            let hops = circle.hops.map { (party: party($0.session, $0.owner), lock: $0.lock.text) }
            longestCircle = max(longestCircle, hops.count)
            guard before.isCircle(hops, closedBy: request) else {
                throw Disagreement(description: "\(command): there is no such circle: \(hops)")
            }
        }
        // A downgrade makes no request and keeps its token.
        if request != nil, case .decision(.granted(let granted)) = outcome {
            try take(granted.token, for: asked)
            if case .acquire(let lock, let mode, let owner, _, _) = command {
                lastGranted = (number, lock, owner, mode, granted.token)
            }
        }
        forgetSlots(after: command, of: number)
        // What is cached counts for the limits.
        if hasIdle, [.limitGrants, .limitLocks].contains(outcome.answer), !expected.contains(outcome.answer) {
            model = before
            return outcome.answer
        }
        guard expected.contains(outcome.answer) else {
            throw Disagreement(description: "\(command): \(outcome.answer) instead of \(expected)")
        }
        return outcome.answer
    }

    // MARK: - Agreement

    /// Compares the effects on other sessions; the order within one step is open (`Choice.whichFirst`).
    private mutating func compareEffects(after step: TwinStep) throws {
        expected += model.events
        model.events = []
        let effects = table.effects
        table.effects.removeAll(keepingCapacity: true)
        for effect in effects {
            let index: Int?
            switch effect {
            case .granted(_, let tag, _, let granted):
                let id = self.id(of: tag)
                try take(granted.token, for: id)
                index = expected.firstIndex(
                    of: .granted(id, granted.mode, ownerDied: granted.ownerDied))
            case .refused(_, let tag, _, _, let refusal):
                let id = self.id(of: tag)
                if case .deadlock(let circle) = refusal { try checkCircle(circle, closedBy: id) }
                index = expected.firstIndex {
                    if case .refused(id, let answers) = $0 {
                        answers.contains(refusal.answer)
                    } else {
                        false
                    }
                }
            case .expired(_, _, let token, _): index = expected.firstIndex(of: .expired(ids[token] ?? -1))
            case .revoked(_, _, let token): index = expected.firstIndex(of: .revoked(ids[token] ?? -1))
            case .recalled(_, _, let token): index = expected.firstIndex(of: .recalled(ids[token] ?? -1))
            case .changed(let change):
                guard follower?.follow(change) == true else {
                    throw Disagreement(description: "\(step): \(change), where only \(follower as Any) was")
                }
                continue
            case .diedHolding, .markForgotten, .ended: continue
            }
            // A recall that is late may be for a request that the model has granted.
            if index == nil, case .recalled = effect, !table.completesAtOnce { continue }
            guard let index else {
                throw Disagreement(description: "\(step): \(effect), where only \(expected) was to happen")
            }
            expected.remove(at: index)
        }
        // A recall that was late is void if the request has gone.
        let missing = expected.filter { if case .recalled = $0 { table.completesAtOnce } else { true } }
        guard missing.isEmpty || table.hasWork else {
            throw Disagreement(description: "\(step): \(expected) did not happen")
        }
    }

    /// A waiting read was refused as it lost patience: the circle must be in the model's state at that moment (G8).
    private mutating func checkCircle(_ circle: Circle, closedBy id: Int) throws {
        let hops = circle.hops.map { (party: party($0.session, $0.owner), lock: $0.lock.text) }
        let state = model.takeStateOfCircle(id)
        let reader = state?.requests.first { $0.id == id }
        guard state?.isCircle(hops, closedBy: reader) == true else {
            throw Disagreement(description: "request \(id): there is no such circle: \(hops)")
        }
        circlesByTime += 1
    }

    /// G7: tokens rise with every grant.
    private mutating func take(_ token: Token, for id: Int) throws {
        guard token > lastToken else {
            throw Disagreement(description: "G7: \(token) after \(lastToken)")
        }
        lastToken = token
        tokens[id] = token
        ids[token] = id
    }

    /// Whether the rules hold nothing but marks (G6).
    var isAtRest: Bool {
        table.grantCount == 0 && table.waiterCount == 0 && table.lockCount == table.markCount
            && table.nextDeadline == nil
    }

    /// Compares the whole state.
    func compare() throws {
        try table.checkInvariants()
        if let fault = model.fault { throw Disagreement(description: "the model itself: \(fault)") }
        let idle = idleSlots
        let locks = model.locks.union(idle.map(\.lock))
        guard table.lockCount == locks.count, table.markCount == model.marks.count,
            table.grantCount == model.grants.count + idle.count, table.waiterCount == model.requests.count
        else {
            let counts =
                "\(table.lockCount), \(table.markCount), \(table.grantCount), \(table.waiterCount) locks, marks, "
                + "grants, waiters instead of \(locks.count), \(model.marks.count), "
                + "\(model.grants.count) and \(idle.count) cached, \(model.requests.count)"
            throw Disagreement(description: counts)
        }
        try compareFollower()
        for lock in locks {
            let holders = Set(model.grants.filter { $0.lock == lock }.map { held($0) })
            let queue = model.queue(of: lock).map { "\($0.party) \($0.mode)" }
            var seen: (holders: Set<String>, queue: [String]) = ([], [])
            var cached: Set<Token> = []
            var cursor = StatusCursor()
            while !cursor.isAtEnd {
                table.forEachStatusRow(on: name(lock), from: &cursor, budget: 64, at: model.now) { stake in
                    switch stake {
                    case .holder(let session, let mode, let owner, let token, _, let lease, _):
                        seen.holders.insert("\(party(session, owner)) \(mode) \(token) \(describe(lease))")
                    case .cached(_, _, _, let token, _, _): cached.insert(token)
                    case .waiter(let session, let mode, let owner, _, _, _, _):
                        seen.queue.append("\(party(session, owner)) \(mode)")
                    }
                    return true
                }
            }
            try compareIdle(lock, cached)
            guard seen.holders == holders, seen.queue == queue else {
                throw Disagreement(description: "\(lock) is \(seen) instead of \(holders), \(queue)")
            }
        }
    }

    /// Compares what the watcher concludes with the model.
    private func compareFollower() throws {
        guard let follower else { return }
        let told = follower.grants.map { "\(describe($0.value)) \($0.key)" }
        let held = model.grants.map { "\($0.party) \($0.lock) \($0.mode) \(token(of: $0))" }
        let asked = follower.requests.values.map { describe($0) }
        let waiting = model.requests.map { "\($0.party) \($0.lock) \($0.mode)" }
        guard Set(told) == Set(held), asked.sorted() == waiting.sorted()
        else {
            throw Disagreement(description: "a watcher knows \(follower), and there is \(held), \(waiting)")
        }
    }

    private func describe(_ stake: Follower.Stake) -> String {
        "\(party(stake.session, stake.owner)) \(stake.lock) \(stake.mode)"
    }

    private func held(_ grant: Model.Grant) -> String {
        let left = grant.leaseEnd.map { model.now.duration(to: $0) }
        return "\(grant.party) \(grant.mode) \(token(of: grant)) \(describe(left))"
    }

    private func describe(_ left: Duration?) -> String { left.map { "\($0)" } ?? "-" }

    private func party(_ session: SessionID, _ owner: OwnerID) -> Model.Party {
        Model.Party(session: numbers[session] ?? -1, owner: "\(owner)")
    }

    private func id(of tag: LockVocabulary.Tag?) -> Int {
        tag.flatMap { Int($0.text.dropFirst()) } ?? -1
    }
}
