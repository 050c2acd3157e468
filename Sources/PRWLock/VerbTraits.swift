import LockVocabulary
import LockWire

/// What a connection's rules go by.
extension Verb {
    /// Whether rows come before the answer.
    var isAnsweredWithRows: Bool {
        switch self {
        case .status, .list, .sessions, .stats, .help: true
        default: false
        }
    }

    /// Whether it changes nothing that its caller holds, so that the caller may go before it is answered.
    var isQuestion: Bool {
        switch self {
        case .ping, .validate, .renew: true
        default: isAnsweredWithRows
        }
    }

    /// Whether it is of no use to a daemon that does not answer in time.
    var mayBeDeferred: Bool {
        switch self {
        case .acquire, .ping, .validate: true
        default: isAnsweredWithRows
        }
    }

    /// The token of the grant that it is about.
    var chosenToken: Token? {
        switch self {
        case .upgrade(_, let choice, _), .downgrade(_, let choice, _), .release(_, let choice),
            .renew(_, let choice, _):
            choice.token
        default: nil
        }
    }

    /// The same about the grant with another token.
    func choosing(_ token: Token) -> Verb? {
        let choice = GrantChoice(token: token)
        return switch self {
        case .upgrade(let name, _, let wait): .upgrade(name, choice, wait: wait)
        case .downgrade(let name, _, let mode): .downgrade(name, choice, to: mode)
        case .release(let name, _): .release(name, choice)
        case .renew(let name, _, let lease): .renew(name, choice, lease: lease)
        default: nil
        }
    }

    /// The same, with another time to wait.
    func waiting(_ wait: TimeLimit) -> Verb {
        switch self {
        case .acquire(var acquire):
            acquire.wait = wait
            return .acquire(acquire)
        case .upgrade(let name, let choice, _): return .upgrade(name, choice, wait: wait)
        default: return self
        }
    }
}
