import LockVocabulary
import LockWire

/// Which processes wait for which others, through which locks: a resource-allocation graph
/// (R. C. Holt, "Some Deadlock Properties of Computer Systems", 1972).
///
///     process ── waits ──▶ lock ── is held by ──▶ process
///
/// It has the locks for which requests wait, all requests for them, and all grants on them. A node is a process and not an
/// owner within it, because people look for processes. The daemon refuses circles of owners, but threads of one process are
/// several owners: so the graph may have circles, and no search in it relies on their absence.
struct WaitGraph {
    /// A process, or a host of a fleet, that waits or is waited for.
    struct Party {
        enum Identity: Hashable {
            case process(Int32)
            /// A process that the daemon cannot see. Two of these are never taken for one.
            case unknown(Int)
            case host(HostName)
        }

        let identity: Identity
        var process = ProcessDescription()
        /// The grants and the requests of this party, as indices.
        var grants: [Int] = []
        var waits: [Int] = []
    }

    struct Lock {
        let name: LockName
        /// How many grants and requests the daemon counts; the rows may be fewer.
        var holders = 0
        var waiters = 0
        /// The grants, and the requests in the order in which they will be served, as indices.
        var grants: [Int] = []
        var waits: [Int] = []
    }

    struct Grant {
        let party: Int
        let lock: Int
        let mode: LockMode
        /// How long the party has held the lock; nil for a host.
        var age: Duration?
        var leaseLeft: Duration?
        var note = Note.none
        var token: Token?
    }

    struct Wait {
        let party: Int
        let lock: Int
        let mode: LockMode
        let waited: Duration
        let timeout: TimeLimit
        let note: Note
        /// The place in the queue, from 1.
        let place: Int
        /// The mode in which this request conflicts with the holders that it waits for: behind a writer it waits for
        /// everything that the writer waits for (G2).
        let conflictingMode: LockMode
    }

    private(set) var parties: [Party] = []
    private(set) var locks: [Lock] = []
    private(set) var grants: [Grant] = []
    private(set) var waits: [Wait] = []
    /// Whether the graph lacks locks for which requests wait.
    var isCut = false
    private var known: [Party.Identity: Int] = [:]

    var isEmpty: Bool { waits.isEmpty }

    /// What the daemon says of one lock.
    struct Rows {
        var holders: [Row.Holder] = []
        var waiters: [Row.Waiter] = []
        var claims: [Row.Claim] = []

        mutating func add(_ row: Row) {
            if case .holder(let holder) = row { holders.append(holder) }
            if case .waiter(let waiter) = row { waiters.append(waiter) }
            if case .claim(let claim) = row { claims.append(claim) }
        }
    }

    /// Adds a lock. Does nothing if no request waits for it any more.
    ///
    /// - Parameters:
    ///   - counted: the numbers of holders and waiters, if the daemon was asked for fewer rows.
    ///   - facts: describes a process.
    mutating func add(
        _ name: LockName, _ rows: Rows, counted: (holders: Int, waiters: Int) = (0, 0),
        facts: (Int32?) -> ProcessDescription
    ) {
        guard !rows.waiters.isEmpty else { return }
        let lock = locks.count
        locks.append(
            Lock(
                name: name, holders: max(counted.holders, rows.holders.count),
                waiters: max(counted.waiters, rows.waiters.count)))
        for row in rows.holders {
            let party = party(of: row.processID, row.owner, facts: facts)
            add(
                Grant(
                    party: party, lock: lock, mode: row.mode, age: row.age, leaseLeft: row.leaseLeft,
                    note: row.note, token: row.token))
        }
        var hasWriter = false
        for (index, row) in rows.waiters.enumerated() {
            hasWriter = hasWriter || row.mode == .write
            let party = party(of: row.processID, row.owner, facts: facts)
            add(
                Wait(
                    party: party, lock: lock, mode: row.mode, waited: row.waited, timeout: row.timeout,
                    note: row.note, place: index + 1, conflictingMode: hasWriter ? .write : row.mode))
        }
        addHosts(rows, lock)
    }

    /// Adds the hosts that claim a lock that no process of this host holds.
    ///
    /// A daemon with a claim would have granted the lock. So another host has the claim, and only that host knows its holders.
    private mutating func addHosts(_ rows: Rows, _ lock: Int) {
        guard rows.holders.isEmpty else { return }
        for claim in rows.claims {
            add(Grant(party: party(Party.Identity.host(claim.host)), lock: lock, mode: claim.mode))
        }
    }

    private mutating func add(_ grant: Grant) {
        parties[grant.party].grants.append(grants.count)
        locks[grant.lock].grants.append(grants.count)
        grants.append(grant)
    }

    private mutating func add(_ wait: Wait) {
        parties[wait.party].waits.append(waits.count)
        locks[wait.lock].waits.append(waits.count)
        waits.append(wait)
    }

    /// The party of a row. The process that `prwlock hold` holds a lock for stands for the one that holds it, because that
    /// process goes on only when it has the lock.
    private mutating func party(
        of process: Int32?, _ owner: OwnerID, facts: (Int32?) -> ProcessDescription
    ) -> Int {
        let client = HoldOwner(owner).flatMap { $0.isOfThisNamespace ? $0.process : nil }
        guard let process = client ?? process else { return party(.unknown(parties.count)) }
        if let index = known[.process(process)] { return index }
        let index = party(Party.Identity.process(process))
        parties[index].process = facts(process)
        return index
    }

    private mutating func party(_ identity: Party.Identity) -> Int {
        if let index = known[identity] { return index }
        known[identity] = parties.count
        parties.append(Party(identity: identity))
        return parties.count - 1
    }

    /// Whether a request waits for this grant to end.
    func isBehind(_ wait: Wait, _ grant: Grant) -> Bool {
        wait.lock == grant.lock && wait.conflictingMode.conflicts(with: grant.mode)
            // A waiting upgrade does not wait for its own grant.
            && wait.party != grant.party
    }

    /// The requests for a lock in the order of the queue, those of one party together in the place of its first.
    func queue(of lock: Int) -> [[Int]] {
        var places: [Int: Int] = [:]
        var queue: [[Int]] = []
        for wait in locks[lock].waits {
            if let place = places[waits[wait].party] {
                queue[place].append(wait)
            } else {
                places[waits[wait].party] = queue.count
                queue.append([wait])
            }
        }
        return queue
    }

    /// The grants that a request waits for.
    func obstacles(of wait: Wait) -> [Grant] {
        locks[wait.lock].grants.map { grants[$0] }.filter { isBehind(wait, $0) }
    }
}

extension WaitGraph.Party.Identity {
    /// The process id, or the host's name.
    var shown: String {
        switch self {
        case .process(let process): String(process)
        case .unknown: "?"
        case .host(let host): "host \(host.text)"
        }
    }
}
