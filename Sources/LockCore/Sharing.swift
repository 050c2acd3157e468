public import LockVocabulary

// Locks that hosts share. A host may grant a shared lock only as far as the fleet lets it: by a *claim*. The rules know no
// claims. They know the *fleet's session*, which holds on each shared lock what sessions of this host must not have, and which
// requests a lock like any session when other hosts wait for it. README.md describes it ("A fleet").

/// Which names a fleet shares.
public struct SharedNames: Sendable, Equatable {
    /// A name that begins with one of them is shared; the empty prefix is that of all names.
    public let prefixes: [String]

    public init(prefixes: [String]) { self.prefixes = prefixes }

    public func contains(_ name: LockName) -> Bool {
        prefixes.contains { name.text.utf8.starts(with: $0.utf8) }
    }
}

/// What the fleet's session holds on a shared lock.
public enum SharedHold: UInt8, Sendable {
    /// Sessions may have any grant: the host has the write claim.
    case nothing
    /// Sessions may only read: the host has a read claim. The inner grant is for `update`, which excludes just the rest.
    case read
    /// Sessions have nothing.
    case all
}

/// The strongest claim that waiting requests of sessions need.
public enum SharedDemand: UInt8, Sendable {
    case none
    case read
    case write
    /// A reader under a read claim wants its grant to become the write grant.
    case upgrade
}

/// What a claims machine has to know of a shared lock.
public struct SharedSituation: Sendable, Equatable {
    public var demand = SharedDemand.none
    /// Whether all waiting requests are probes: they were not to wait (`wait=0`).
    public var isProbe = false
    public var fleet = SharedHold.all
    /// Whether sessions hold or wait.
    public var isUsed = false
    public var mark: Mark?

    /// The situation of a lock that is not there.
    public static let unused = SharedSituation()
}

/// What the fleet's session is to request of a lock, as other hosts wait for it.
enum FleetRecall: UInt8, BitwiseCopyable {
    case none
    case share
    case all
}

/// What a lock is to the fleet, in one byte: it is read at each request. Empty for a lock that is not shared.
struct Sharing: OptionSet, BitwiseCopyable {
    let rawValue: UInt8

    /// The fleet's session has a grant. (The lowest bit, so that it is also the number of its grants.)
    static var holds: Sharing { Sharing(rawValue: 1) }
    /// The name is shared.
    static var shared: Sharing { Sharing(rawValue: 2) }
    /// The host has a claim, or may have one: the record stays.
    static var claimed: Sharing { Sharing(rawValue: 4) }
    /// The fleet's session waits.
    static var waits: Sharing { Sharing(rawValue: 8) }
    /// The fleet's request cannot wait now, and is tried again whenever something on the lock ends.
    static var deferred: Sharing { Sharing(rawValue: 16) }
    /// Requests wait for a shared token.
    static var shut: Sharing { Sharing(rawValue: 32) }
    /// The name is among the changed ones.
    static var noted: Sharing { Sharing(rawValue: 64) }
    /// The caller of `situation` was last told that sessions use the lock.
    static var toldUsed: Sharing { Sharing(rawValue: 128) }
}

/// What the fleet's session has on one shared lock.
struct FleetStake: BitwiseCopyable {
    /// Its owner for this lock; nil while it neither holds nor waits. Owners of their own keep locks apart: what it waits for on
    /// one lock is no reason to wait on another, as far as this host knows.
    @Compact var owner: Slot<Owner>? = nil
    @Compact var grant: Slot<Grant>? = nil
    @Compact var waiter: Slot<Waiter>? = nil
    /// The number of waiting probes.
    var probes: UInt32 = 0
    var recall = FleetRecall.none
    /// Whether its request goes before all contenders.
    var isFirst = false
}

/// What the fleet shares, and which of it has changed.
extension LockTable {
    /// How long a request that must not wait (`wait=0`) waits for other hosts. Clients wait 750 ms for its answer, and would
    /// take this daemon for a stopped one.
    static var probeLimit: Duration { .milliseconds(500) }

    /// The session of the fleet; nil before the first shared lock.
    public var fleetSession: SessionID? { fleet.map { id(of: $0) } }

    /// Whether a fleet shares this name.
    @inline(__always)
    public func isShared(_ name: LockName) -> Bool { sharedNames?.contains(name) ?? false }

    func stake(of lock: Slot<Lock>) -> FleetStake { stakes[UInt64(lock.raw)] ?? FleetStake() }

    mutating func changeStake(of lock: Slot<Lock>, _ change: (inout FleetStake) -> Void) {
        stakes.update(UInt64(lock.raw)) {
            change(&$0)
            return true
        }
    }

    func isFleet(_ owner: Slot<Owner>) -> Bool { owners[owner].session == fleet }

    func isFleet(_ waiter: Slot<Waiter>) -> Bool { isFleet(waiters[waiter].owner) }

    func isFleet(_ grant: Slot<Grant>) -> Bool { isFleet(grants[grant].owner) }

    /// Whether no session of this host holds or waits.
    func isIdle(_ lock: Slot<Lock>) -> Bool {
        locks[lock].holders.count == locks[lock].fleetHolders && sessionWaiters(of: lock) == 0
    }

    /// The number of waiting requests of sessions.
    func sessionWaiters(of lock: Slot<Lock>) -> Int {
        locks[lock].waiters - (locks[lock].sharing.contains(.waits) ? 1 : 0)
    }

    func fleetHold(of lock: Slot<Lock>) -> SharedHold {
        guard let grant = stake(of: lock).grant else { return .nothing }
        return grants[grant].mode == .write ? .all : .read
    }

    /// Whether requests of a session that were not to wait have no answer yet, because other hosts are asked.
    public func hasProbes(_ session: SessionID) -> Bool { sessions[slot(of: session)].probes > 0 }

    // MARK: - Records

    /// Makes the record of a shared lock, on which sessions have nothing yet.
    mutating func addSharedLock(_ name: LockName) -> Slot<Lock> {
        let lock = addLock(name)
        locks[lock].sharing = .shared
        changeStake(of: lock) { _ in }
        addFleetGrant(lock, .write)
        return lock
    }

    /// Removes what the fleet's session has on a lock that is removed.
    mutating func forgetShared(_ lock: Slot<Lock>) {
        noteShared(lock)
        if locks[lock].sharing.contains(.waits) { removeFleetWaiter(of: lock) }
        if locks[lock].sharing.contains(.holds) { endFleetGrant(of: lock) }
        stakes.remove(UInt64(lock.raw))
    }

    /// What follows for a shared lock after something on it has ended.
    mutating func reconcileShared(_ lock: Slot<Lock>) {
        if locks[lock].isUnused { return removeLock(lock) }
        if locks[lock].sharing.contains(.toldUsed), isIdle(lock) { noteShared(lock) }
    }

    // MARK: - Changes

    /// Notes that the situation of a shared lock may have changed.
    mutating func noteShared(_ lock: Slot<Lock>) {
        guard !locks[lock].sharing.contains(.noted) else { return }
        locks[lock].sharing.insert(.noted)
        changedShared.append(name(of: lock))
    }

    /// Notes that a request of a session begins or ends to wait on a shared lock.
    mutating func noteWaiter(_ change: Int32, _ waiter: Slot<Waiter>) {
        let lock = waiters[waiter].lock
        if waiters[waiter].isProbe {
            changeStake(of: lock) { $0.probes = UInt32(Int32($0.probes) + change) }
            let session = owners[waiters[waiter].owner].session
            sessions[session].probes = UInt32(Int32(sessions[session].probes) + change)
        }
        // Where the fleet holds nothing, a claim would not help.
        guard locks[lock].sharing.contains(.holds) else { return }
        noteShared(lock)
        // Those that sessions wait for are the first ones, where `fleetDependencies` finds them.
        if let fleet, let owner = stake(of: lock).owner, change > 0 {
            sessions[fleet].owners.remove(owner, in: &owners)
            sessions[fleet].owners.prepend(owner, in: &owners)
        }
    }

    /// Whether `nextChangedShared` has a name.
    @inline(__always)
    public var hasChangedShared: Bool { !changedShared.isEmpty }

    /// Removes and returns the name of a shared lock if its situation may have changed. Each is returned once.
    ///
    /// That sessions begin to use a lock without having to wait is not noted: so requests under a claim note nothing. That they
    /// no longer use it is noted if the caller was told that they do.
    public mutating func nextChangedShared() -> LockName? {
        while let name = changedShared.popFirst() {
            guard let lock = names.look(for: name) else { return name }
            // It was noted again after its record had been removed.
            guard locks[lock].sharing.contains(.noted) else { continue }
            locks[lock].sharing.remove(.noted)
            return name
        }
        return nil
    }

    /// What a shared lock is to the claims machine now.
    public mutating func situation(of name: LockName) -> SharedSituation {
        guard let lock = names.look(for: name), locks[lock].isShared else { return .unused }
        let waiting = sessionWaiters(of: lock)
        let situation = SharedSituation(
            demand: demand(on: lock), isProbe: waiting > 0 && waiting == stake(of: lock).probes,
            fleet: fleetHold(of: lock), isUsed: !isIdle(lock), mark: locks[lock].mark)
        if situation.isUsed {
            locks[lock].sharing.insert(.toldUsed)
        } else {
            locks[lock].sharing.remove(.toldUsed)
        }
        return situation
    }

    private func demand(on lock: Slot<Lock>) -> SharedDemand {
        guard locks[lock].sharing.contains(.holds) else { return .none }
        if let upgrade = locks[lock].upgrade, !isFleet(upgrade) { return .upgrade }
        // While the fleet holds, its own request is never among the contenders.
        if !locks[lock].contenders.isEmpty { return .write }
        return !locks[lock].readers.isEmpty && fleetHold(of: lock) == .all ? .read : .none
    }
}
