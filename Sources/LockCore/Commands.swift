public import LockVocabulary

/// A request for a lock in a mode.
public struct Acquisition: Sendable {
    public var name: LockName
    public var mode: LockMode
    public var owner: OwnerID
    /// How long the request may wait. With zero it is granted or refused at once.
    public var wait: TimeLimit
    /// How long the grant lasts without a renewal.
    public var lease: TimeLimit
    public var note: Note
    /// The name by which the client can cancel the request while it waits.
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

/// The immediate result of a request.
public enum Decision: Sendable, Equatable {
    case granted(GrantSummary)
    /// The request waits; an effect will answer it.
    case waiting
    case refused(Refusal)
}
