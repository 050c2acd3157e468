import LockCore
import LockModel
import LockVocabulary

/// What a session may do, spelled so that the rules and the model can both be told it.
enum TwinCommand: Hashable, Sendable {
    /// Which grant of the session is meant: by the request that made it, by its owner, or the only one.
    enum Choice: Hashable, Sendable {
        case only
        case owner(String)
        case grant(Int)
    }

    case acquire(Int, String, String, LockMode, wait: TimeLimit, lease: Duration?)
    case release(Int, String, Choice)
    case releaseAtEnd(Int, String, Choice)
    case releaseAll(Int, String)
    case upgrade(Int, String, Choice, wait: TimeLimit)
    case downgrade(Int, String, Choice, to: LockMode)
    case renew(Int, String, Choice, TimeLimit?)
    case cancel(Int, String, owner: String?)
    case revoke(String, Int)
    case recall(Int, Bool)
    case drop(Int)
    case end(Int)
    case pass(Duration)
}

/// The rules and the model, told the same; every answer, every effect and afterwards the whole state must agree.
struct Twin: ~Copyable {
    private(set) var model: Model
    private var table: LockTable
    private var sessions: [SessionID] = []
    private var numbers: [SessionID: Int] = [:]
    /// The token of each grant, known by the request that made it.
    private var tokens: [Int: Token] = [:]
    private var lastToken = Token(rawValue: 0)
    private var asked = 0

    struct Disagreement: Error, CustomStringConvertible {
        let description: String
    }

    init(sessions count: Int, limits: Limits = Limits(), grace: Duration? = nil) {
        let graceEnd = grace.map { Instant.zero.advanced(by: $0) }
        table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: .max - 1),
            graceEnd: graceEnd)
        model = Model(graceEnd: graceEnd)
        model.limits.sessionGrants = limits.sessionGrants
        model.limits.sessionWaiters = limits.sessionWaiters
        model.limits.grants = limits.grants
        model.limits.waiters = limits.waiters
        model.limits.locks = limits.locks
        for number in 0..<count {
            guard let session = table.openSession() else { fatalError("no session is left") }
            sessions.append(session)
            numbers[session] = number
        }
    }

    // MARK: - Commands

    /// Tells both; returns what the answer was.
    @discardableResult
    mutating func play(_ command: TwinCommand) throws -> Model.Answer {
        let answer = try tell(command)
        try compareEffects(after: command)
        return answer
    }

    private mutating func tell(_ command: TwinCommand) throws -> Model.Answer {
        let now = model.now
        switch command {
        case .acquire(let number, let owner, let lock, let mode, let wait, let lease):
            asked += 1
            let request = Model.Request(
                id: asked, party: Model.Party(session: number, owner: owner), lock: lock, mode: mode,
                lease: lease, deadline: wait.deadline(from: now))
            let before = model
            let expected = model.acquire(request, mayWait: wait != .upTo(.zero))
            let decision = table.acquire(
                Acquisition(
                    name(lock), mode, owner: word(owner), wait: wait,
                    lease: lease.map(TimeLimit.upTo) ?? .forever, tag: tag(asked)),
                by: sessions[number], at: now)
            return try agree(decision, expected, request, before, command)
        case .upgrade(let number, let lock, let choice, let wait):
            asked += 1
            let matches = matches(number, lock, choice)
            let before = model
            let expected = model.upgrade(asked, lock, matches, wait: wait)
            let decision = table.upgrade(
                name(lock), grantChoice(choice), wait: wait, tag: tag(asked), by: sessions[number], at: now)
            let party = matches.first?.party ?? Model.Party(session: number, owner: "-")
            var request = Model.Request(id: asked, party: party, lock: lock, mode: .write)
            request.upgrades = matches.first?.id
            return try agree(decision, expected, request, before, command)
        case .downgrade(let number, let lock, let choice, let mode):
            let expected = model.downgrade(matches(number, lock, choice), to: mode)
            let decision = table.downgrade(
                name(lock), grantChoice(choice), to: mode, by: sessions[number], at: now)
            return try agree(answer(decision), expected, command)
        case .release(let number, let lock, let choice):
            let expected = model.release(matches(number, lock, choice))
            let result = table.release(name(lock), grantChoice(choice), by: sessions[number], at: now)
            return try agree(answer(result), expected, command)
        case .releaseAtEnd(let number, let lock, let choice):
            let expected = model.releaseAtEnd(matches(number, lock, choice))
            let result = table.releaseAtEnd(name(lock), grantChoice(choice), by: sessions[number], at: now)
            return try agree(answer(result), expected, command)
        case .releaseAll(let number, let owner):
            let expected = model.releaseAll(of: Model.Party(session: number, owner: owner))
            let result = table.releaseAll(of: word(owner), by: sessions[number], at: now)
            guard result == expected else { throw disagreement("\(result) instead of \(expected)", command) }
        case .renew(let number, let lock, let choice, let lease):
            let expected = model.renew(matches(number, lock, choice), lease: lease)
            let result = table.renew(
                name(lock), grantChoice(choice), lease: lease, by: sessions[number], at: now)
            return try agree(answer(result), expected, command)
        case .cancel(let number, let lock, let owner):
            let expected = model.cancel(
                model.requests.filter {
                    $0.party.session == number && $0.lock == lock
                        && (owner == nil || owner == $0.party.owner)
                })
            let result = table.cancel(name(lock), owner: owner.map(word), by: sessions[number], at: now)
            return try agree(answer(result), expected, command)
        case .revoke(let lock, let id):
            let expected = model.revoke(model.grants.filter { $0.id == id && $0.lock == lock })
            let token = tokens[id] ?? Token(rawValue: 0)
            return try agree(answer(table.revoke(name(lock), token, at: now)), expected, command)
        case .recall(let number, let wanted):
            model.setRecall(wanted, of: number)
            table.setRecall(wanted, of: sessions[number])
        case .drop(let number):
            model.dropRequests(of: number)
            table.dropRequests(of: sessions[number], at: now)
        case .end(let number):
            model.endSession(number)
            table.closeSession(sessions[number], at: now)
            try compareEffects(after: command)
            table.forgetSession(sessions[number])
            numbers[sessions[number]] = nil
            guard let session = table.openSession() else { fatalError("no session is left") }
            sessions[number] = session
            numbers[session] = number
        case .pass(let duration):
            model.advance(to: now.advanced(by: duration))
            table.advance(to: model.now)
        }
        return .done
    }

    // MARK: - Agreement

    private mutating func agree(
        _ decision: Decision, _ expected: Set<Model.Answer>, _ request: Model.Request, _ before: Model,
        _ command: TwinCommand
    ) throws -> Model.Answer {
        if case .granted(let granted) = decision { try take(granted.token, for: request.id) }
        if case .refused(.deadlock(let circle)) = decision {
            let hops = circle.hops.map {
                (Model.Party(session: numbers[$0.session] ?? -1, owner: "\($0.owner)"), $0.lock.text)
            }
            // A circle of one names its owner alone, and needs no way through the queue.
            let isOfOne = hops.count == 1 && hops.first?.0 == request.party
            if !isOfOne, !before.isCircle(hops.map { (party: $0.0, lock: $0.1) }, closedBy: request) {
                throw disagreement("there is no such circle: \(hops)", command)
            }
        }
        return try agree(answer(decision), expected, command)
    }

    private func agree(
        _ answer: Model.Answer, _ expected: Set<Model.Answer>, _ command: TwinCommand
    ) throws -> Model.Answer {
        guard expected.contains(answer) else {
            throw disagreement("\(answer) instead of \(expected)", command)
        }
        return answer
    }

    /// What happened to others must be the same; in which order is left open within one command (`Choice.whichFirst`).
    private mutating func compareEffects(after command: TwinCommand) throws {
        var expected = model.events
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
                index = expected.firstIndex {
                    if case .refused(id, let answers) = $0 {
                        answers.contains(answer(refusal))
                    } else {
                        false
                    }
                }
            case .expired(_, _, let token, _): index = expected.firstIndex(of: .expired(grant(token)))
            case .revoked(_, _, let token): index = expected.firstIndex(of: .revoked(grant(token)))
            case .recalled(_, _, let token): index = expected.firstIndex(of: .recalled(grant(token)))
            case .diedHolding, .markForgotten, .changed: continue
            }
            guard let index else {
                throw disagreement("\(effect), where only \(expected) was to happen", command)
            }
            expected.remove(at: index)
        }
        guard expected.isEmpty else { throw disagreement("\(expected) did not happen", command) }
    }

    /// G7: tokens rise with every grant.
    private mutating func take(_ token: Token, for id: Int) throws {
        guard token > lastToken else {
            throw Disagreement(description: "G7: \(token) after \(lastToken)")
        }
        lastToken = token
        tokens[id] = token
    }

    /// Holds the whole state of the rules against the model's.
    func compare() throws {
        try table.checkInvariants()
        if let fault = model.fault { throw Disagreement(description: "the model itself: \(fault)") }
        guard table.lockCount == model.locks.count, table.markCount == model.marks.count,
            table.grantCount == model.grants.count, table.waiterCount == model.requests.count
        else { throw Disagreement(description: "there are not as many locks, marks, grants or waiters") }
        for lock in model.locks {
            let holders = Set(model.grants.filter { $0.lock == lock }.map { held($0) })
            let queue = model.queue(of: lock).map { "\($0.party) \($0.mode)" }
            var seen: (holders: Set<String>, queue: [String]) = ([], [])
            var cursor = StatusCursor()
            while !cursor.isAtEnd {
                table.forEachStatusRow(on: name(lock), from: &cursor, budget: 64, at: model.now) { stake in
                    switch stake {
                    case .holder(let session, let mode, let owner, let token, _, let lease, _):
                        seen.holders.insert("\(party(session, owner)) \(mode) \(token) \(describe(lease))")
                    case .waiter(let session, let mode, let owner, _, _, _, _):
                        seen.queue.append("\(party(session, owner)) \(mode)")
                    }
                    return true
                }
            }
            guard seen.holders == holders, seen.queue == queue else {
                throw Disagreement(description: "\(lock) is \(seen) instead of \(holders), \(queue)")
            }
        }
    }

    private func held(_ grant: Model.Grant) -> String {
        let left = grant.leaseEnd.map { model.now.duration(to: $0) }
        return "\(grant.party) \(grant.mode) \(tokens[grant.id] ?? Token(rawValue: 0)) \(describe(left))"
    }

    private func describe(_ left: Duration?) -> String { left.map { "\($0)" } ?? "-" }

    private func party(_ session: SessionID, _ owner: OwnerID) -> Model.Party {
        Model.Party(session: numbers[session] ?? -1, owner: "\(owner)")
    }

    private func disagreement(_ text: String, _ command: TwinCommand) -> Disagreement {
        Disagreement(description: "\(command): \(text)")
    }

    // MARK: - From the rules' words to the model's

    private func answer(_ decision: Decision) -> Model.Answer {
        switch decision {
        case .granted(let granted): .granted(granted.mode, ownerDied: granted.ownerDied)
        case .waiting: .waiting
        case .refused(let refusal): answer(refusal)
        }
    }

    private func answer<Value>(_ result: Result<Value, Refusal>) -> Model.Answer {
        switch result {
        case .success: .done
        case .failure(let refused): answer(refused)
        }
    }

    private func answer(_ refusal: Refusal) -> Model.Answer {
        switch refusal {
        case .busy: .busy
        case .timeout: .timeout
        case .deadlock: .deadlock
        case .cancelled: .cancelled
        case .limit(.grants): .limitGrants
        case .limit(.waiters): .limitWaiters
        case .limit(.locks): .limitLocks
        case .limit(.waits), .noToken: fatalError("neither the search's bound nor the tokens are tried here")
        case .draining: .draining
        case .notHeld: .notHeld
        case .notWaiting: .notWaiting
        case .ambiguous: .ambiguous
        case .wrongMode: .wrongMode
        case .noLease: .noLease
        }
    }

    /// The grants of a session that a choice may mean.
    private func matches(_ number: Int, _ lock: String, _ choice: TwinCommand.Choice) -> [Model.Grant] {
        model.grants.filter { grant in
            guard grant.party.session == number, grant.lock == lock else { return false }
            switch choice {
            case .only: return true
            case .owner(let owner): return grant.party.owner == owner
            case .grant(let id): return grant.id == id
            }
        }
    }

    private func grantChoice(_ choice: TwinCommand.Choice) -> GrantChoice {
        switch choice {
        case .only: .only
        case .owner(let owner): GrantChoice(owner: word(owner))
        case .grant(let id): GrantChoice(token: tokens[id] ?? Token(rawValue: .max))
        }
    }

    private func grant(_ token: Token) -> Int { tokens.first { $0.value == token }?.key ?? -1 }

    private func id(of tag: LockVocabulary.Tag?) -> Int {
        tag.flatMap { Int($0.text.dropFirst()) } ?? -1
    }

    private func tag(_ id: Int) -> LockVocabulary.Tag? { LockVocabulary.Tag("r\(id)") }
}
