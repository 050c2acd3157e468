import LockCore
import LockModel
import LockVocabulary
import Seeded
import Testing

/// Random histories through the rules and through the model of the guarantees.
@Suite("The rules agree with the model") struct TwinHistoryTests {
    private static let locks = ["one", "two", "three"]
    private static let owners = ["-", "-", "t1", "t2"]
    private static let sessions = 5

    /// One command, of which many are about what is there.
    private static func command(_ model: Model, _ generator: inout SeededGenerator) -> TwinCommand {
        let session = generator.number(0...sessions - 1)
        let lock = generator.pick(locks)
        let own = model.grants.filter { $0.party.session == session }
        let grant = own.isEmpty ? nil : generator.pick(own)
        let meant: TwinCommand.Choice =
            switch generator.number(0...4) {
            case 0: .only
            case 1: .owner(generator.pick(owners))
            default: grant.map { .grant($0.id) } ?? .only
            }
        let held = grant?.lock ?? lock
        let wait = generator.pick([TimeLimit.forever, .upTo(.zero), .upTo(.milliseconds(20))])
        switch generator.number(0...99) {
        case ..<42:
            return .acquire(
                session, generator.pick(owners), lock, generator.pick([.read, .read, .update, .write]),
                wait: wait, lease: generator.happens(25) ? .milliseconds(30) : nil)
        case ..<62: return .release(session, held, meant)
        case ..<64: return .releaseAtEnd(session, held, meant)
        case ..<73: return .upgrade(session, held, meant, wait: wait)
        case ..<77: return .downgrade(session, held, meant, to: generator.pick([.read, .update]))
        case ..<80:
            return .renew(session, held, meant, generator.pick([nil, .forever, .upTo(.milliseconds(50))]))
        case ..<84:
            return .cancel(session, lock, owner: generator.happens(50) ? generator.pick(owners) : nil)
        case ..<85: return model.grants.first.map { .revoke($0.lock, $0.id) } ?? .pass(.zero)
        case ..<86: return .releaseAll(session, generator.pick(owners))
        case ..<87: return .recall(session, generator.happens(50))
        case ..<88: return .drop(session)
        case ..<90: return .end(session)
        default: return .pass(.milliseconds(generator.number(0...15)))
        }
    }

    /// Lives through a history; returns the answers that came, and adds the choices that were open.
    private static func live(
        seed: UInt64, steps: Int, _ limits: Limits, grace: Duration? = nil,
        _ choices: inout Set<Model.Choice>
    ) -> Set<String> {
        var generator = SeededGenerator(seed: seed)
        var twin = Twin(sessions: sessions, limits: limits, grace: grace)
        var answers: Set<String> = []
        defer { choices.formUnion(twin.model.choices) }
        for step in 0..<steps {
            do {
                let answer = try twin.play(command(twin.model, &generator))
                answers.insert(String("\(answer)".prefix { $0 != "(" }))
                try twin.compare()
            } catch {
                Issue.record("PRWLOCK_TEST_SEED=\(seed), step \(step): \(error)")
                return answers
            }
        }
        return answers
    }

    @Test("in all that they answer and do (G1 to G11)", arguments: SeededGenerator.seeds)
    func agreement(seed: UInt64) {
        var choices: Set<Model.Choice> = []
        let answers = Self.live(seed: seed, steps: 2_500, Limits(), &choices)
        for answer in ["granted", "waiting", "busy", "deadlock", "done", "notHeld", "ambiguous", "wrongMode"]
        {
            #expect(answers.contains(answer), "\(answer)")
        }
        #expect(choices.isSuperset(of: [.whichCircle, .whichFirst]))
    }

    @Test("where a lease and the wait for its upgrade end in one instant (G5, G9, G10)")
    func sameInstant() throws {
        var twin = Twin(sessions: 2)
        try twin.play(.acquire(0, "-", "one", .read, wait: .forever, lease: .milliseconds(30)))
        try twin.play(.acquire(1, "-", "one", .read, wait: .forever, lease: nil))
        try twin.play(.pass(.milliseconds(10)))
        try twin.play(.upgrade(0, "one", .only, wait: .upTo(.milliseconds(20))))
        try twin.play(.pass(.milliseconds(20)))
        try twin.compare()
        let choices = twin.model.choices
        #expect(choices == [.sameInstant])
    }

    @Test("at their limits (G12)", arguments: SeededGenerator.seeds)
    func limits(seed: UInt64) {
        var limits = Limits()
        limits.sessionGrants = 5
        limits.sessionWaiters = 2
        limits.grants = 15
        limits.waiters = 4
        limits.locks = 2
        var choices: Set<Model.Choice> = []
        let answers = Self.live(seed: seed, steps: 1_500, limits, &choices)
        #expect(choices.contains(.whichRefusal))
        for answer in ["limitGrants", "limitWaiters", "limitLocks"] {
            #expect(answers.contains(answer), "\(answer)")
        }
    }

    @Test("through a grace (G1)", arguments: SeededGenerator.seeds)
    func grace(seed: UInt64) {
        var choices: Set<Model.Choice> = []
        let answers = Self.live(seed: seed, steps: 300, Limits(), grace: .milliseconds(100), &choices)
        #expect(answers.contains("granted") && choices.contains(.whichFirst))
    }
}
