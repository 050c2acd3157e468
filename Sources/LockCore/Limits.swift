public import LockVocabulary

/// The limits of a table (G12). A request beyond a limit is refused and changes nothing.
public struct Limits: Sendable, Equatable {
    /// Open sessions.
    public var sessions = 65_536
    /// Grants and waiting requests of one session.
    public var sessionGrants = 10_000
    /// Waiting requests of one session.
    public var sessionWaiters = 1_000
    /// Locks that are held, waited for or marked (G11).
    public var locks = 4_000_000
    /// Grants and waiting requests of all sessions.
    public var grants = 4_000_000
    /// Waiting requests of all sessions.
    public var waiters = 1_000_000
    /// Locks with the mark of a dead writer. One more removes the oldest mark.
    public var marks = 10_000
    /// Steps of one search for a circle (G8): grants and waiting requests that it examines.
    public var searchSteps = 65_536

    public init() {}
}

/// The limit that a request would exceed.
public enum ExceededLimit: Sendable, Equatable {
    case grants
    case waiters
    case locks
    /// The search for a circle needed too many steps.
    case waits
}

/// The limits of an account: what its sessions may have together (G12).
public struct Share: Sendable, Equatable {
    /// Grants and waiting requests.
    public var grants = Int.max
    /// Waiting requests.
    public var waiters = Int.max

    public init(grants: Int = .max, waiters: Int = .max) {
        self.grants = grants
        self.waiters = waiters
    }
}

/// What a session, or an account, has of what its limits count.
public struct Usage: Sendable, Equatable {
    public internal(set) var grants = 0
    public internal(set) var waiters = 0

    /// The number that limits of grants count: a waiting request counts as the grant that it may become.
    var grantsToBe: Int { grants + waiters }
}

/// Charges and limits of sessions and accounts.
extension LockTable {
    /// Sets the share of the session's account. Each request of the session is checked against it.
    public mutating func setShare(_ share: Share, of session: SessionID) {
        sessions[slot(of: session)].share = share
    }

    /// The grants and waiting requests of a session.
    public func usage(of session: SessionID) -> Usage { sessions[slot(of: session)].usage }

    mutating func addAccount(_ account: AccountID) {
        while accounts.count <= account.rawValue { accounts.append(Usage()) }
        agenda.addAccount(account)
    }

    /// Charges grants and waiting requests to a session and its account; a negative number takes a charge back.
    ///
    /// No other code changes these counts, so a session and its account always agree.
    @inline(__always)
    mutating func charge(_ session: Slot<Session>, grants: Int = 0, waiters: Int = 0) {
        sessions[session].usage.grants += grants
        sessions[session].usage.waiters += waiters
        let account = sessions[session].account.rawValue
        accounts[account].grants += grants
        accounts[account].waiters += waiters
    }

    /// The limit that one more grant or waiting request would exceed.
    @inline(__always)
    func limitOnOneMoreGrant(of session: Slot<Session>) -> ExceededLimit? {
        let isWithin =
            sessions[session].usage.grantsToBe < limits.sessionGrants
            && grants.count + waiters.count < limits.grants
            && accounts[sessions[session].account.rawValue].grantsToBe < sessions[session].share.grants
        return isWithin ? nil : .grants
    }

    /// The limit that one more waiting request would exceed.
    func limitOnOneMoreWaiter(of session: Slot<Session>) -> ExceededLimit? {
        let isWithin =
            sessions[session].usage.waiters < limits.sessionWaiters && waiters.count < limits.waiters
            && accounts[sessions[session].account.rawValue].waiters < sessions[session].share.waiters
        return isWithin ? nil : .waiters
    }
}
