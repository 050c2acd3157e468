import LockVocabulary
import LockWire

/// A row of the table of locks.
struct TopLock: Equatable {
    var name: LockName
    var mode: LockMode?
    var holders = 0
    var waiters = 0
    /// How long the oldest waiting request has waited; nil if none waits.
    var waited: Duration?
    /// Grants a second; nil if the daemon does not count them for this lock.
    var rate: Double?
}

/// What the daemon answered at one moment.
struct TopSample {
    /// The daemon in words.
    var daemon = ""
    var time = Instant.zero
    var clock = DisplayClock(now: 0)
    /// By name: the counters of `STATS`.
    var counters: [String: Int] = [:]
    /// Grants a second of all locks; nil if not known yet.
    var rate: Double?
    var locks: [TopLock] = []
    /// The holders and waiters of the lock that is looked at.
    var report: LockReport?
    /// The process that is looked at.
    var process: ProcessReport?
}
