import LockVocabulary
import LockWire

/// The metrics of single locks: what the worst have cost, and what waits now.
///
/// Each lock has a label with its name. The name is encoded as in the protocol, so two locks never have one label, and
/// the label contains no character that a terminal, a shell or a page would obey. Notes, processes and users have no
/// metrics: what a scraper stores, others can read.
struct LockMetrics {
    /// The locks that have cost most, from `HOT`.
    var worst: [Row.Hot] = []
    /// The locks with requests that wait, those that have waited longest first, from `LIST`.
    var awaited: [AwaitedLock] = []
    /// The longest time that a request has waited until now; nil if the daemon does not tell.
    var longestWait: Duration?

    /// A lock with requests that wait.
    struct AwaitedLock {
        var name: LockName
        var waiters: Int
        /// How long ago its oldest grant began; nil if it has none.
        var oldestHold: Duration?
    }

    static let longestWaitFamily = MetricFamily(
        name: "prwlock_longest_wait_seconds", kind: .gauge, unit: .seconds,
        help: "How long the oldest waiting request has waited; 0 if none waits.")
    static let blockingHold = MetricFamily(
        name: "prwlock_blocking_hold_seconds", kind: .gauge, unit: .seconds,
        help: "How long the oldest holder has held a lock for which requests wait.")
    static let waiters = MetricFamily(
        name: "prwlock_lock_waiters", kind: .gauge, help: "Requests that wait for the lock.")
    static let grants = MetricFamily(
        name: "prwlock_lock_grants", kind: .counter, help: "Grants of the lock that have ended; an estimate.")
    static let held = MetricFamily(
        name: "prwlock_lock_held_seconds", kind: .counter, unit: .seconds,
        help: "How long the lock was held in all; an estimate.")
    static let waits = MetricFamily(
        name: "prwlock_lock_waits", kind: .counter, help: "Requests that have waited for the lock.")
    static let waited = MetricFamily(
        name: "prwlock_lock_waited_seconds", kind: .counter, unit: .seconds,
        help: "How long requests have waited for the lock in all.")
    static let longest = MetricFamily(
        name: "prwlock_lock_longest_wait_seconds", kind: .gauge, unit: .seconds,
        help: "The longest wait for the lock since the process began to serve.")

    static let allFamilies = [
        longestWaitFamily, blockingHold, waiters, grants, held, waits, waited, longest,
    ]

    var families: [MetricFamily] {
        var total = Self.longestWaitFamily
        total.samples = longestWait.map { [MetricSample(value: MetricValue($0))] } ?? []
        let held = awaited.filter { $0.oldestHold != nil }
        return [
            total,
            Self.blockingHold.with(held, name: \.name) { MetricValue($0.oldestHold ?? .zero) },
            Self.waiters.with(awaited, name: \.name) { MetricValue($0.waiters) },
            Self.grants.with(worst, name: \.name) { MetricValue($0.grants) },
            Self.held.with(worst, name: \.name) { MetricValue($0.held) },
            Self.waits.with(worst, name: \.name) { MetricValue($0.waits) },
            Self.waited.with(worst, name: \.name) { MetricValue($0.waited) },
            Self.longest.with(worst, name: \.name) { MetricValue($0.longest) },
        ]
    }
}

extension MetricFamily {
    /// The family with a sample for each lock.
    fileprivate func with<Lock>(
        _ locks: [Lock], name: (Lock) -> LockName, value: (Lock) -> MetricValue
    ) -> MetricFamily {
        var family = self
        family.samples = locks.map { MetricSample(labels: [("lock", name($0).text)], value: value($0)) }
        return family
    }
}
