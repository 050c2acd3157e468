import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The holders and waiters of a lock, with a description of each process from `/proc`.
struct LockReport {
    struct DescribedHolder {
        var row: Row.Holder
        var process: ProcessDescription
        /// The process that a background holder holds the lock for.
        var client: Client?
    }

    struct DescribedWaiter {
        var row: Row.Waiter
        var process: ProcessDescription
        /// The processes ahead of the waiter that it waits for, holders first.
        var waitsFor: [Int32?]
    }

    /// A process that `prwlock hold` holds a lock for.
    struct Client {
        var processID: Int32
        var process: ProcessDescription
    }

    let name: LockName
    private(set) var holders: [DescribedHolder] = []
    /// The waiters, in the order in which the daemon will serve them.
    private(set) var waiters: [DescribedWaiter] = []
    /// The number of grants that their owners do not hold, but may take again without the daemon.
    private(set) var cached = 0
    /// The hosts that claim the lock, and those that wait for a claim; both are empty for a lock of this host alone.
    private(set) var claims: [Row.Claim] = []
    private(set) var claimWaiters: [Row.Claim] = []

    /// Whether the lock has neither holders nor waiters.
    var isFree: Bool { holders.isEmpty && waiters.isEmpty }

    /// Queries a daemon over a new connection, and then `/proc`.
    init(
        of name: LockName, at daemon: DaemonChoice, patience: Duration? = nil
    ) throws(Complaint) {
        var connection = try daemon.connect(by: patience.map(Deadline.init(after:)) ?? .never)
        try self.init(of: name, over: &connection, patience: patience ?? CallTime.patience)
    }

    /// - Parameters:
    ///   - limit: the most holders, and the most waiters; nil for all.
    ///   - patience: how long the daemon may stay silent.
    ///   - facts: describes a process; nil to find out whether `/proc` shows the daemon's processes.
    init(
        of name: LockName, over connection: inout BlockingConnection, limit: Int? = nil,
        patience: Duration = CallTime.patience, facts: ((Int32?) -> ProcessDescription)? = nil
    ) throws(Complaint) {
        var holders: [Row.Holder] = []
        var waiters: [Row.Waiter] = []
        var cached = 0
        var (claims, claimWaiters): ([Row.Claim], [Row.Claim]) = ([], [])
        let reply = try connection.ask(.status(name, limit: limit), patience: patience) { row in
            switch row {
            case .holder(let holder): holders.append(holder)
            case .waiter(let waiter): waiters.append(waiter)
            case .cached: cached += 1
            case .claim(let claim): claims.append(claim)
            case .claimWaiter(let claim): claimWaiters.append(claim)
            case .lock, .hot, .session, .stat, .text: break
            }
        }
        if case .denied(let name, let what, let reason) = reply {
            throw Complaint.denied(name, what, reason)
        }
        let found =
            if let facts { facts } else {
                try ProcessDescription.lookup(over: &connection, patience: patience)
            }
        self.init(name, holders, waiters, claims: claims, claimWaiters: claimWaiters, facts: found)
        self.cached = cached
    }

    /// Combines the daemon's rows with the descriptions that `facts` and `clientFacts` return.
    init(
        _ name: LockName, _ holders: [Row.Holder], _ waiters: [Row.Waiter],
        claims: [Row.Claim] = [], claimWaiters: [Row.Claim] = [],
        facts: (Int32?) -> ProcessDescription,
        clientFacts: (Int32) -> ProcessDescription = { ProcessDescription(of: $0) }
    ) {
        self.name = name
        (self.claims, self.claimWaiters) = (claims, claimWaiters)
        self.holders = holders.map { row in
            let client = HoldOwner(row.owner).map { owner in
                // The process id in the owner is one of the holder's namespace.
                let process = owner.isOfThisNamespace ? clientFacts(owner.process) : ProcessDescription()
                return Client(processID: owner.process, process: process)
            }
            return DescribedHolder(row: row, process: facts(row.processID), client: client)
        }
        self.waiters = waiters.enumerated().map { index, row in
            DescribedWaiter(
                row: row, process: facts(row.processID),
                waitsFor: Self.obstacles(of: row, holders, waiters[..<index]))
        }
    }

    /// The processes that a waiter waits for: holders and earlier waiters in a conflicting mode (G2, G3).
    private static func obstacles(
        of waiter: Row.Waiter, _ holders: [Row.Holder], _ ahead: ArraySlice<Row.Waiter>
    ) -> [Int32?] {
        // A waiting upgrade does not wait for its own grant.
        let holding = holders.filter {
            $0.mode.conflicts(with: waiter.mode)
                && !($0.processID == waiter.processID && $0.owner == waiter.owner && $0.note == waiter.note)
        }
        let waiting = ahead.filter { $0.mode.conflicts(with: waiter.mode) }
        return holding.map(\.processID) + waiting.map(\.processID)
    }
}
