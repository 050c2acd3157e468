import LockCore
import Seeded
import Testing

@Suite("Random histories") struct RandomHistoryTests {
    /// Lives through a history; what goes wrong is told with the seed that leads to it.
    private static func live(_ history: History, steps: Int, seed: UInt64) {
        for step in 0..<steps {
            do {
                try history.step()
            } catch {
                Issue.record("PRWLOCK_TEST_SEED=\(seed), step \(step): \(error)")
                return
            }
        }
    }

    @Test("all guarantees hold after every step (G1 to G11)", arguments: SeededGenerator.seeds)
    func guaranteesHold(seed: UInt64) {
        let history = History(seed: seed)
        Self.live(history, steps: 2_500, seed: seed)
        for answer in ["granted", "waiting", "busy", "released", "downgraded", "renewed", "deadlock of 2"] {
            #expect(history.answers[answer, default: 0] > 0, "\(answer)")
        }
    }

    @Test("they hold where everybody waits and hardly anybody lets go (G8)", arguments: SeededGenerator.seeds)
    func crowded(seed: UInt64) {
        var habits = History.Habits()
        habits.asks = 62
        habits.owners = ["-", "t1", "t2", "t3"]
        habits.locks = ["one", "two", "three", "four", "five"]
        habits.sessions = 8
        let history = History(seed: seed, habits)
        Self.live(history, steps: 1_500, seed: seed)
        #expect(history.answers["deadlock of 4", default: 0] > 0, "\(history.answers)")
    }

    @Test("they hold on one lock (G2, G3, G10)", arguments: SeededGenerator.seeds)
    func oneLock(seed: UInt64) {
        var habits = History.Habits()
        habits.locks = ["one"]
        habits.owners = ["-"]
        let history = History(seed: seed, habits)
        Self.live(history, steps: 1_500, seed: seed)
    }

    @Test("they hold through a grace (G1)", arguments: SeededGenerator.seeds)
    func grace(seed: UInt64) {
        var habits = History.Habits()
        habits.grace = .milliseconds(100)
        let history = History(seed: seed, habits)
        Self.live(history, steps: 300, seed: seed)
    }

    @Test("nothing is left when all sessions have ended (G6)", arguments: SeededGenerator.seeds)
    func nothingIsLeft(seed: UInt64) throws {
        let history = History(seed: seed)
        Self.live(history, steps: 300, seed: seed)
        try history.endAll()
        #expect(history.table.grantCount == 0 && history.table.waiterCount == 0)
        #expect(history.table.lockCount == history.table.markCount)
        #expect(history.table.nextDeadline == nil)
    }
}
