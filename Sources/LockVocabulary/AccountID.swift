/// The index of an account, valid while the account exists: small and reused, so tables can be indexed by it.
public struct AccountID: Hashable, Sendable {
    /// Where a table has the account.
    public let rawValue: Int

    /// The account at an index of the tables.
    public init(rawValue: Int) { self.rawValue = rawValue }
}
