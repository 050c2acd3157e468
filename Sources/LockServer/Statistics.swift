import LockCore
import LockVocabulary
import LockWire

/// Counters since the daemon's start.
struct Statistics {
    var lines = 0
    var grants = 0
    var busy = 0
    var timeouts = 0
    var deadlocks = 0
    var expired = 0
    var diedHolding = 0
    var denied = 0
    var orderBroken = 0
    var shell = ShellCounts()
    let hostRows: [ServerConfiguration.HostRow]

    init(hostRows: [ServerConfiguration.HostRow]) { self.hostRows = hostRows }
}

/// Counters of the shell, which `STATS` shows with the server's own.
public struct ShellCounts: Sendable {
    /// Entries that the journal did not accept.
    public var lostEntries = 0
    /// How often options and rules were reloaded.
    public var reloads = 0
    /// How often a reload found a fault.
    public var refusedReloads = 0
    /// Sessions that were cut off because a line of theirs ended the process that served.
    public var fatalLines = 0
}

extension Server {
    /// The rows of `STATS`: the present state, then totals, then what the host permits.
    func statisticsRows() -> [Row] {
        [
            .stat(name: "sessions", value: table.sessionCount),
            .stat(name: "locks", value: table.lockCount),
            .stat(name: "grants", value: table.grantCount),
            .stat(name: "waiters", value: table.waiterCount),
            .stat(name: "marks", value: table.markCount),
            .stat(name: "watchers", value: watchers.count),
            .stat(name: "buffered-bytes", value: conversations.buffered),
            .stat(name: "tokens-left", value: Int(clamping: table.tokensLeft)),
            .stat(name: "total-lines", value: statistics.lines),
            .stat(name: "total-grants", value: statistics.grants),
            .stat(name: "total-busy", value: statistics.busy),
            .stat(name: "total-timeouts", value: statistics.timeouts),
            .stat(name: "total-deadlocks", value: statistics.deadlocks),
            .stat(name: "total-expired-leases", value: statistics.expired),
            .stat(name: "total-died-holding", value: statistics.diedHolding),
            .stat(name: "total-denied", value: statistics.denied),
            .stat(name: "total-order-broken", value: statistics.orderBroken),
            .stat(name: "total-reloads", value: statistics.shell.reloads),
            .stat(name: "total-refused-reloads", value: statistics.shell.refusedReloads),
            .stat(name: "total-lost-entries", value: statistics.shell.lostEntries),
            .stat(name: "total-fatal-lines", value: statistics.shell.fatalLines),
        ] + timeRows("wait", "waited", table.times.waits) + timeRows("hold", "held", table.times.holds) + [
            .stat(name: "max-sessions", value: sessionsToShare),
            .stat(name: "max-grants", value: limits.rules.grants),
            .stat(name: "max-waiters", value: limits.rules.waiters),
            .stat(name: "uptime-s", value: Int(start.duration(to: table.now).components.seconds)),
        ] + fleetRows() + statistics.hostRows.map { .stat(name: $0.name, value: $0.value) }
    }

    /// How many times there were, their sum, and for each bucket how many were at most so long.
    private func timeRows(_ noun: String, _ past: String, _ times: TimeBuckets) -> [Row] {
        var rows: [Row] = [
            .stat(name: "total-\(noun)s", value: times.all),
            .stat(name: "total-\(past)-us", value: times.total),
        ]
        var count = 0
        for bucket in 0..<TimeBuckets.count {
            count += times[bucket]
            guard let bound = TimeBuckets.bound(of: bucket) else { break }
            rows.append(.stat(name: "\(noun)s-le-\(bound)us", value: count))
        }
        return rows
    }
}
