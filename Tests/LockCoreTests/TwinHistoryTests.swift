import LockCore
import LockModel
import LockVocabulary
import Seeded
import Testing

/// Random histories of the rules and the model.
@Suite("The rules agree with the model") struct TwinHistoryTests {
    /// A kind of histories.
    private struct Habits {
        var mix = CommandMix(locks: ["one", "two", "three"], owners: ["-", "-", "t1", "t2"])
        var sessions = 5
        var users: UInt32 = 1
        var limits = Limits()
        var grace: Duration?
        /// Whether sessions have last lines. They make few long circles.
        var hasEndings = true
        /// The steps of work in one turn of the rules; nil if each command completes all work.
        var stepsInTurn: Int?
        var patience: Duration?
        /// Whether a session makes no request while it has one that waits.
        var waitsOnce = false
        /// Whether grants are cached, and clients use them between the commands.
        var caches = false
    }

    /// What came of a history: the answers, and the choices that were open.
    private struct Summary {
        var answers: Set<String> = []
        var choices: Set<Model.Choice> = []
        var longestCircle = 0
        var circlesByTime = 0
        var slotSteps = (cached: 0, enters: 0, leaves: 0, refusedEnters: 0, refusedLeaves: 0)
    }

    /// Draws a step; most commands are about grants that exist.
    private static func step(
        _ twin: borrowing Twin, _ habits: Habits, _ generator: inout SeededGenerator
    ) -> TwinStep {
        if habits.caches, let step = slotStep(twin, &generator) { return step }
        let session = generator.number(0...habits.sessions - 1)
        if twin.model.isEnding(session), generator.happens(80) { return .end(session) }
        switch generator.number(0...99) {
        case ..<1: return habits.hasEndings ? .drop(session) : .pass(.zero)
        case ..<3: return .end(session)
        case ..<13: return .pass(.milliseconds(generator.number(0...15)))
        default:
            let grants = twin.model.grants
            var all = grants.map { (lock: $0.lock, token: twin.token(of: $0)) }
            var held = zip(grants, all).filter { $0.0.party.session == session }.map(\.1)
            // Commands about what is cached are rare.
            if habits.caches, generator.happens(20) {
                all += twin.idleSlots.map { ($0.lock, $0.token) }
                held += twin.idleSlots.filter { $0.session == session }.map { ($0.lock, $0.token) }
            }
            let tags = twin.model.requests.filter { $0.party.session == session }.map(\.tag)
            let command = habits.mix.command(held: held, others: all, tags: tags, &generator)
            if habits.waitsOnce, !tags.isEmpty {
                switch command {
                case .acquire, .upgrade: return .pass(.zero)
                default: break
                }
            }
            return .command(session, command)
        }
    }

    /// A step of a client on its slots, or the begin of one.
    private static func slotStep(
        _ twin: borrowing Twin, _ generator: inout SeededGenerator
    ) -> TwinStep? {
        if twin.canCache, generator.happens(90) { return .cache }
        let slots = twin.knownSlots
        guard !slots.isEmpty, generator.happens(65) else { return nil }
        let slot = generator.pick(slots)
        if twin.holds(slot) == 0 { return .enter(slot.token) }
        return generator.happens(25) ? .enter(slot.token) : .leave(slot.token)
    }

    /// Runs a history and ends all its sessions.
    private static func live(seed: UInt64, steps: Int, _ habits: Habits = Habits()) -> Summary {
        var generator = SeededGenerator(seed: seed)
        var twin = Twin(
            sessions: habits.sessions, users: habits.users, limits: habits.limits, grace: habits.grace,
            patience: habits.patience, isObserved: !habits.caches && !seed.isMultiple(of: 3),
            stepsInTurn: habits.stepsInTurn, waitsOnce: habits.waitsOnce, hasSlots: habits.caches)
        var summary = Summary()
        for number in 0..<steps + habits.sessions {
            do {
                let step = number < steps ? step(twin, habits, &generator) : .end(number - steps)
                let answer = try twin.play(step)
                summary.answers.insert(String("\(answer)".prefix { $0 != "(" }))
                if habits.stepsInTurn != nil {
                    guard number.isMultiple(of: 7) || number >= steps else { continue }
                    try twin.rest()
                }
                try twin.compare()
            } catch {
                Issue.record("PRWLOCK_TEST_SEED=\(seed), step \(number): \(error)")
                return summary
            }
        }
        let isAtRest = twin.isAtRest
        #expect(isAtRest)
        summary.choices = twin.model.choices
        summary.longestCircle = twin.longestCircle
        summary.circlesByTime = twin.circlesByTime
        summary.slotSteps = twin.counts
        return summary
    }

    @Test("in all that they answer and do (G1 to G11)", arguments: SeededGenerator.seeds)
    func agreement(seed: UInt64) {
        let summary = Self.live(seed: seed, steps: 2_500)
        for answer in ["granted", "waiting", "busy", "deadlock", "done", "notHeld", "ambiguous", "wrongMode"]
        {
            #expect(summary.answers.contains(answer), "\(answer)")
        }
        #expect(summary.choices.isSuperset(of: [.whichCircle, .whichFirst]))
    }

    @Test("where work is done in turns, and commands come between them", arguments: SeededGenerator.seeds)
    func turns(seed: UInt64) {
        var habits = Habits()
        for steps in 1...4 {
            habits.stepsInTurn = steps
            habits.grace = steps == 2 ? .milliseconds(100) : nil
            habits.patience = steps == 3 ? .milliseconds(7) : nil
            _ = Self.live(seed: seed, steps: 1_000, habits)
        }
    }

    @Test("where many wait and few let go (G8)", arguments: SeededGenerator.seeds)
    func crowded(seed: UInt64) {
        var habits = Habits()
        habits.mix = CommandMix(
            locks: ["one", "two", "three", "four", "five"], owners: ["-", "t1", "t2", "t3"], asks: 80)
        habits.sessions = 8
        habits.hasEndings = false
        // The model is slow with many requests.
        habits.limits.sessionWaiters = 2
        habits.limits.sessionGrants = 8
        // A history without a long circle is rare, and says nothing about the search.
        let longest = (0..<5).lazy.map { Self.live(seed: seed &+ $0, steps: 600, habits).longestCircle }
        #expect(longest.contains { $0 > 2 })
    }

    @Test(
        "where readers lose patience (G2, G8)", arguments: SeededGenerator.seeds, [0, 1, 10, 40])
    func patience(seed: UInt64, milliseconds: Int) {
        var habits = Habits()
        habits.patience = .milliseconds(milliseconds)
        habits.mix = CommandMix(locks: ["one", "two", "three"], owners: ["-", "-", "t1", "t2"], asks: 70)
        habits.sessions = 6
        habits.limits.sessionWaiters = 4
        habits.limits.sessionGrants = 10
        for steps in [nil, 1, 7] {
            habits.stepsInTurn = steps
            let summary = Self.live(seed: seed, steps: 400, habits)
            #expect(summary.answers.contains("deadlock"))
        }
    }

    @Test(
        "where readers lose patience in turns, and commands come between them (G2)",
        arguments: SeededGenerator.seeds)
    func patienceInTurns(seed: UInt64) {
        var habits = Habits()
        habits.mix = CommandMix(locks: ["one", "two"], owners: ["-", "t1"], asks: 70)
        habits.sessions = 10
        // No circle closes by time, so lateness changes nothing.
        habits.waitsOnce = true
        for steps in 1...4 {
            habits.stepsInTurn = steps
            habits.users = steps.isMultiple(of: 2) ? 3 : 1
            habits.patience = .milliseconds(steps == 1 ? 0 : 4 * steps)
            #expect(Self.live(seed: seed, steps: 500, habits).answers.contains("deadlock"))
        }
    }

    @Test("on one lock (G2, G3, G10)", arguments: SeededGenerator.seeds)
    func oneLock(seed: UInt64) {
        var habits = Habits()
        habits.mix = CommandMix(locks: ["one"], owners: ["-"])
        #expect(Self.live(seed: seed, steps: 500, habits).answers.contains("granted"))
    }

    @Test("where a lease and the wait for its upgrade end in one instant (G5, G9, G10)")
    func sameInstant() throws {
        var twin = Twin(sessions: 2)
        try twin.play(.command(0, .acquire("one", .read, lease: .milliseconds(30))))
        try twin.play(.command(1, .acquire("one", .read)))
        try twin.play(.pass(.milliseconds(10)))
        try twin.play(.command(0, .upgrade("one", wait: .upTo(.milliseconds(20)))))
        try twin.play(.pass(.milliseconds(20)))
        try twin.compare()
        let choices = twin.model.choices
        #expect(choices == [.sameInstant])
    }

    @Test(
        "where grants are cached, and clients use them between any two commands",
        arguments: SeededGenerator.seeds)
    func caching(seed: UInt64) {
        var habits = Habits()
        habits.caches = true
        habits.mix = CommandMix(
            locks: ["one", "two", "three", "four", "five"], owners: ["-", "t1"], asks: 40)
        habits.sessions = 4
        habits.limits.sessionWaiters = 1
        habits.patience = seed.isMultiple(of: 2) ? .milliseconds(7) : nil
        var steps = 0
        for (turn, grants) in [(nil, 10_000), (1, 10_000), (3, 10_000), (nil, 8)] {
            habits.stepsInTurn = turn
            habits.limits.sessionGrants = grants
            habits.limits.grants = 2 * grants
            habits.users = grants == 8 ? 2 : 1
            let counts = Self.live(seed: seed, steps: 600, habits).slotSteps
            steps += counts.enters + counts.leaves + counts.refusedEnters + counts.refusedLeaves
        }
        #expect(steps > 50, "a history without steps on slots proves nothing about them")
    }

    @Test("at their limits (G12)", arguments: SeededGenerator.seeds)
    func limits(seed: UInt64) {
        var habits = Habits()
        habits.limits.sessionGrants = 4
        habits.limits.sessionWaiters = 2
        habits.limits.grants = 9
        habits.limits.waiters = 4
        habits.limits.locks = 2
        let summary = Self.live(seed: seed, steps: 1_500, habits)
        #expect(summary.choices.contains(.whichRefusal))
        for answer in ["limitGrants", "limitWaiters", "limitLocks"] {
            #expect(summary.answers.contains(answer), "\(answer)")
        }
    }

    @Test("where users share the limits (G12)", arguments: SeededGenerator.seeds)
    func shares(seed: UInt64) {
        var habits = Habits()
        habits.sessions = 8
        habits.users = 4
        habits.limits.grants = 24
        habits.limits.waiters = 11
        let summary = Self.live(seed: seed, steps: 700, habits)
        for answer in ["limitGrants", "limitWaiters"] {
            #expect(summary.answers.contains(answer), "\(answer)")
        }
    }

    @Test("through a grace (G1)", arguments: SeededGenerator.seeds)
    func grace(seed: UInt64) {
        var habits = Habits()
        habits.grace = .milliseconds(100)
        // In fewer steps, so little time may pass that the grace does not end.
        let summary = Self.live(seed: seed, steps: 1_000, habits)
        #expect(
            summary.answers.contains("granted") && summary.choices.contains(.whichFirst), "seed \(seed)")
    }
}
