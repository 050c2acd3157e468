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

/// Who holds a lock that another asked for: the first few, and how many more there are.
///
/// Empty while the daemon grants nothing to anyone, after an unclean end of the one before.
public struct HeldBy: Hashable, Sendable {
    public struct Holder: Hashable, Sendable {
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var mode: LockMode

        public init(processID: Int32?, mode: LockMode) {
            self.processID = processID
            self.mode = mode
        }
    }

    /// How many holders are named, at most.
    public static let maximumNamed = 3

    // Three places instead of an array, so that a refusal allocates nothing.
    private var first: Holder?
    private var second: Holder?
    private var third: Holder?
    /// How many holders there are beside those that are named.
    public private(set) var more = 0

    public init() {}

    public init(_ holders: some Sequence<Holder>) {
        for holder in holders { add(holder) }
    }

    /// Names one more holder, or counts it if enough are named.
    public mutating func add(_ holder: Holder) {
        if first == nil {
            first = holder
        } else if second == nil {
            second = holder
        } else if third == nil {
            third = holder
        } else {
            addUnnamed(1)
        }
    }

    /// Counts holders without naming them, as many as a number can say at the most.
    public mutating func addUnnamed(_ count: Int) { more = more.clampedSum(count) }

    /// The holders that are named.
    public var named: [Holder] { [first, second, third].compactMap(\.self) }

    public var isEmpty: Bool { first == nil && more == 0 }

    /// Calls the body with each holder that is named, without making an array.
    func forEach(_ body: (Holder) -> Void) {
        if let first { body(first) }
        if let second { body(second) }
        if let third { body(third) }
    }
}

/// A circle of owners, each of which waits for a lock that the next one stands before it at.
public struct Cycle: Hashable, Sendable {
    public struct Hop: Hashable, Sendable {
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var owner: OwnerID
        /// The lock that this owner waits for.
        public var lock: LockName

        public init(processID: Int32?, owner: OwnerID, lock: LockName) {
            self.processID = processID
            self.owner = owner
            self.lock = lock
        }
    }

    /// How many hops are named, at most.
    public static let maximumNamed = 8

    /// The first hops, as many as are named.
    public private(set) var named: [Hop] = []
    /// How many more there are.
    public private(set) var more = 0

    public init(_ hops: some Sequence<Hop>) {
        for hop in hops { add(hop) }
    }

    /// Names one more hop, or counts it if enough are named.
    public mutating func add(_ hop: Hop) {
        if named.count < Self.maximumNamed { named.append(hop) } else { addUnnamed(1) }
    }

    /// Counts hops without naming them, as many as a number can say at the most.
    public mutating func addUnnamed(_ count: Int) { more = more.clampedSum(count) }
}

extension Int {
    /// The sum with a count, or the largest number where that is smaller.
    fileprivate func clampedSum(_ count: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(count)
        return isTooLarge ? .max : sum
    }
}
