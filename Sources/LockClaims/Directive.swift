public import LockVocabulary

/// What the rules have on a shared name. The caller states it after each change; a name about which it has said nothing
/// is unused.
public struct Situation: Sendable, Equatable {
    /// What local requests wait for, as far as a claim would help.
    public var demand: Demand
    /// Whether all of these requests are to be decided at once (`wait=0`).
    public var isProbe: Bool
    /// What the rules' fleet session holds, and so what no session of this host has.
    public var fleet: FleetHold
    /// Whether sessions of this host hold or wait.
    public var isUsed: Bool
    /// The mark that the rules have on the lock.
    public var mark: ClaimMark?

    public init(
        demand: Demand = .none, isProbe: Bool = false, fleet: FleetHold = .all, isUsed: Bool = false,
        mark: ClaimMark? = nil
    ) {
        (self.demand, self.isProbe, self.fleet, self.isUsed, self.mark) = (
            demand, isProbe, fleet, isUsed, mark
        )
    }

    /// A name that no session uses.
    public static let unused = Situation()
}

/// The strongest claim that local requests wait for.
public enum Demand: UInt8, Sendable, Comparable {
    case none
    case read
    case write
    /// A reader under a read claim wants its grant to become the write grant.
    case upgrade

    public static func < (left: Demand, right: Demand) -> Bool { left.rawValue < right.rawValue }
}

/// What the rules' fleet session holds on a lock.
public enum FleetHold: UInt8, Sendable {
    /// Nothing: sessions may have any grant.
    case nothing
    /// The read grant: sessions may read.
    case read
    /// The write grant: sessions have nothing.
    case all

    /// What sessions may have beside it.
    var permits: ClaimMode? {
        switch self {
        case .nothing: .write
        case .read: .read
        case .all: nil
        }
    }
}

/// What the rules are to do about a shared name. It is a state, not a message: each one replaces the one before.
public struct Directive: Sendable, Equatable {
    /// What sessions may have: the fleet session is to hold `.all` for nil, `.read` for a read claim, `.nothing` for a write
    /// claim.
    ///
    /// If the rules' fleet session holds less than that, the claim has ended at once, and the name must be seized.
    public var allowed: ClaimMode?
    /// What the fleet session is to request, as other hosts wait.
    public var recall: Recall = .none
    /// Whether its request goes before all local waiters.
    public var recallsFirst = false
    /// The mark that the rules set when they apply a higher `allowed`.
    public var mark: ClaimMark?
    /// What the rules refuse.
    public var refusal: ClaimRefusal = .none
    /// The claims of all hosts, for rows and for `held-by`.
    public var holders: [HostClaim] = []
    /// The hosts that wait, in their order.
    public var waiters: [HostClaim] = []
    /// Whether this host has the claim, or may have it: the rules keep the lock's record.
    public var isClaimed = false

    public init() {}
}

/// What the fleet session requests in the rules.
public enum Recall: UInt8, Sendable {
    case none
    /// The read grant, so that other hosts may read.
    case share
    /// The write grant.
    case all
}

/// Which waiting requests the rules refuse, and why.
public enum ClaimRefusal: Sendable, Equatable {
    case none
    /// Those that must be decided at once: other hosts have claims that conflict.
    case busy
    /// The upgrade: another host's reader waits to upgrade too, and each keeps the other from it.
    case deadlock(HostName)
    /// Those without a deadline: `cluster-unavailable`, with what is wrong. The others may yet be granted.
    case unavailable(String)
    /// All of them: `cluster-unavailable`, with what is wrong, as only an administrator can mend it.
    case damaged(String)
}

/// A host with what it claims or waits for.
public struct HostClaim: Sendable, Equatable {
    public var host: HostName
    public var mode: ClaimMode

    public init(host: HostName, mode: ClaimMode) {
        self.host = host
        self.mode = mode
    }
}
