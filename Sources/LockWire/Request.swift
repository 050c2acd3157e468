public import LockVocabulary

/// One line from a client, understood.
public struct Request: Hashable, Sendable {
    /// What the client wants to know the reply by.
    public let tag: Tag?
    public let verb: Verb

    public init(tag: Tag? = nil, verb: Verb) {
        self.tag = tag
        self.verb = verb
    }

    /// The longest line that says a request, in bytes with its CR and LF, where one space stands between two words: a
    /// tagged `UPDATE` with every option.
    public static let longestLine = 641

    /// What came of reading a line: a request, or what is wrong with it and the tag to say so under.
    public enum Parsed: Hashable, Sendable {
        case request(Request)
        case fault(Tag?, WireError)
    }
}

/// What a request asks for, with its arguments.
public enum Verb: Hashable, Sendable {
    /// `READ`, `UPDATE` or `WRITE`, by the mode.
    case acquire(Acquire)
    case release(LockName, GrantChoice)
    /// `RELEASE … at=end`: when the session ends.
    case releaseAtEnd(LockName, GrantChoice)
    /// `RELEASE * owner=…`: all that an owner holds and waits for.
    case releaseAll(OwnerID)
    case upgrade(LockName, GrantChoice, wait: TimeLimit)
    case downgrade(LockName, GrantChoice, to: LockMode)
    /// Without a lease: the same length again.
    case renew(LockName, GrantChoice, lease: TimeLimit?)
    case cancel(LockName, owner: OwnerID?)
    case cancelTagged(Tag)
    case validate(LockName, Token)
    case revoke(LockName, Token)
    case status(LockName)
    /// The prefix is spelled as a name is; empty for all locks.
    case list(prefix: String, after: LockName?, limit: Int?)
    case sessions
    case stats
    case help
    case watch(prefix: String)
    /// What is nil stays as it is.
    case hello(client: Note?, recall: Bool?)
    case ping
    case quit
}

/// A request for a lock.
///
/// The limits are kept in whole milliseconds, as the protocol says them, rounded up. That also keeps a request so
/// small that the compiler moves it in registers and not through memory, which halves the time to parse one.
public struct Acquire: Hashable, Sendable {
    public var name: LockName
    public var owner: OwnerID
    public var note: Note
    var roundedWait: Milliseconds
    var roundedLease: Milliseconds
    public var mode: LockMode

    /// How long the request may wait; zero asks for an answer at once.
    public var wait: TimeLimit {
        get { roundedWait.limit }
        set { roundedWait = Milliseconds(roundingUp: newValue) }
    }

    /// How long the grant lasts unless renewed; never zero.
    public var lease: TimeLimit {
        get { roundedLease.limit }
        set { roundedLease = Milliseconds(roundingUp: newValue) }
    }

    public init(
        name: LockName, mode: LockMode, wait: TimeLimit = .forever, lease: TimeLimit = .forever,
        owner: OwnerID = .session, note: Note = .none
    ) {
        self.init(
            name: name, mode: mode, roundedWait: Milliseconds(roundingUp: wait),
            roundedLease: Milliseconds(roundingUp: lease), owner: owner, note: note)
    }

    init(
        name: LockName, mode: LockMode, roundedWait: Milliseconds, roundedLease: Milliseconds,
        owner: OwnerID, note: Note
    ) {
        self.name = name
        self.mode = mode
        self.roundedWait = roundedWait
        self.roundedLease = roundedLease
        self.owner = owner
        self.note = note
    }
}
