import LockCore
import LockModel
import LockServer
import Seeded

/// The limits and rules of a daemon, drawn at random: the server is given them, and the referee goes by them.
struct Settings {
    let limits: ServerConfiguration.Limits
    let rules: RuleFile

    /// About a third of the limits are so low that clients reach them; were all low at once, few locks would be granted.
    init(_ generator: inout SeededGenerator) {
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
        limits.line = Composer.lineLimit
        limits.unread = 1_500
        limits.unreadAtMost = 2_600
        limits.buffers = 8_000
        self.limits = limits
        rules = generator.happens(50) ? RuleFile() : RuleFile(&generator)
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
