import LockCore
import LockVocabulary
import Seeded

/// Random commands from a few sessions on a few locks, so that they meet all the time; a ledger watches.
///
/// Every command is held against what the guarantees say of it: what a request must be answered, which grant is meant,
/// and afterwards that no circle is there and nobody waits for nothing.
final class History {
    /// What is asked for how often, of a hundred commands.
    struct Habits: Sendable {
        var asks = 42
        var owners = ["-", "-", "t1", "t2"]
        var locks = ["one", "two", "three"]
        var sessions = 6
        var grace: Duration?
    }

    private(set) var table: LockTable
    private(set) var ledger = Ledger()
    private var generator: SeededGenerator
    private var now = Instant.zero
    private var sessions: [SessionID] = []
    private let habits: Habits
    private let locks: [LockName]
    private var asked = 0
    /// How often each answer came: a history in which nothing happens proves nothing.
    private(set) var answers: [String: Int] = [:]

    init(seed: UInt64, _ habits: Habits = Habits()) {
        self.habits = habits
        generator = SeededGenerator(seed: seed)
        locks = habits.locks.map(name)
        var limits = Limits()
        limits.sessionGrants = 12
        limits.sessionWaiters = 6
        limits.marks = 2
        table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: .max - 1),
            graceEnd: habits.grace.map { Instant.zero.advanced(by: $0) })
        // So that the ledger is told which of a session's grants died first.
        table.isObserved = true
        for _ in 0..<habits.sessions { openSession() }
    }

    private func openSession() {
        guard let session = table.openSession() else { fatalError("no session is left") }
        sessions.append(session)
    }

    // MARK: - Steps

    /// One command, and all that it leads to.
    func step() throws {
        if generator.happens(10) {
            now = now.advanced(by: .milliseconds(generator.number(0...15)))
        }
        table.advance(to: now)
        try see()
        try ledger.checkTime(now)

        let session = generator.pick(sessions)
        let lock = generator.pick(locks)
        switch generator.number(0...99) {
        case ..<habits.asks: try acquire(session, lock)
        case ..<70: try release(session, lock)
        case ..<79: try upgrade(session, lock)
        case ..<83: try downgrade(session, lock)
        case ..<87: try renew(session, lock)
        case ..<92: try cancel(session, lock)
        case ..<94: revoke()
        case ..<97: try end(session)
        default: table.setRecall(generator.happens(50), of: session)
        }
        try see()
        try checkWhole()
    }

    /// All sessions end.
    func endAll() throws {
        for session in sessions {
            try end(session)
            try see()
        }
        try checkWhole()
    }

    private func see() throws {
        let effects = table.effects
        table.effects.removeAll(keepingCapacity: true)
        for effect in effects { try ledger.see(effect, at: now) }
    }

    private func checkWhole() throws {
        try table.checkInvariants()
        for lock in locks { try ledger.check(stakes(lock), of: lock) }
        let graph = WaitGraph(ledger, locks: locks)
        if graph.hasCircle { throw complaint("G8: a circle is there") }
        let isGraceOver = now >= Instant.zero.advanced(by: habits.grace ?? .zero)
        if isGraceOver, let one = graph.idle.first {
            throw complaint("a lost wake-up: \(one) waits for nothing")
        }
    }

    private func stakes(_ lock: LockName) -> [StatusRow] {
        var all: [StatusRow] = []
        var cursor = StatusCursor()
        while !cursor.isAtEnd {
            table.forEachStatusRow(on: lock, from: &cursor, budget: 64, at: now) {
                all.append($0)
                return true
            }
        }
        return all
    }

    // MARK: - Requests

    private func acquire(_ session: SessionID, _ lock: LockName) throws {
        let owner = word(generator.pick(habits.owners))
        let wait = generator.pick([TimeLimit.forever, .upTo(.zero), .upTo(.milliseconds(20))])
        let lease = generator.happens(25) ? Duration.milliseconds(30) : nil
        let mode = generator.pick([LockMode.read, .read, .update, .write])
        let tag = nextTag()
        let request = Ledger.Request(
            party: Ledger.Party(session: session, owner: owner), lock: lock, mode: mode, lease: lease,
            deadline: wait == .upTo(.zero) ? nil : wait.deadline(from: now), number: asked)
        let decision = table.acquire(
            Acquisition(
                lock, mode, owner: owner, wait: wait, lease: lease.map(TimeLimit.upTo) ?? .forever, tag: tag),
            by: session, at: now)
        try take(decision, request, tag)
    }

    private func upgrade(_ session: SessionID, _ lock: LockName) throws {
        let choice = choose(session, lock)
        let matches = ledger.holders(of: lock).filter { fits($0, session, choice) }
        let wait = generator.pick([TimeLimit.forever, .forever, .upTo(.zero), .upTo(.milliseconds(20))])
        let tag = nextTag()
        let decision = table.upgrade(lock, choice, wait: wait, tag: tag, by: session, at: now)
        guard let only = matches.first, matches.count == 1 else {
            return try expect(decision == .refused(matches.isEmpty ? .notHeld : .ambiguous), "\(decision)")
        }
        if only.hold.mode == .write || ledger.requests.values.contains(where: { $0.upgrades == only.token }) {
            return try expect(decision == .refused(.wrongMode), "\(decision) instead of wrongMode")
        }
        let request = Ledger.Request(
            party: only.hold.party, lock: lock, mode: .write, upgrades: only.token,
            deadline: wait == .upTo(.zero) ? nil : wait.deadline(from: now), number: asked)
        try take(decision, request, tag)
    }

    /// Holds a decision against what the guarantees say, and enters it.
    private func take(_ decision: Decision, _ request: Ledger.Request, _ tag: Tag) throws {
        let graph = WaitGraph(ledger, with: request, locks: locks)
        let closes = graph.hasCircle(through: request.party)
        switch decision {
        case .granted(let granted):
            count("granted")
            try checkAtOnce(request)
            try ledger.grant(request, granted, at: now)
        case .waiting:
            count("waiting")
            try expect(!closes, "G8: \(request) waits and closes a circle")
            ledger.wait(request, tag)
        case .refused(.deadlock(let circle)):
            count("deadlock of \(min(circle.hops.count, 4))")
            try expect(closes, "G8: \(request) was refused, and there is no circle \(circle)")
            try expect(graph.contains(circle), "G8: there is no such circle: \(circle)")
            let asking = circle.hops.first.map { Ledger.Party(session: $0.session, owner: $0.owner) }
            try expect(asking == request.party, "G8: the circle is not told from the one who asked")
        case .refused(.busy(let holders)):
            count("busy")
            try expect(
                holders == .unknown || !graph.idle.contains(request), "\(request) might have been granted")
            let own = ledger.holders(of: request.lock).contains {
                $0.hold.party == request.party && $0.token != request.upgrades
                    && $0.hold.mode.conflicts(with: request.mode)
            }
            try expect(!own, "G4: \(request) is a circle of one")
        case .refused(.limit(let limit)):
            count("limit \(limit)")
            try expect(limit == .grants || limit == .waiters, "\(limit)")
        case .refused(let refusal): throw complaint("\(request) was refused: \(refusal)")
        }
    }

    /// Whether a request might be granted without waiting, by G1 to G4.
    private func checkAtOnce(_ request: Ledger.Request) throws {
        let isHolder = ledger.holders(of: request.lock).contains { $0.hold.party == request.party }
        // A holder goes past those who wait; everybody else is behind those whom he conflicts with, and a reader
        // behind all who want to write.
        if isHolder { return }
        for other in ledger.queue(of: request.lock) {
            try expect(!other.mode.conflicts(with: request.mode), "G2, G3: \(request) went past \(other)")
        }
    }

    // MARK: - Grants

    private func release(_ session: SessionID, _ lock: LockName) throws {
        let choice = choose(session, lock)
        let matches = ledger.holders(of: lock).filter { fits($0, session, choice) }
        switch table.release(lock, choice, by: session, at: now) {
        case .success(let token):
            count("released")
            try expect(matches.map(\.token) == [token], "released \(token) of \(matches)")
            try ledger.end(token, cleanly: true)
        case .failure(let refused): try expect(refused, matches.count)
        }
    }

    private func downgrade(_ session: SessionID, _ lock: LockName) throws {
        let choice = choose(session, lock)
        let mode = generator.pick([LockMode.read, .update])
        let matches = ledger.holders(of: lock).filter { fits($0, session, choice) }
        switch table.downgrade(lock, choice, to: mode, by: session, at: now) {
        case .granted(let granted):
            count("downgraded")
            try expect(matches.map(\.token) == [granted.token], "downgraded \(granted) of \(matches)")
            ledger.downgrade(granted.token, to: mode)
        case .refused(.wrongMode):
            guard let only = matches.first, matches.count == 1 else {
                throw complaint("wrongMode of \(matches)")
            }
            let upgrades = ledger.requests.values.contains { $0.upgrades == only.token }
            try expect(only.hold.mode <= mode || upgrades, "wrongMode of \(only)")
        case .refused(let refusal): try expect(refusal, matches.count)
        case .waiting: throw complaint("a downgrade waits")
        }
    }

    private func renew(_ session: SessionID, _ lock: LockName) throws {
        let choice = choose(session, lock)
        let lease = generator.pick([nil, TimeLimit.forever, .upTo(.milliseconds(50))])
        let matches = ledger.holders(of: lock).filter { fits($0, session, choice) }
        switch table.renew(lock, choice, lease: lease, by: session, at: now) {
        case .success(let renewed):
            count("renewed")
            try expect(matches.map(\.token) == [renewed.token], "renewed \(renewed) of \(matches)")
            ledger.renew(renewed.token, renewed.lease, at: now)
        case .failure(let refused) where refused == .noLease:
            try expect(lease == nil && matches.first?.hold.lease == nil, "noLease of \(matches)")
        case .failure(let refused): try expect(refused, matches.count)
        }
    }

    private func cancel(_ session: SessionID, _ lock: LockName) throws {
        let owner = generator.happens(50) ? word(generator.pick(habits.owners)) : nil
        let matches = ledger.queue(of: lock).filter {
            $0.party.session == session && (owner == nil || $0.party.owner == owner)
        }
        switch table.cancel(lock, owner: owner, by: session, at: now) {
        case .success(let mode): try expect(matches.map(\.mode) == [mode], "cancelled one of \(matches)")
        case .failure(let refused):
            let expected: Refusal = matches.isEmpty ? .notWaiting : .ambiguous
            try expect(refused == expected, "\(refused) instead of \(expected)")
        }
    }

    private func revoke() {
        guard let (token, hold) = ledger.holds.min(by: { $0.key < $1.key }) else { return }
        _ = table.revoke(hold.lock, token, at: now)
    }

    private func end(_ session: SessionID) throws {
        table.closeSession(session, at: now)
        table.forgetSession(session)
        ledger.end(session)
        sessions.removeAll { $0 == session }
        openSession()
    }

    // MARK: - Choosing

    private func choose(_ session: SessionID, _ lock: LockName) -> GrantChoice {
        switch generator.number(0...3) {
        case 0: return .only
        case 1: return GrantChoice(owner: word(generator.pick(habits.owners)))
        default:
            let own = ledger.holders(of: lock).filter { $0.hold.party.session == session }
            return GrantChoice(token: own.isEmpty ? nil : generator.pick(own.map(\.token)))
        }
    }

    private func fits(
        _ holder: (token: Token, hold: Ledger.Hold), _ session: SessionID, _ choice: GrantChoice
    ) -> Bool {
        holder.hold.party.session == session
            && (choice.token == nil || choice.token == holder.token)
            && (choice.owner == nil || choice.owner == holder.hold.party.owner)
    }

    private func nextTag() -> Tag {
        asked += 1
        guard let tag = Tag("r\(asked)") else { fatalError("not a tag") }
        return tag
    }

    // MARK: - Complaining

    private func count(_ answer: String) { answers[answer, default: 0] += 1 }

    /// Whether a refusal is the one for so many grants that might be meant.
    private func expect(_ refusal: Refusal, _ matches: Int) throws {
        let expected: Refusal = matches == 0 ? .notHeld : .ambiguous
        try expect(matches != 1 && refusal == expected, "\(refusal) where \(matches) match")
    }

    private func expect(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw complaint(text()) }
    }

    private func complaint(_ text: String) -> Ledger.Complaint { Ledger.Complaint(description: text) }
}
