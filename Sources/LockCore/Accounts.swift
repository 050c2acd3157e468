public import LockVocabulary

/// How much the sessions of one user may have together, beside what each may have alone (G12).
public struct Share: Sendable, Equatable {
    /// Grants, with the requests that wait to become one.
    public var grants = Int.max
    /// Waiting requests.
    public var waiters = Int.max

    public init(grants: Int = .max, waiters: Int = .max) {
        self.grants = grants
        self.waiters = waiters
    }
}

/// What the sessions of one user have together.
struct Account {
    var grants = 0
    var waiters = 0
}

/// Whose sessions are whose. An account is a number that the caller chooses, the smaller the better.
extension LockTable {
    /// Bounds what the session's account may have when the session asks for more.
    public mutating func setShare(_ share: Share, of session: SessionID) {
        sessions[place(of: session)].share = share
    }

    /// What the sessions of an account hold and wait for together.
    public func stakes(ofAccount account: Int) -> (grants: Int, waiters: Int) {
        guard accounts.indices.contains(account) else { return (0, 0) }
        return (accounts[account].grants, accounts[account].waiters)
    }

    mutating func addAccount(_ account: Int) {
        while accounts.count <= account { accounts.append(Account()) }
    }
}
