public import LockVocabulary

/// Why a request was not granted, or a command not carried out. Nothing was changed by it.
public enum Refusal: Error, Equatable {
    /// It may not be had now, and was not to wait.
    case busy(Blockers)
    /// It was not to be had in time (G5).
    case timeout(waited: Duration, Blockers)
    /// Waiting for it would close a circle of owners (G8).
    case deadlock(Circle)
    /// It was withdrawn, or the grant that it was to change has ended (G10).
    case cancelled
    /// There would be too many.
    case limit(ExceededLimit)
    /// No token may be given out before more are reserved (G7).
    case noToken
    /// The daemon is about to leave.
    case draining
    /// The session has no such grant.
    case notHeld
    /// The session has no such request.
    case notWaiting
    /// The session has several, and nothing chooses one.
    case ambiguous
    /// The grant's mode, or an upgrade that waits on it, does not allow this.
    case wrongMode
    /// No length of lease was given, now or before.
    case noLease
}

/// Who stood in the way: a few by name, the rest by number.
public struct Blockers: Sendable, Equatable {
    /// One that stood in the way.
    public struct Blocker: Sendable, Equatable {
        public let session: SessionID
        public let mode: LockMode
    }

    /// How many are named.
    public static let most = 3

    /// The first `most` in the order of their grants.
    public let first: [Blocker]
    /// How many more there are.
    public let more: Int

    /// Nobody is known: the daemon grants nothing yet (G1).
    public static let unknown = Blockers(first: [], more: 0)
}

/// A circle of owners, each of whom waits for a lock that the next stands before.
public struct Circle: Sendable, Equatable {
    /// An owner, and the lock that it waits for.
    public struct Hop: Sendable, Equatable {
        public let session: SessionID
        public let owner: OwnerID
        public let lock: LockName
    }

    /// From the owner that asked, round to the one that waits for it.
    public let hops: [Hop]
}
