public import LockVocabulary

/// The error that a lock was lost: it is not held any more, and its holder did not release it.
///
/// Another process may hold the lock by now. Do not rely on what was done under the lock since the loss, unless the system
/// that it was done to checks fencing tokens (``Grant/token``).
public struct LockLost: Error, Hashable, Sendable {
    /// How a lock was lost.
    public enum Cause: Hashable, Sendable {
        /// The lease ended before it was renewed or the lock was released.
        case expired
        /// An administrator revoked the grant. Or the lock is shared with other hosts, and this host lost it.
        case revoked
        /// The lock is shared with other hosts, and the daemon did not say in time that this host still has it. The daemon or
        /// the machine may have been stopped.
        case unconfirmed
        /// The connection to the daemon ended, and with it every grant that was acquired over it.
        case disconnected
        /// The program closed the client over which the grant was acquired.
        case closed
    }

    /// The name of the lock.
    public let lock: LockName
    /// The token of the grant that was lost.
    public let token: Token
    /// How the lock was lost.
    public let cause: Cause
}

extension LockLost: CustomStringConvertible {
    /// The error in a sentence.
    public var description: String {
        let reason =
            switch cause {
            case .expired: "its lease ended"
            case .revoked: "it was revoked"
            case .unconfirmed: "the lock daemon did not confirm in time that this host still has it"
            case .disconnected: "the connection to the lock daemon ended"
            case .closed: "its client was closed"
            }
        return "the lock \(lock) (token \(token)) was lost: \(reason)"
    }
}
