import LockCore
import LockModel
import LockServer
import Seeded

/// The limits and rules of a daemon, drawn at random: the server is given them, and the referee goes by them.
struct Settings {
    let limits: ServerConfiguration.Limits
    let rules: RuleFile

    /// About a third of the limits are so low that clients reach them; were all low at once, few locks would be granted.
    ///
    /// - Parameter isAttacked: whether a hostile account attacks, so that it must be allowed enough to do so.
    init(isAttacked: Bool, isPatient: Bool, _ generator: inout SeededGenerator) {
        func limit(_ low: ClosedRange<Int>, or high: Int) -> Int {
            generator.happens(35) ? generator.number(low) : high
        }
        var limits = ServerConfiguration.Limits()
        limits.rules.sessions = limit(3...6, or: 9)
        limits.rules.sessionGrants = limit(2...6, or: 12)
        limits.rules.sessionWaiters = limit(1...3, or: 5)
        limits.rules.grants = limit(4...16, or: 40)
        limits.rules.waiters = limit(1...5, or: 40)
        limits.rules.locks = limit(2...3, or: 1_000)
        if isAttacked {
            limits.rules.sessions += Attack.sessions
            limits.rules.sessionGrants = 100
            limits.rules.sessionWaiters = 50
            limits.rules.grants += 100
            limits.rules.waiters += 50
            limits.rules.locks = 1_000
            // The model does not know which reader that loses patience has too far to search.
            if !isPatient, generator.happens(70) { limits.rules.searchSteps = generator.number(8...40) }
        }
        limits.line = Composer.lineLimit
        limits.unread = 1_500
        limits.unreadAtMost = 2_600
        limits.buffers = isAttacked ? 20_000 : 8_000
        self.limits = limits
        let hostile = isAttacked ? (Attack.userID, "x/", Attack.sessions) : nil
        rules = generator.happens(50) ? RuleFile(hostile: hostile) : RuleFile(hostile: hostile, &generator)
    }

    /// How much the server does at once: mostly so little that every kind of work takes several turns.
    static func turns(_ generator: inout SeededGenerator) -> ServerConfiguration.Turns {
        var turns = ServerConfiguration.Turns()
        guard generator.happens(80) else { return turns }
        turns.steps = generator.pick([1, 2, 3, 5, 8, 16, 64])
        turns.batch = turns.steps * generator.number(1...4)
        turns.session = generator.pick([1, 2, 5, 16, 64])
        turns.account = turns.session * generator.number(1...3)
        turns.alone = turns.account * generator.number(1...4)
        turns.rows = generator.pick([1, 2, 4, 16, 128])
        return turns
    }

    /// The limits in the model's words.
    var model: Model.Limits {
        var model = Model.Limits()
        model.sessionGrants = limits.rules.sessionGrants
        model.sessionWaiters = limits.rules.sessionWaiters
        model.grants = limits.rules.grants
        model.waiters = limits.rules.waiters
        model.locks = limits.rules.locks
        return model
    }
}
