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
    /// Steps of one search for a circle (G8): grants and waiting requests that it examines. So many take a few milliseconds,
    /// for which all other clients wait.
    public var searchSteps = 32_768

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

/// How much of a limit an account may have.
public enum Portion: Sendable, Equatable {
    /// This number, whatever others have.
    case upTo(Int)
    /// A quarter of what all other accounts leave of the limit, rounded up.
    case quarterOfRest

    /// How much the account may have now.
    ///
    /// - Parameters:
    ///   - others: what all other accounts have together.
    ///   - limit: what all accounts together may have.
    @inlinable
    public func most(besides others: Int, of limit: Int) -> Int {
        switch self {
        case .upTo(let most): return most
        case .quarterOfRest:
            let rest = max(0, limit - others)
            return rest / 4 + (rest % 4 == 0 ? 0 : 1)
        }
    }
}

/// The limits of an account: what its sessions may have together (G12).
public struct Share: Sendable, Equatable {
    /// Grants and waiting requests.
    public var grants = Portion.upTo(.max)
    /// Waiting requests.
    public var waiters = Portion.upTo(.max)

    public init(grants: Portion = .upTo(.max), waiters: Portion = .upTo(.max)) {
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
        let all = grants.count + waiters.count - fleetRecords
        let own = accounts[sessions[session].account.rawValue].grantsToBe
        let isWithin =
            sessions[session].usage.grantsToBe < limits.sessionGrants && all < limits.grants
            && own < sessions[session].share.grants.most(besides: all - own, of: limits.grants)
        return isWithin ? nil : .grants
    }

    /// The limit that one more waiting request would exceed.
    func limitOnOneMoreWaiter(of session: Slot<Session>) -> ExceededLimit? {
        let own = accounts[sessions[session].account.rawValue].waiters
        let isWithin =
            sessions[session].usage.waiters < limits.sessionWaiters && waiterCount < limits.waiters
            && own < sessions[session].share.waiters.most(besides: waiterCount - own, of: limits.waiters)
        return isWithin ? nil : .waiters
    }
}
