public import LockVocabulary

/// The reason why a request was not granted, or a command was not carried out. A refused command changes nothing.
public enum Refusal: Error, Equatable {
    /// The lock cannot be granted now, and the request was not to wait.
    case busy(Blockers)
    /// The request was not granted before its deadline (G5).
    case timeout(waited: Duration, Blockers)
    /// Waiting would close a circle of owners (G8).
    case deadlock(Circle)
    /// The request was cancelled, or the grant to upgrade has ended (G10).
    case cancelled
    /// A limit would be exceeded (G12).
    case limit(ExceededLimit)
    /// No reserved token is left (G7).
    case noToken
    /// The hosts of the fleet cannot agree now, because their store does not answer.
    case unavailable
    /// The daemon is about to exit.
    case draining
    /// The session has no such grant.
    case notHeld
    /// The session has no such request.
    case notWaiting
    /// The session has several grants or requests on the lock, and the command selects none.
    case ambiguous
    /// The mode of the grant, or a waiting upgrade of it, does not allow the change.
    case wrongMode
    /// The grant has no lease, and the command gives no length.
    case noLease
}

/// The holders that block a request: the first few, and the number of the rest.
public struct Blockers: Sendable, Equatable {
    /// A holder that blocks a request.
    public struct Blocker: Sendable, Equatable {
        public let session: SessionID
        public let mode: LockMode
    }

    /// The greatest number of blockers that are listed.
    public static let most = 3

    /// The first `most` in the order of their grants.
    public let first: [Blocker]
    /// The number of blockers that are not listed.
    public let more: Int
    /// Whether claims of other hosts block the request as well, or may do so: only they know.
    public var hasHosts = false

    /// No holder is known: during the grace nothing is granted (G1).
    public static let unknown = Blockers(first: [], more: 0)
}

/// A circle of owners. Each waits for a lock that the next one holds, or is ahead for.
public struct Circle: Sendable, Equatable {
    /// An owner, and the lock for which it waits.
    public struct Hop: Sendable, Equatable {
        /// The session of the owner. That of the fleet stands for the other hosts that wait for the lock, or have claims on it.
        public let session: SessionID
        public let owner: OwnerID
        public let lock: LockName

        public init(session: SessionID, owner: OwnerID, lock: LockName) {
            self.session = session
            self.owner = owner
            self.lock = lock
        }
    }

    /// From the owner of the refused request to the owner that waits for it.
    public let hops: [Hop]

    public init(hops: [Hop]) { self.hops = hops }
}
