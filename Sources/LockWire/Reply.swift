public import LockVocabulary

/// The daemon's answer to one request.
public enum Reply: Hashable, Sendable {
    /// Only a grant on a shared name has an `until`, and only one on another name has a slot.
    case granted(LockName, LockMode, Token, ownerDied: Mark?, slot: GrantedSlot? = nil, until: Until? = nil)
    case busy(LockName, LockMode, HeldBy)
    case timeout(LockName, LockMode, waited: Duration, HeldBy)
    case deadlock(LockName, LockMode, Cycle)
    /// `what` is a mode or `revoke`; `reason` a word.
    case denied(LockName, what: String, reason: String)
    case cancelled(LockName, LockMode)
    case released(LockName, Token)
    /// The number of released grants and of cancelled requests of an owner.
    case releasedAll(grants: Int, waiters: Int)
    case renewed(LockName, Token, TimeLimit)
    case valid(LockName, Token)
    case stale(LockName, Token)
    case revoked(LockName, Token)
    /// The limits are nil if the daemon is too old to report them; the number of slots if the session asked for none.
    indirect case hello(
        version: Int, server: String, session: UInt64, limits: SessionLimits?, slots: Int? = nil)
    case pong
    case bye
    /// The request is done and returns nothing.
    case ok
    /// The end of a listing, with the number of its rows.
    case end(rows: Int)
    case error(WireError)

    /// The version of the protocol that `HELLO` states.
    public static let protocolVersion = 1
}

/// The slot of a cached grant, in the memory that the session shares with the daemon.
public struct GrantedSlot: Hashable, Sendable {
    /// Counted from 0.
    public var index: Int
    /// The generation that the slot's word has.
    public var generation: UInt64

    public init(index: Int, generation: UInt64) {
        self.index = index
        self.generation = generation
    }
}

/// The limits of a session, which the reply to `HELLO` reports.
public struct SessionLimits: Hashable, Sendable {
    /// Bytes of a line with its line feed.
    public var line: Int
    /// Grants and waiting requests together.
    public var grants: Int
    /// Waiting requests.
    public var waiters: Int

    public init(line: Int, grants: Int, waiters: Int) {
        self.line = line
        self.grants = grants
        self.waiters = waiters
    }
}
