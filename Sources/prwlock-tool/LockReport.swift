import LockVocabulary
import LockWire
import PRWLock
import Posix

/// Who holds a lock and who waits for it, with what `/proc` tells of them.
struct LockReport {
    struct DescribedHolder {
        var row: Row.Holder
        var process: ProcessDescription
        /// For whom a background holder holds it.
        var client: Client?
    }

    struct DescribedWaiter {
        var row: Row.Waiter
        var process: ProcessDescription
        /// Those that stand before it, holders first: what it waits for.
        var waitsFor: [Int32?]
    }

    /// A process that had `prwlock hold` hold a lock for it.
    struct Client {
        var processID: Int32
        var process: ProcessDescription
    }

    let name: LockName
    private(set) var holders: [DescribedHolder] = []
    /// In the order in which they would be served.
    private(set) var waiters: [DescribedWaiter] = []

    /// Whether it is neither held nor waited for.
    var isFree: Bool { holders.isEmpty && waiters.isEmpty }

    /// Asks the daemon, and then `/proc`.
    init(
        of name: LockName, at daemon: DaemonOptions, patience: Duration? = nil
    ) throws(Complaint) {
        var connection = try daemon.connect(by: patience.map(Deadline.init(after:)) ?? .never)
        try self.init(of: name, over: &connection, patience: patience ?? CallTime.patience)
    }

    /// - Parameter patience: how long the daemon may say nothing.
    init(
        of name: LockName, over connection: inout BlockingConnection, patience: Duration = CallTime.patience
    ) throws(Complaint) {
        var holders: [Row.Holder] = []
        var waiters: [Row.Waiter] = []
        _ = try connection.ask(.status(name), patience: patience) { row in
            switch row {
            case .holder(let holder): holders.append(holder)
            case .waiter(let waiter): waiters.append(waiter)
            case .lock, .session, .stat, .text: break
            }
        }
        self.init(
            name, holders, waiters,
            facts: try ProcessDescription.lookup(over: &connection, patience: patience))
    }

    /// Out of the daemon's rows; `facts` tells of processes.
    init(
        _ name: LockName, _ holders: [Row.Holder], _ waiters: [Row.Waiter],
        facts: (Int32?) -> ProcessDescription,
        clientFacts: (Int32) -> ProcessDescription = { ProcessDescription(of: $0) }
    ) {
        self.name = name
        self.holders = holders.map { row in
            let client = HoldOwner(row.owner).map { owner in
                // The holder gave its own namespace's number.
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

    /// Whom a waiter waits for: holders that its mode conflicts with, and conflicting requests ahead of it (G2, G3).
    private static func obstacles(
        of waiter: Row.Waiter, _ holders: [Row.Holder], _ ahead: ArraySlice<Row.Waiter>
    ) -> [Int32?] {
        // The grant that waits to be upgraded does not stand in its own way.
        let holding = holders.filter {
            $0.mode.conflicts(with: waiter.mode)
                && !($0.processID == waiter.processID && $0.owner == waiter.owner && $0.note == waiter.note)
        }
        let waiting = ahead.filter { $0.mode.conflicts(with: waiter.mode) }
        return holding.map(\.processID) + waiting.map(\.processID)
    }
}
