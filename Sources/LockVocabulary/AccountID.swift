/// The index of an account, valid while the account exists: small and reused, so tables can be indexed by it.
public struct AccountID: Hashable, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }
}
