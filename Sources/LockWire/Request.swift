public import LockVocabulary

/// One line from a client, understood.
public struct Request: Hashable, Sendable {
    /// What the client wants to know the reply by.
    public var tag: Tag?
    public var verb: Verb

    public init(tag: Tag? = nil, verb: Verb) {
        self.tag = tag
        self.verb = verb
    }

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
    case release(LockName, Chooser)
    case upgrade(LockName, Chooser, wait: TimeLimit)
    case downgrade(LockName, Chooser, to: LockMode)
    /// Without a lease: the same length again.
    case renew(LockName, Chooser, lease: TimeLimit?)
    case cancel(LockName, owner: OwnerID?)
    case cancelTagged(Tag)
    case validate(LockName, Token)
    case revoke(LockName, Token)
    case status(LockName)
    case list(prefix: String, after: LockName?, limit: Int?)
    case sessions
    case stats
    case help
    case watch(prefix: String)
    case hello(client: Note, recall: Bool)
    case ping
    case quit
}

/// A request for a lock.
public struct Acquire: Hashable, Sendable {
    public var name: LockName
    public var mode: LockMode
    /// How long the request may wait; zero asks for an answer at once.
    public var wait: TimeLimit
    /// How long the grant lasts unless renewed; never zero.
    public var lease: TimeLimit
    public var owner: OwnerID
    public var note: Note

    public init(
        name: LockName, mode: LockMode, wait: TimeLimit = .forever, lease: TimeLimit = .forever,
        owner: OwnerID = .session, note: Note = .none
    ) {
        self.name = name
        self.mode = mode
        self.wait = wait
        self.lease = lease
        self.owner = owner
        self.note = note
    }
}

/// Which of a session's grants on a lock is meant: by token, by owner, by both; by neither, the only one.
public struct Chooser: Hashable, Sendable {
    public var token: Token?
    public var owner: OwnerID?

    public init(token: Token? = nil, owner: OwnerID? = nil) {
        self.token = token
        self.owner = owner
    }
}
