import Glibc
import LockVocabulary
import Systemd

/// What the service manager is told: that the serving thread is alive, and how much there is.
///
/// Without a service manager there is nothing to do, and nothing wakes the daemon for it.
struct Supervision {
    /// What `systemctl status` shows.
    struct Status: Equatable, CustomStringConvertible {
        var sessions: Int
        var locks: Int

        var description: String {
            "\(sessions) \(sessions == 1 ? "session" : "sessions"), \(locks) \(locks == 1 ? "lock" : "locks")"
        }
    }

    private let watchdog = Watchdog()
    private let isHeard = getenv("NOTIFY_SOCKET") != nil
    private var nextKick: Instant?
    private var told = Status(sessions: 0, locks: 0)
    private var nextStatus = Instant.zero
    /// When there is something to tell; nil for not before something happens.
    private(set) var deadline: Instant?

    /// The status is for people, who cannot read more often.
    private static let statusPeriod = Duration.seconds(1)

    /// Clients are served.
    mutating func begin(at now: Instant) {
        Readiness.ready(status: told.description)
        if let watchdog { nextKick = now.advanced(by: watchdog.period) }
        deadline = nextKick
    }

    /// Tells what is to be told by now.
    mutating func keep(_ status: Status, at now: Instant) {
        if let watchdog, let kick = nextKick, kick <= now {
            watchdog.kick()
            nextKick = now.advanced(by: watchdog.period)
        }
        deadline = nextKick
        guard isHeard, status != told else { return }
        if nextStatus <= now {
            Readiness.update(status: status.description)
            told = status
            nextStatus = now.advanced(by: Self.statusPeriod)
        } else {
            deadline = earliest(deadline, nextStatus)
        }
    }

    /// The settings are read anew, by `read`.
    func reload(_ read: () -> Void) {
        Readiness.reloading()
        read()
        Readiness.ready(status: told.description)
    }

    /// No new sessions come in.
    func end(_ status: Status) {
        Readiness.stopping(status: "draining, \(status)")
    }
}
