import Dispatch
import LockVocabulary
import Systemd

/// What the service manager is told: that the serving thread is alive, and how much there is.
///
/// Without a service manager there is nothing to do, and nothing wakes the daemon for it. What the manager or the log
/// did not take is told again after a moment: no call waits for either.
@MainActor final class Supervision {
    /// What `systemctl status` shows.
    struct Status: Equatable, CustomStringConvertible {
        var counts: Reactor.Counts
        /// Why what was read last does not hold; nil if it does.
        var fault: String?

        var description: String {
            let (sessions, locks) = (counts.sessions, counts.locks)
            let words =
                "\(sessions) \(sessions == 1 ? "session" : "sessions"), \(locks) \(locks == 1 ? "lock" : "locks")"
            return fault.map { "\(words); \($0)" } ?? words
        }
    }

    private let journal: Journal
    private let readiness = Readiness()
    private var watchdog: (any DispatchSourceTimer)?
    /// The status that the manager has; nil before the start.
    private var told: Status?
    /// Whether a status was told a moment ago: it is for people, who cannot read more often.
    private var isPausing = false
    /// Whether what was not taken is told again in a moment.
    private var isRetrying = false
    private var isEnding = false

    private static let statusPeriod = Duration.seconds(1)
    /// How long to wait before what was not taken is told again.
    private static let pause = Duration.milliseconds(200)

    init(_ journal: Journal) { self.journal = journal }

    /// Clients are served.
    func begin(_ status: Status) {
        told = status
        readiness.ready(status: status.description)
        guard let period = Watchdog()?.period else { return }
        let timer = DispatchSource.makeTimerSource(queue: .main)
        timer.setEventHandler { self.kick(period) }
        timer.schedule(in: period, every: period)
        timer.activate()
        watchdog = timer
    }

    /// The sign of life comes from the thread that serves, so that a hung daemon does not look alive.
    private func kick(_ period: Duration) {
        if !readiness.alive() { watchdog?.schedule(in: min(period, Self.pause), every: period) }
    }

    /// The counts that the manager has, if it is to be told of others now; nil if not.
    var toldCounts: Reactor.Counts? { readiness.isHeard && !isPausing ? told?.counts : nil }

    /// Tells what has changed, and sees to it that what is not taken is told again.
    ///
    /// To be called after each batch or piece of work that may have written to the journal, or changed the status.
    func update(_ status: Status) {
        if readiness.isHeard, status != told, !isPausing {
            let isTaken = readiness.update(status: status.description)
            if isTaken { told = status }
            isPausing = true
            MainQueue.after(isTaken ? Self.statusPeriod : Self.pause) { self.isPausing = false }
        }
        if readiness.hasUntoldChange || journal.hasUntoldLoss { retryLater() }
    }

    private func retryLater() {
        guard !isRetrying else { return }
        isRetrying = true
        MainQueue.after(Self.pause) {
            self.isRetrying = false
            self.readiness.tellAgain()
            self.journal.tellLost()
        }
    }

    /// The settings are being read anew; `reloaded` ends it.
    func reloading() {
        if !isEnding { readiness.reloading() }
    }

    func reloaded(_ status: Status) {
        guard !isEnding else { return }
        told = status
        readiness.ready(status: status.description)
    }

    /// No new sessions come in.
    func end(_ status: Status) {
        isEnding = true
        readiness.stopping(status: "draining, \(status)")
    }
}
