public import LockVocabulary
public import Seeded

/// Draws commands at random, from so few locks and owners that they meet all the time.
public struct CommandMix: Sendable {
    public var locks: [String]
    public var owners: [String]

    /// How many of a hundred commands ask for a lock.
    public var asks: Int

    public init(locks: [String], owners: [String] = ["-", "-", "-", "t1", "t2"], asks: Int = 48) {
        self.locks = locks
        self.owners = owners
        self.asks = asks
    }

    /// - Parameters:
    ///   - held: grants of the session; most commands on grants choose one of them.
    ///   - others: grants of any session, to validate or revoke.
    ///   - tags: tags of requests of the session that may still wait.
    public func command(
        held: [(lock: String, token: Token)], others: [(lock: String, token: Token)], tags: [String],
        _ generator: inout SeededGenerator
    ) -> Command {
        let lock = generator.pick(locks)
        let owner = generator.pick(owners)
        let own = held.isEmpty ? nil : generator.pick(held)
        let other = others.isEmpty ? (lock, Token(rawValue: .max)) : generator.pick(others)
        let grant = own?.lock ?? lock
        let choice =
            switch generator.number(0...4) {
            case 0: GrantChoice.only
            case 1: GrantChoice(owner: OwnerID(owner))
            default: GrantChoice(token: own?.token)
            }
        let wait = generator.pick([
            TimeLimit.forever, .forever, .upTo(.zero), .upTo(.milliseconds(20)), .upTo(.seconds(5)),
        ])
        // A session without a grant mostly asks for one: other commands would only be refused.
        let asks = own == nil ? max(asks, 80) : asks
        switch generator.happens(asks) ? 0 : generator.number(48...99) {
        case ..<48:
            let mode = generator.pick([LockMode.read, .read, .update, .write])
            return .acquire(
                lock, mode, owner: owner, wait: wait, lease: generator.happens(20) ? .milliseconds(30) : nil)
        case ..<70: return .release(grant, choice)
        case ..<72: return .releaseAtEnd(grant, choice)
        case ..<73: return .releaseAll(owner: owner)
        case ..<82: return .upgrade(grant, choice, wait: wait)
        case ..<86: return .downgrade(grant, choice, to: generator.pick([.read, .update]))
        case ..<90: return .renew(grant, choice, generator.pick([nil, .forever, .upTo(.milliseconds(50))]))
        case ..<93: return .cancel(lock, owner: generator.happens(50) ? owner : nil)
        case ..<95: return .cancelTagged(tags.isEmpty ? "r0" : generator.pick(tags))
        case ..<97: return .validate(other.0, other.1)
        case ..<99: return .revoke(other.0, other.1)
        default: return .setRecall(generator.happens(70))
        }
    }
}
