import LockVocabulary
import LockWire
import PRWLock

/// Reads the graph from the daemon, lock by lock.
///
/// It is no snapshot: a lock may change while another is read. So a circle, or a process that waits for what it holds, may be
/// shown that never was at one moment.
enum GraphReader {
    static func read(
        _ prefix: String, limit: Int, over connection: inout BlockingConnection
    ) throws(Complaint) -> WaitGraph {
        var waited: [Row.Lock] = []
        _ = try connection.ask(.list(prefix: prefix, after: nil, limit: nil)) { row in
            if case .lock(let lock) = row, lock.waiters > 0 { waited.append(lock) }
        }
        // Equal numbers keep the order of names.
        let order = waited.indices.sorted { (waited[$1].waiters, $0) < (waited[$0].waiters, $1) }
        let facts = try ProcessDescription.lookup(over: &connection)
        var graph = WaitGraph()
        for lock in order.prefix(limit).map({ waited[$0] }) {
            var rows = WaitGraph.Rows()
            _ = try connection.ask(.status(lock.name)) { row in rows.add(row) }
            graph.add(lock.name, rows, facts: facts)
        }
        graph.locksLeftOut = max(0, waited.count - limit)
        return graph
    }
}
