/// Which of a session's grants on a lock a request is about; with neither token nor owner, the only one.
public struct GrantChoice: Hashable, Sendable {
    public var token: Token?
    public var owner: OwnerID?

    public init(token: Token? = nil, owner: OwnerID? = nil) {
        self.token = token
        self.owner = owner
    }

    public static let only = GrantChoice()
}
