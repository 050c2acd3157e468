import LockVocabulary
import LockWire
import PRWLock

/// Reads the graph from the daemon, lock by lock.
///
/// It is no snapshot: a lock may change while another is read. So a circle, or a process that waits for what it holds, may be
/// shown that never was at one moment.
struct GraphReader: ~Copyable {
    /// How many holders and requests of one lock are read.
    private static let mostRows = 1000

    private var connection: BlockingConnection
    /// Whether the daemon knows the ranks of `LIST` and the limit of `STATUS`, which came later than this command's protocol.
    private var hasRanks = true

    init(over connection: consuming BlockingConnection) { self.connection = connection }

    /// - Parameter limit: the most locks to read, those with most requests first.
    mutating func read(_ prefix: String, limit: Int) throws(Complaint) -> WaitGraph {
        // One more, to know whether some are left out.
        let waited = try list(prefix, limit: limit + 1)
        let facts = try ProcessDescription.lookup(over: &connection)
        var graph = WaitGraph()
        for lock in waited.prefix(limit) {
            var rows = WaitGraph.Rows()
            _ = try connection.ask(.status(lock.name, limit: hasRanks ? Self.mostRows : nil)) { row in
                rows.add(row)
            }
            graph.add(lock.name, rows, counted: (lock.holders, lock.waiters), facts: facts)
        }
        graph.isCut = waited.count > limit
        return graph
    }

    /// The locks for which requests wait, those with most requests first.
    private mutating func list(_ prefix: String, limit: Int) throws(Complaint) -> [Row.Lock] {
        do throws(Complaint) {
            return try ask(.list(prefix: prefix, after: nil, limit: limit, by: .waiters))
        } catch {
            guard error.code == Complaint.protocolFault else { throw error }
        }
        hasRanks = false
        let waited = try ask(.list(prefix: prefix, after: nil, limit: nil))
        // Equal numbers keep the order of names.
        let order = waited.indices.sorted { (waited[$1].waiters, $0) < (waited[$0].waiters, $1) }
        return order.map { waited[$0] }
    }

    private mutating func ask(_ list: Verb) throws(Complaint) -> [Row.Lock] {
        var waited: [Row.Lock] = []
        _ = try connection.ask(list) { row in
            if case .lock(let lock) = row, lock.waiters > 0 { waited.append(lock) }
        }
        return waited
    }
}
