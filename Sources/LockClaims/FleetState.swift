public import LockVocabulary

/// How a host stands in its fleet, for `STATUS=`, `STATS` and errors.
public struct FleetState: Sendable, Equatable {
    public var phase: FleetPhase = .beginning
    /// The session, while there is one.
    public var session: HostSession?
    public var lease: LeaseID = 0
    /// Why waiting requests are refused `cluster-unavailable`; nil while they may wait.
    public var unavailable: String?
    /// Whether the store has answered within the time to live of a lease.
    public var isReachable = true
    /// The claims of this host.
    public var claims = 0
    /// The registers that this host knows.
    public var registers = 0
    /// The highest revision with its offset. The daemon keeps it in its state directory (`ClaimsConfiguration.highestEpoch`).
    public var highestEpoch: Revision = 0
    public var totalKeepAlives: UInt64 = 0
    public var totalClaims: UInt64 = 0
    /// The claims that were given up, or from write to read; not those that ended with a session.
    public var totalHandovers: UInt64 = 0
    public var totalLostLeases: UInt64 = 0

    public init() {}
}

public enum FleetPhase: Sendable, Equatable {
    /// A session is being made.
    case beginning
    /// There is a session.
    case live
    /// There can be no session; it is tried again from time to time.
    case failed(FleetFault)
    /// `leave()` was called.
    case leaving
    /// The claims are given up, and the lease is revoked.
    case left
}

/// Why a host has no session.
public enum FleetFault: Sendable, Equatable {
    /// Another daemon has a session under this host's name.
    case hostNameTaken(HostName)
    /// The fleet shares names with other prefixes.
    case otherPrefixes([String])
    /// The value of this key is not what a daemon writes.
    case damagedKey(String)
    /// The store does not permit it; with its words.
    case notPermitted(String)
    case other(String)
}

/// What an administrator should read in the journal.
public enum FleetEvent: Sendable, Equatable {
    case sessionBegan(HostSession, lease: LeaseID, seconds: Int64)
    /// The claims have ended at once, with the reason.
    case leaseLost(String)
    /// The store has not answered for so long; with the last reason.
    case unreachable(String)
    case reachableAgain
    /// The store's revision is lower than one that was seen before: it was restored from a backup.
    case backupRestored(seen: Revision, now: Revision)
    case failed(FleetFault)
    /// The register of a name is not one, so that name is refused.
    case damagedRegister(LockName)
    /// The store has no room.
    case noRoom
}

/// What a host must remember beyond the end of its process, to go on with its claims. Times are of `CLOCK_BOOTTIME`.
///
/// Claims need no facts of their own: what the rules' fleet session holds (`Situation.fleet`) says which were in use.
public struct FleetFacts: Sendable, Equatable {
    public var session: HostSession
    public var lease: LeaseID
    public var leaseSeconds: Int64
    public var validUntil: Instant
    public var offset: Revision
    public var settingsModified: Revision
    public var newestRevision: Revision
    public var highestEpoch: Revision

    public init(
        session: HostSession, lease: LeaseID, leaseSeconds: Int64, validUntil: Instant, offset: Revision,
        settingsModified: Revision, newestRevision: Revision, highestEpoch: Revision
    ) {
        self.session = session
        self.lease = lease
        self.leaseSeconds = leaseSeconds
        self.validUntil = validUntil
        self.offset = offset
        self.settingsModified = settingsModified
        self.newestRevision = newestRevision
        self.highestEpoch = highestEpoch
    }
}

/// That a shared lock of this host will not be free before the host gets another one: the claim on `held` is recalled, its
/// holder waits for `wanted`, and the request of that holder has a number.
public struct WaitEdge: Hashable, Sendable {
    public var held: LockName
    public var wanted: LockName
    public var waiter: UInt64

    public init(held: LockName, wanted: LockName, waiter: UInt64) {
        self.held = held
        self.wanted = wanted
        self.waiter = waiter
    }
}

/// A circle of waiting through several hosts, which the rules end by refusing a waiting request of this host.
public struct FleetCircle: Sendable, Equatable {
    /// The number of the waiting request.
    public var waiter: UInt64
    /// Each host with the lock that it waits for, from this host on.
    public var hops: [(host: HostName, lock: LockName)]

    public static func == (left: FleetCircle, right: FleetCircle) -> Bool {
        left.waiter == right.waiter && left.hops.elementsEqual(right.hops, by: ==)
    }
}
