public import LockVocabulary

/// What was held is not any more, though its holder did not release it.
///
/// Somebody else may have the lock by now. Whatever was done under it since cannot be relied upon, unless whoever it
/// was done to looks at fencing tokens (see `Grant.token`).
public struct LockLost: Error, Hashable, Sendable {
    /// How it was lost.
    public enum Cause: Hashable, Sendable {
        /// Its lease ended before it was renewed or released.
        case expired
        /// An administrator took it away.
        case revoked
        /// The connection to the daemon ended, and with it everything that was held through it.
        case disconnected
    }

    public let lock: LockName
    /// The token of the grant that was lost.
    public let token: Token
    public let cause: Cause
}

extension LockLost: CustomStringConvertible {
    public var description: String {
        let reason =
            switch cause {
            case .expired: "its lease ended"
            case .revoked: "it was revoked"
            case .disconnected: "the connection to the lock daemon ended"
            }
        return "the lock \(lock) (token \(token)) was lost: \(reason)"
    }
}
