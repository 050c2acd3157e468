import LockVocabulary
import LockWire
import PRWLock
import Posix

/// Asks a daemon for all that its metrics show. It never starts a daemon.
struct MetricsScrape {
    let daemon: DaemonChoice
    /// The most locks that have metrics of their own.
    let locks: Int
    /// How long all of it may take. Prometheus gives up after ten seconds, unless it is told otherwise.
    var time = Duration.seconds(5)

    /// The metrics, and why a daemon's are missing; `prwlock_up` is there in either case.
    func families() -> (families: [MetricFamily], complaint: Complaint?) {
        do throws(Complaint) {
            let end = Deadline(after: time)
            var connection = try daemon.connectToRunning(by: end)
            return (
                [Self.up(true)] + (try ownFamilies(over: &connection, until: end))
                    + (try lockFamilies(over: &connection, until: end)), nil
            )
        } catch {
            return ([Self.up(false)], error)
        }
    }

    private static func up(_ isUp: Bool) -> MetricFamily {
        var family = MetricTable.up
        family.samples = [MetricSample(value: MetricValue(isUp ? 1 : 0))]
        return family
    }

    /// The metrics of the daemon as a whole.
    private func ownFamilies(
        over connection: inout BlockingConnection, until end: Deadline
    ) throws(Complaint) -> [MetricFamily] {
        guard
            case .hello(_, let server, _, _, _) = try connection.ask(
                .hello(client: Note(encoding: "metrics"), recall: nil), patience: end.left ?? .zero)
        else { throw .unexpected }
        var rows: [(name: String, value: Int)] = []
        _ = try connection.ask(.stats, patience: end.left ?? .zero) { row in
            if case .stat(let name, let value) = row { rows.append((name, value)) }
        }
        let version = server.split(separator: "/").last.map(String.init)
        return StatisticsMetrics(rows, version: version).families
    }

    /// The metrics of single locks; none if the daemon is too old to know what locks cost.
    private func lockFamilies(
        over connection: inout BlockingConnection, until end: Deadline
    ) throws(Complaint) -> [MetricFamily] {
        var metrics = LockMetrics()
        do throws(Complaint) {
            metrics.longestWait = .zero
            let request = Verb.list(prefix: "", after: nil, limit: max(1, locks), by: .waited)
            _ = try connection.ask(request, patience: end.left ?? .zero) { row in
                guard case .lock(let lock) = row else { return }
                metrics.longestWait = max(metrics.longestWait ?? .zero, lock.waited ?? .zero)
                metrics.awaited.append(.init(name: lock.name, waiters: lock.waiters))
            }
            metrics.awaited = Array(metrics.awaited.prefix(locks))
            for index in metrics.awaited.indices {
                let request = Verb.status(metrics.awaited[index].name, limit: 1)
                _ = try connection.ask(request, patience: end.left ?? .zero) { row in
                    if case .holder(let holder) = row { metrics.awaited[index].oldestHold = holder.age }
                }
            }
            if locks > 0 {
                try connection.askForHotLocks(by: nil, limit: locks, patience: end.left ?? .zero) { row in
                    metrics.worst.append(row)
                }
            }
        } catch {
            guard error.code == Complaint.protocolFault else { throw error }
            metrics.longestWait = nil
        }
        return metrics.families
    }
}
