public import LockVocabulary

extension Model {
    /// What a command may be answered.
    public enum Answer: Hashable, Sendable {
        case granted(LockMode, ownerDied: Bool)
        case waiting
        case busy, timeout, deadlock, cancelled
        case done
        case notHeld, notWaiting, ambiguous, wrongMode, noLease
        case draining, limitGrants, limitWaiters, limitLocks
    }

    /// What happens to a request that waits or to a grant, without a command of its own.
    public enum Event: Hashable, Sendable {
        case granted(Int, LockMode, ownerDied: Bool)
        case refused(Int, Set<Answer>)
        case expired(Int)
        case revoked(Int)
        case recalled(Int)
    }

    /// Where more than one thing is right.
    public enum Choice: CaseIterable, Sendable {
        /// Several reasons to refuse: any of them may be told.
        case whichRefusal
        /// Several circles: any of them may be named (`isCircle`).
        case whichCircle
        /// What one instant or one command brings about may be told, and tokens given, in any order.
        case whichFirst
        /// A request and the grant that it would change end in the same instant: timed out, or cancelled.
        case sameInstant
    }

    public struct Limits: Sendable {
        public var sessionGrants = Int.max
        public var sessionWaiters = Int.max
        public var grants = Int.max
        public var waiters = Int.max
        public var locks = Int.max

        public init() {}
    }
}
