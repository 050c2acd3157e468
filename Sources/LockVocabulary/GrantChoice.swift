/// Which of a session's grants on a lock a request is about; with neither token nor owner, the only one.
public struct GrantChoice: Hashable, Sendable {
    /// The token of the grant; nil if it does not matter.
    public var token: Token?
    /// The owner of the grant; nil if it does not matter.
    public var owner: OwnerID?

    /// The choice of a grant by its token, its owner, or both.
    public init(token: Token? = nil, owner: OwnerID? = nil) {
        self.token = token
        self.owner = owner
    }

    /// The choice of the only grant that the session has on the lock.
    public static let only = GrantChoice()
}
