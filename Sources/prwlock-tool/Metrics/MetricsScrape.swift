import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

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
            return (Self.up(true) + (try daemonFamilies()), nil)
        } catch {
            return (Self.up(false), error)
        }
    }

    private static func up(_ isUp: Bool) -> [MetricFamily] {
        var family = MetricTable.up
        family.samples = [MetricSample(value: MetricValue(isUp ? 1 : 0))]
        return [family]
    }

    private func daemonFamilies() throws(Complaint) -> [MetricFamily] {
        let end = Deadline(after: time)
        var connection = try daemon.connectToRunning(by: end)
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
}
