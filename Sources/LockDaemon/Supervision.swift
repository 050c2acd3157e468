import LockVocabulary
import Systemd

/// What the service manager is told: that the serving thread is alive, and how much there is.
///
/// Without a service manager there is nothing to do, and nothing wakes the daemon for it. What the manager or the log
/// did not take is told again after a moment: no call waits for either.
struct Supervision {
    /// What `systemctl status` shows.
    struct Status: Equatable, CustomStringConvertible {
        var sessions: Int
        var locks: Int
        /// Why what was read last does not hold; nil if it does.
        var fault: String?

        var description: String {
            let counts =
                "\(sessions) \(sessions == 1 ? "session" : "sessions"), \(locks) \(locks == 1 ? "lock" : "locks")"
            return fault.map { "\(counts); \($0)" } ?? counts
        }
    }

    private let watchdog = Watchdog()
    private let readiness = Readiness()
    private var nextKick: Instant?
    private var told = Status(sessions: 0, locks: 0)
    private var nextStatus = Instant.zero
    /// When to tell again what was not taken; nil if all was.
    private var nextRetry: Instant?
    private var isEnding = false
    /// When there is something to tell; nil for not before something happens.
    private(set) var deadline: Instant?

    /// The status is for people, who cannot read more often.
    private static let statusPeriod = Duration.seconds(1)
    /// How long to wait before what was not taken is told again.
    private static let pause = Duration.milliseconds(200)

    /// Clients are served.
    mutating func begin(_ status: Status, at now: Instant) {
        told = status
        readiness.ready(status: told.description)
        if let watchdog { nextKick = now.advanced(by: watchdog.period) }
        deadline = nextKick
    }

    /// Tells what is to be told by now.
    ///
    /// - Parameter status: made only where a service manager hears of it.
    /// - Returns: whether something was not taken: only then can the journal have lost entries since the last call.
    mutating func keep(_ status: @autoclosure () -> Status, _ journal: Journal, at now: Instant) -> Bool {
        retry(journal, at: now)
        kick(at: now)
        deadline = earliest(nextRetry, nextKick)
        let isRetrying = nextRetry != nil
        guard readiness.isHeard else { return isRetrying }
        let status = status()
        if status != told { tell(status, at: now) }
        return isRetrying
    }

    private mutating func retry(_ journal: Journal, at now: Instant) {
        if let retry = nextRetry, retry <= now {
            readiness.tellAgain()
            journal.tellLost()
            nextRetry = nil
        }
        if nextRetry == nil, readiness.hasUntoldChange || journal.hasUntoldLoss {
            nextRetry = now.advanced(by: Self.pause)
        }
    }

    private mutating func kick(at now: Instant) {
        guard let watchdog, let kick = nextKick, kick <= now else { return }
        let isTaken = readiness.alive()
        nextKick = now.advanced(by: isTaken ? watchdog.period : min(Self.pause, watchdog.period))
    }

    private mutating func tell(_ status: Status, at now: Instant) {
        if nextStatus <= now {
            let isTaken = readiness.update(status: status.description)
            nextStatus = now.advanced(by: isTaken ? Self.statusPeriod : Self.pause)
            if isTaken {
                told = status
                return
            }
        }
        deadline = earliest(deadline, nextStatus)
    }

    /// The settings are being read anew; `reloaded` ends it.
    func reloading() {
        if !isEnding { readiness.reloading() }
    }

    mutating func reloaded(_ status: Status) {
        guard !isEnding else { return }
        told = status
        readiness.ready(status: status.description)
    }

    /// No new sessions come in.
    mutating func end(_ status: Status) {
        isEnding = true
        readiness.stopping(status: "draining, \(status)")
    }
}
