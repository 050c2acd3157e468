public import LockVocabulary

/// The daemon's answer to one request.
public enum Reply: Hashable, Sendable {
    case granted(LockName, LockMode, Token, ownerDied: Bool)
    case busy(LockName, LockMode, HeldBy)
    case timeout(LockName, LockMode, waited: Duration, HeldBy)
    case deadlock(LockName, LockMode, Cycle)
    /// `what` is a mode or `revoke`; `reason` a word.
    case denied(LockName, what: String, reason: String)
    case cancelled(LockName, LockMode)
    case released(LockName, Token)
    /// How many grants of an owner were released, and how many of its requests cancelled.
    case releasedAll(grants: Int, waiters: Int)
    case renewed(LockName, Token, TimeLimit)
    case valid(LockName, Token)
    case stale(LockName, Token)
    case revoked(LockName, Token)
    /// A daemon that does not know limits tells none.
    indirect case hello(version: Int, server: String, session: UInt64, limits: SessionLimits?)
    case pong
    case bye
    /// The request is done, and there is nothing to say about it.
    case ok
    /// The end of a listing, with the number of its rows.
    case end(rows: Int)
    case error(WireError)

    /// The version of the protocol that `HELLO` states.
    public static let protocolVersion = 1
}

/// How much a session may say and have, as `HELLO` tells.
public struct SessionLimits: Hashable, Sendable {
    /// Bytes in a line, with its line feed.
    public var line: Int
    /// Grants, with what waits to become one.
    public var grants: Int
    /// Waiting requests.
    public var waiters: Int

    public init(line: Int, grants: Int, waiters: Int) {
        self.line = line
        self.grants = grants
        self.waiters = waiters
    }
}
