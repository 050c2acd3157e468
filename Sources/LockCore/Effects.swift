public import LockVocabulary

/// What happened to somebody other than the one who gave the command, or later than it.
public enum Effect: Sendable, Equatable {
    /// A waiting request was granted.
    case granted(SessionID, Tag?, LockName, Granted)
    /// A waiting request was refused.
    case refused(SessionID, Tag?, LockName, LockMode, Refusal)
    /// A lease ended, and the grant with it (G9).
    case expired(SessionID, LockName, Token, LockMode)
    /// A grant was taken away.
    case revoked(SessionID, LockName, Token)
    /// Somebody waits for what a session holds that asked to be told.
    case recalled(SessionID, LockName, Token)
    /// A session ended while it held locks: how many, and one of them with its token, a write grant if there was one.
    case diedHolding(SessionID, LockName, Token, grants: Int)
    /// There were too many marks (G11), and this lock's was the oldest.
    case markForgotten(LockName)
    /// For those who watch; made only while `isObserved`, after the answer to the request that it is about.
    indirect case changed(Change)
}

/// One step in the life of a grant or a waiting request.
public struct Change: Sendable, Equatable {
    public let kind: ChangeKind
    public let name: LockName
    public let session: SessionID
    public let mode: LockMode
    /// Nil for a request.
    public let token: Token?
    public let owner: OwnerID
    /// Of the request that this is about.
    public var tag: Tag?
    /// Of the request that this is about, if it waited.
    public var request: UInt64?
    /// Of the grant that the request wants to change.
    public var upgrades: Token?
}
