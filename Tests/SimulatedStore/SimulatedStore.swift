public import LockClaims
public import LockVocabulary

/// A cluster of etcd as one value: what its leader has carried out, and nothing of how messages reach it.
///
/// 1. A transaction is carried out whole or not at all; all its changes have one revision, which is one above the last.
/// 2. What changes nothing has no revision: a deletion of an absent key, a transaction of reads.
/// 3. A lease ends when its time has passed since its last renewal, and its keys are deleted at one revision. A new leader counts
///    from its election, so a lease may live for longer than its holder believes, and never for less.
/// 4. A watch shows each later change once, in the order of revisions, unless the changes were compacted.
///
/// A copy of the value is a backup: a store that is replaced by its earlier copy is a cluster that was restored from it.
public struct SimulatedStore: Sendable {
    private struct Lease {
        let seconds: Int64
        var end: Instant
        var keys: Set<[UInt8]> = []
    }

    /// The revision of the last change. An empty cluster has 1.
    public private(set) var revision: Revision = 1
    /// Whether the quota is used up: what needs room is refused.
    public var isFull = false
    private var keys: [[UInt8]: KeyValue] = [:]
    private var leases: [LeaseID: Lease] = [:]
    private var lastLease: LeaseID = 7_000
    /// The changes of all revisions from `firstKept` on, which has the first place.
    private var history: [[StoreChange]] = []
    private var firstKept: Revision = 2
    /// When the next lease ends.
    public private(set) var nextDeadline: Instant?

    public init() {}

    // MARK: - Requests

    /// Carries out a request at once. Returns nil for a watch, which has no answer: see `watch`.
    public mutating func carryOut(_ request: StoreRequest, at now: Instant) -> StoreAnswer? {
        advance(to: now)
        switch request {
        case .grantLease(let seconds): return grantLease(seconds, at: now)
        case .keepAlive(let id):
            guard let seconds = leases[id]?.seconds else { return .alive(seconds: 0) }
            leases[id]?.end = now.advanced(by: .seconds(seconds))
            findDeadline()
            return .alive(seconds: seconds)
        case .revokeLease(let id):
            guard leases[id] != nil else { return .refused(.leaseNotFound) }
            endLease(id)
            return .revoked
        case .transaction(let transaction): return carryOut(transaction)
        case .watch: return nil
        }
    }

    private mutating func grantLease(_ seconds: Int64, at now: Instant) -> StoreAnswer {
        guard !isFull else { return .refused(.full) }
        guard seconds > 0 else { return .refused(.other("etcdserver: invalid lease TTL")) }
        // etcd's least is one and a half times the time of an election.
        let given = max(2, seconds)
        lastLease += 1
        leases[lastLease] = Lease(seconds: given, end: now.advanced(by: .seconds(given)))
        findDeadline()
        return .lease(lastLease, seconds: given)
    }

    private mutating func carryOut(_ transaction: Transaction) -> StoreAnswer {
        for case .put(_, _, let lease) in transaction.then + transaction.otherwise {
            // It needs room in both branches: etcd does not look which of them it will be.
            if isFull { return .refused(.full) }
            if lease != 0, leases[lease] == nil { return .refused(.leaseNotFound) }
        }
        for branch in [transaction.then, transaction.otherwise] where Self.writesOneKeyTwice(branch) {
            return .refused(.other("etcdserver: duplicate key given in txn request"))
        }
        let succeeded = transaction.comparisons.allSatisfy(holds)
        var changes: [StoreChange] = []
        var reads: [[KeyValue]] = []
        for operation in succeeded ? transaction.then : transaction.otherwise {
            reads.append(carryOut(operation, at: revision + 1, &changes))
        }
        record(changes)
        return .transaction(succeeded: succeeded, reads: reads, revision: revision)
    }

    private static func writesOneKeyTwice(_ branch: [StoreOperation]) -> Bool {
        let written = branch.compactMap { operation in
            switch operation {
            case .put(let key, _, _), .delete(let key): key
            case .get, .list: nil
            }
        }
        return Set(written).count < written.count
    }

    private func holds(_ comparison: Comparison) -> Bool {
        switch comparison {
        case .created(let key, let revision): keys[key]?.created ?? 0 == revision
        case .notCreated(let key, let revision): keys[key]?.created ?? 0 != revision
        case .modified(let key, let revision): keys[key]?.modified ?? 0 == revision
        }
    }

    private mutating func carryOut(
        _ operation: StoreOperation, at next: Revision, _ changes: inout [StoreChange]
    ) -> [KeyValue] {
        switch operation {
        case .put(let key, let value, let lease):
            detach(key)
            let pair = KeyValue(
                key: key, value: value, created: keys[key]?.created ?? next, modified: next, lease: lease)
            keys[key] = pair
            if lease != 0 { leases[lease]?.keys.insert(key) }
            changes.append(.put(pair))
            return []
        case .delete(let key):
            detach(key)
            if keys.removeValue(forKey: key) != nil { changes.append(.deleted(key: key, at: next)) }
            return []
        case .get(let key): return keys[key].map { [$0] } ?? []
        case .list(let prefix, let after, let limit):
            let all = pairs(prefix: prefix).filter { pair in
                after.map { $0.lexicographicallyPrecedes(pair.key) } ?? true
            }
            return limit > 0 ? Array(all.prefix(Int(limit))) : all
        }
    }

    /// The key's lease no longer ends it.
    private mutating func detach(_ key: [UInt8]) {
        if let lease = keys[key]?.lease, lease != 0 { leases[lease]?.keys.remove(key) }
    }

    private mutating func record(_ changes: [StoreChange]) {
        guard !changes.isEmpty else { return }
        revision += 1
        history.append(changes)
    }

    // MARK: - Time and faults

    /// Ends the leases of which the time has passed.
    public mutating func advance(to now: Instant) {
        guard let next = nextDeadline, next <= now else { return }
        for id in leases.filter({ $0.value.end <= now }).map(\.key).sorted() { endLease(id) }
    }

    /// Ends a lease, as an administrator may.
    public mutating func endLease(_ id: LeaseID) {
        guard let lease = leases.removeValue(forKey: id) else { return }
        var changes: [StoreChange] = []
        for key in lease.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            keys[key] = nil
            changes.append(.deleted(key: key, at: revision + 1))
        }
        record(changes)
        findDeadline()
    }

    /// Another leader: it knows no lease's last renewal, and has each begin anew.
    public mutating func changeLeader(at now: Instant) {
        for (id, lease) in leases {
            leases[id]?.end = max(lease.end, now.advanced(by: .seconds(lease.seconds)))
        }
        findDeadline()
    }

    /// Forgets all changes but the last.
    public mutating func compact() {
        history = Array(history.suffix(1))
        firstKept = revision + 1 - Revision(history.count)
    }

    private mutating func findDeadline() {
        nextDeadline = leases.values.map(\.end).min()
    }

    // MARK: - To look at

    /// The leases that live.
    public var liveLeases: [LeaseID] { leases.keys.sorted() }

    public subscript(key: [UInt8]) -> KeyValue? { keys[key] }

    /// The keys with a prefix, in the order of their bytes.
    public func pairs(prefix: [UInt8]) -> [KeyValue] {
        keys.values.filter { $0.key.starts(with: prefix) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }

    /// A watch of all keys with a prefix, from a revision on.
    public func watch(prefix: [UInt8], from revision: Revision) -> SimulatedWatch {
        SimulatedWatch(prefix: prefix, next: revision)
    }

    /// The next events of a watch, none if nothing has changed. A lost watch must be made anew.
    public func read(_ watch: inout SimulatedWatch) -> [StoreEvent] {
        guard watch.next >= firstKept else {
            return [.watchLost("etcdserver: mvcc: required revision has been compacted")]
        }
        guard watch.next <= revision else { return [] }
        var events: [StoreEvent] = []
        let begin = Int(watch.next - firstKept)
        for (place, all) in history[begin...].enumerated() {
            let changes = all.filter { $0.key.starts(with: watch.prefix) }
            if !changes.isEmpty { events.append(.changes(changes, revision: watch.next + Revision(place))) }
        }
        watch.next = revision + 1
        return events
    }
}

/// The place of a watch in the store's history.
public struct SimulatedWatch: Sendable {
    public let prefix: [UInt8]
    /// The revision from which on it has shown nothing yet.
    public fileprivate(set) var next: Revision
}

extension StoreChange {
    /// The key that has changed.
    public var key: [UInt8] {
        switch self {
        case .put(let pair): pair.key
        case .deleted(let key, _): key
        }
    }
}
