/// What each row of `STATS` becomes. The manual page prwlock-metrics(7) has the same names; a test compares them.
///
/// A row that is not in the table is printed as `prwlock_other{row="…"}`: a daemon may be newer than this command.
enum MetricTable {
    /// A row of `STATS`, or several with names that begin alike.
    struct Entry {
        /// What becomes of the rows.
        enum Meaning {
            /// The value in the family's unit, or a number without one.
            case value
            /// A value in milliseconds, of a family in seconds.
            case milliseconds
            /// The rows of a histogram: `row` is the count, `sum` the sum in microseconds, and `buckets` is what the
            /// names of its buckets begin with. Such a name ends in the highest duration that the bucket counts.
            case histogram(sum: String, buckets: String)
            /// A label of `prwlock_build_info`.
            case buildLabel(String)
            /// No metric, for this reason.
            case omitted(String)
        }

        let row: String
        let meaning: Meaning
        /// The family without samples; nil if the rows are no family of their own.
        var family: MetricFamily?
    }

    /// Whether a daemon answers. A scraper alerts on it, as a daemon that is down has no other metrics.
    static let up = MetricFamily(
        name: "prwlock_up", kind: .gauge, help: "Whether the lock daemon answers: 1, or 0 if it does not.")
    static let build = MetricFamily(
        name: "prwlock_build", kind: .info,
        help: "The version of the lock daemon, and the format of its ledger.")
    static let other = MetricFamily(
        name: "prwlock_other", kind: .unknown,
        help: "Rows of the daemon's statistics for which this version of prwlock has no metric.")

    static let entries: [Entry] =
        presentState + limits + totals + histograms + fleet + [
            gauge("process-watches", "process_watches", "Whether the daemon can watch processes: 1 or 0."),
            gauge("token-files", "token_files", "Files that remember the fencing tokens."),
            gauge("uptime-s", "uptime_seconds", "Time since the serving process began to serve.", .seconds),
            counter(
                "restarts", "restarts",
                "How often another process began to serve, by an upgrade too; "
                    + "a restart of the service sets it to 0."),
            Entry(row: "ledger-format", meaning: .buildLabel("ledger_format")),
            Entry(row: "pid-namespace", meaning: .omitted("it identifies a namespace and measures nothing")),
        ]

    private static let presentState = [
        gauge("sessions", "sessions", "Sessions that are connected."),
        gauge("locks", "locks", "Locks that are held, cached, waited for or marked."),
        gauge("grants", "open_grants", "Grants that are held or cached."),
        gauge("waiters", "waiters", "Requests that wait."),
        gauge("marks", "marks", "Locks with the mark that their last writer died."),
        gauge("watchers", "watchers", "Sessions that watch changes of locks."),
        gauge("buffered-bytes", "buffered_bytes", "Input and output that is kept for sessions.", .bytes),
        gauge("tokens-left", "tokens_left", "Fencing tokens that are left before the daemon writes a file."),
    ]

    private static let limits = [
        gauge("max-sessions", "sessions_limit", "The limit of sessions."),
        gauge("max-grants", "open_grants_limit", "The limit of grants that are held or cached."),
        gauge("max-waiters", "waiters_limit", "The limit of requests that wait."),
    ]

    private static let totals = [
        counter("total-lines", "lines", "Lines that were received from sessions."),
        counter("total-grants", "grants", "Requests that were granted."),
        counter("total-busy", "busy", "Requests that were refused because others held the lock."),
        counter("total-timeouts", "timeouts", "Requests that waited in vain until their deadline."),
        counter("total-deadlocks", "deadlocks", "Requests that would have closed a circle of waiting."),
        counter("total-expired-leases", "lease_expiries", "Grants that ended with their lease."),
        counter("total-died-holding", "deaths_holding", "Grants that ended because their session did."),
        counter("total-denied", "denied", "Requests that a rule refused."),
        counter("total-order-broken", "order_violations", "Requests against the order of a rule."),
        counter("total-reloads", "reloads", "Reloads of options and rules."),
        counter("total-refused-reloads", "refused_reloads", "Reloads that changed nothing, for a fault."),
        counter("total-lost-entries", "lost_journal_entries", "Entries that the journal did not accept."),
        counter("total-fatal-lines", "fatal_lines", "Sessions with a line that ended the serving process."),
    ]

    private static let histograms = [
        histogram(
            count: "total-waits", sum: "total-waited-us", buckets: "waits-le-", "wait_duration_seconds",
            "How long requests waited that had to wait."),
        histogram(
            count: "total-holds", sum: "total-held-us", buckets: "holds-le-", "hold_duration_seconds",
            "How long grants were held that have ended."),
    ]

    private static let fleet = [
        gauge("cluster-claims", "cluster_claims", "Names that this host claims in the cluster."),
        gauge("cluster-registers", "cluster_registers", "Names of which this host knows the state."),
        gauge("cluster-reachable", "cluster_reachable", "Whether the cluster answers: 1 or 0."),
        Entry(
            row: "cluster-lease-left", meaning: .milliseconds,
            family: MetricFamily(
                name: "prwlock_cluster_lease_left_seconds", kind: .gauge, unit: .seconds,
                help: "How long grants on shared locks still count if the cluster does not answer.")),
        counter("total-keepalives", "cluster_keepalives", "Keep-alives that the cluster answered."),
        counter("total-claims", "cluster_gained_claims", "Claims that this host gained."),
        counter("total-handovers", "cluster_handovers", "Claims that this host gave to other hosts."),
        counter("total-lost-leases", "cluster_lost_leases", "How often all claims of this host ended."),
    ]

    private static func gauge(
        _ row: String, _ name: String, _ help: String, _ unit: MetricFamily.Unit? = nil
    ) -> Entry {
        Entry(
            row: row, meaning: .value,
            family: MetricFamily(name: "prwlock_\(name)", kind: .gauge, unit: unit, help: help))
    }

    private static func counter(_ row: String, _ name: String, _ help: String) -> Entry {
        Entry(
            row: row, meaning: .value,
            family: MetricFamily(name: "prwlock_\(name)", kind: .counter, help: help))
    }

    private static func histogram(
        count: String, sum: String, buckets: String, _ name: String, _ help: String
    ) -> Entry {
        Entry(
            row: count, meaning: .histogram(sum: sum, buckets: buckets),
            family: MetricFamily(
                name: "prwlock_\(name)", kind: .histogram, unit: .seconds, help: help))
    }
}
