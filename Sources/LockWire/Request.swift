public import LockVocabulary

/// A line from a client as a value.
public struct Request: Hashable, Sendable {
    /// The reply begins with the same tag.
    public let tag: Tag?
    public let verb: Verb

    public init(tag: Tag? = nil, verb: Verb) {
        self.tag = tag
        self.verb = verb
    }

    /// The most locks that `LIST` with a rank may be asked for.
    public static let mostRanked = 1_000

    /// The length of the longest request with one space between two words, in bytes with CR and LF: a tagged `WRITE`
    /// with every option.
    public static let longestLine = 648

    /// The result of reading a line: a request, or a fault with the tag of its `ERROR`.
    public enum Parsed: Hashable, Sendable {
        case request(Request)
        case fault(Tag?, WireError)
    }
}

/// A request without its tag.
public enum Verb: Hashable, Sendable {
    /// `READ`, `UPDATE` or `WRITE`, depending on the mode.
    case acquire(Acquire)
    case release(LockName, GrantChoice)
    /// `RELEASE … at=end`: release the grant when the session ends.
    case releaseAtEnd(LockName, GrantChoice)
    /// `RELEASE * owner=…`: release all grants of an owner, and withdraw all its requests.
    case releaseAll(OwnerID)
    case upgrade(LockName, GrantChoice, wait: TimeLimit)
    case downgrade(LockName, GrantChoice, to: LockMode)
    /// Without a lease, the grant's lease starts again with its length.
    case renew(LockName, GrantChoice, lease: TimeLimit?)
    case cancel(LockName, owner: OwnerID?)
    case cancelTagged(Tag)
    case validate(LockName, Token)
    case revoke(LockName, Token)
    /// With a limit, at most so many holders, and so many requests that wait.
    case status(LockName, limit: Int? = nil)
    /// The prefix is encoded as a name is; it is empty for all locks. With a rank, only locks for which requests wait, in its
    /// order; `after` is nil then.
    case list(prefix: String, after: LockName?, limit: Int?, by: WaitRank? = nil)
    /// What locks have cost; without a rank, by the time that requests waited.
    case hot(prefix: String, by: HotRank?, limit: Int?)
    case sessions
    case stats
    case help
    case watch(prefix: String)
    /// A value that is nil stays as it is.
    case hello(client: Note?, recall: Bool?, cache: Bool? = nil)
    case ping
    case quit
}

/// A request for a lock.
///
/// It stores limits in whole milliseconds, rounded up, which is the precision of the protocol. That keeps the value so
/// small that the compiler moves it in registers instead of memory, which halves the time to parse a request.
public struct Acquire: Hashable, Sendable {
    public var name: LockName
    public var owner: OwnerID
    public var note: Note
    var roundedWait: Milliseconds
    var roundedLease: Milliseconds
    public var mode: LockMode
    /// Whether the grant may be cached, if the session has slots.
    public var mayCache: Bool

    /// How long the request may wait; with zero, the daemon decides at once.
    public var wait: TimeLimit {
        get { roundedWait.limit }
        set { roundedWait = Milliseconds(roundingUp: newValue) }
    }

    /// How long the grant lasts unless it is renewed; never zero.
    public var lease: TimeLimit {
        get { roundedLease.limit }
        set { roundedLease = Milliseconds(roundingUp: newValue) }
    }

    public init(
        name: LockName, mode: LockMode, wait: TimeLimit = .forever, lease: TimeLimit = .forever,
        owner: OwnerID = .session, note: Note = .none, mayCache: Bool = true
    ) {
        self.init(
            name: name, mode: mode, roundedWait: Milliseconds(roundingUp: wait),
            roundedLease: Milliseconds(roundingUp: lease), owner: owner, note: note, mayCache: mayCache)
    }

    init(
        name: LockName, mode: LockMode, roundedWait: Milliseconds, roundedLease: Milliseconds,
        owner: OwnerID, note: Note, mayCache: Bool
    ) {
        self.name = name
        self.mode = mode
        self.roundedWait = roundedWait
        self.roundedLease = roundedLease
        self.owner = owner
        self.note = note
        self.mayCache = mayCache
    }
}
