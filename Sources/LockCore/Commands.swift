public import LockVocabulary

/// What an owner asks for: a lock in a mode.
public struct Acquisition: Sendable {
    public var name: LockName
    public var mode: LockMode
    public var owner: OwnerID
    /// How long it may wait; zero is decided at once.
    public var wait: TimeLimit
    /// How long the grant may last without renewal.
    public var lease: TimeLimit
    public var note: Note
    /// What a cancel may call the request by while it waits.
    public var tag: Tag?

    public init(
        _ name: LockName, _ mode: LockMode, owner: OwnerID = .session, wait: TimeLimit = .forever,
        lease: TimeLimit = .forever, note: Note = .none, tag: Tag? = nil
    ) {
        self.name = name
        self.mode = mode
        self.owner = owner
        self.wait = wait
        self.lease = lease
        self.note = note
        self.tag = tag
    }
}

/// What became of a request at once.
public enum Decision: Sendable, Equatable {
    case granted(GrantSummary)
    /// The answer will be an effect.
    case waiting
    case refused(Refusal)
}
