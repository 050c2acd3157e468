public import LockVocabulary

/// How much there may be of everything (G12). What goes over is refused and changes nothing.
public struct Limits: Sendable, Equatable {
    /// Sessions at once.
    public var sessions = 65_536
    /// Grants of one session, with the requests that wait to become one.
    public var sessionGrants = 10_000
    /// Waiting requests of one session.
    public var sessionWaiters = 1_000
    /// Locks that somebody holds, waits for, or that are marked (G11).
    public var locks = 4_000_000
    /// Grants of all sessions, with the requests that wait to become one.
    public var grants = 4_000_000
    /// Waiting requests of all sessions.
    public var waiters = 1_000_000
    /// Locks whose last writer died; of more, the oldest mark goes.
    public var marks = 10_000
    /// Steps of one search for a circle (G8): a grant or a waiting request looked at is a step.
    public var searchSteps = 65_536

    public init() {}
}

/// A limit that a request ran into.
public enum ExceededLimit: Sendable, Equatable {
    case grants
    case waiters
    case locks
    /// The search for a circle was given up.
    case waits
}

/// How much the sessions of one account may have together, beside what each may have alone (G12).
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

/// What a session, or the sessions of an account together, have of what is limited.
public struct Usage: Sendable, Equatable {
    public internal(set) var grants = 0
    public internal(set) var waiters = 0

    /// What counts against a limit of grants: a waiting request counts as the grant that it wants to become.
    var grantsToBe: Int { grants + waiters }
}

/// Who has how much. An account is a number that the caller chooses, the smaller the better.
extension LockTable {
    /// Bounds what the session's account may have when the session asks for more.
    public mutating func setShare(_ share: Share, of session: SessionID) {
        sessions[slot(of: session)].share = share
    }

    /// What a session has.
    public func usage(of session: SessionID) -> Usage { sessions[slot(of: session)].usage }

    /// What the sessions of an account have together.
    public func usage(ofAccount account: Int) -> Usage {
        accounts.indices.contains(account) ? accounts[account] : Usage()
    }

    mutating func addAccount(_ account: Int) {
        while accounts.count <= account { accounts.append(Usage()) }
    }

    /// Charges a session and its account for grants and waiting requests, or takes that back with a negative number.
    ///
    /// No other code changes these counts, so a session and its account always agree.
    @inline(__always)
    mutating func charge(_ session: Slot<Session>, grants: Int = 0, waiters: Int = 0) {
        sessions[session].usage.grants += grants
        sessions[session].usage.waiters += waiters
        let account = sessions[session].account
        accounts[account].grants += grants
        accounts[account].waiters += waiters
    }

    /// The limit that one more grant, or one more request that waits to become one, would pass.
    @inline(__always)
    func limitOnOneMoreGrant(of session: Slot<Session>) -> ExceededLimit? {
        let isWithin =
            sessions[session].usage.grantsToBe < limits.sessionGrants
            && grants.count + waiters.count < limits.grants
            && accounts[sessions[session].account].grantsToBe < sessions[session].share.grants
        return isWithin ? nil : .grants
    }

    /// The limit that one more waiting request would pass.
    func limitOnOneMoreWaiter(of session: Slot<Session>) -> ExceededLimit? {
        let isWithin =
            sessions[session].usage.waiters < limits.sessionWaiters && waiters.count < limits.waiters
            && accounts[sessions[session].account].waiters < sessions[session].share.waiters
        return isWithin ? nil : .waiters
    }
}
