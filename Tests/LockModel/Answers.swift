public import LockVocabulary

extension Model {
    /// An answer to a command.
    public enum Answer: Hashable, Sendable {
        case granted(LockMode, ownerDied: Bool)
        case waiting
        case busy, timeout, deadlock, cancelled
        case done, valid, stale
        case releasedAll(grants: Int, waiters: Int)
        case notHeld, notWaiting, ambiguous, wrongMode, noLease
        case draining, limitGrants, limitWaiters, limitLocks
    }

    /// What happens to a waiting request or a grant without a command of its owner.
    public enum Event: Hashable, Sendable {
        case granted(Int, LockMode, ownerDied: Bool)
        case refused(Int, Set<Answer>)
        case expired(Int)
        case revoked(Int)
        case recalled(Int)
    }

    /// A choice that the guarantees leave open.
    public enum Choice: CaseIterable, Sendable {
        /// Several reasons to refuse: any of them may be the answer.
        case whichRefusal
        /// Several circles: any of them may be named (`isCircle`).
        case whichCircle
        /// Effects of one instant or one command, and their tokens, may come in any order.
        case whichFirst
        /// An upgrade and its grant end in the same instant: the upgrade times out or is cancelled.
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
