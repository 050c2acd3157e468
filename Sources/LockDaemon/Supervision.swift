import Dispatch
import LockVocabulary
import Systemd

/// The messages to the service manager: the state of the daemon, its status for people, and the sign of life.
///
/// Without a service manager this does nothing, and wakes the daemon for nothing. It repeats after a moment what the manager
/// or the journal does not take: no call waits for either.
@MainActor final class Supervision {
    /// What `systemctl status` shows.
    struct Status: Equatable, CustomStringConvertible {
        var counts: Reactor.Counts
        /// How the daemon stands in its fleet; nil without one.
        var fleet: String?
        /// The fault of the last options and rules; nil if the daemon uses them.
        var fault: String?

        var description: String {
            let (sessions, locks) = (counts.sessions, counts.locks)
            let words =
                "\(sessions) \(sessions == 1 ? "session" : "sessions"), \(locks) \(locks == 1 ? "lock" : "locks")"
            return [words, fleet, fault].compactMap(\.self).joined(separator: "; ")
        }
    }

    private let journal: Journal
    private let readiness = Readiness()
    private var watchdog: (any DispatchSourceTimer)?
    /// Runs with each sign of life, with the time within which the next one comes.
    var whenAlive: @MainActor (Duration) -> Void = { _ in }
    /// The status that the manager has; nil before `begin`.
    private var told: Status?
    /// Whether the manager got a status a moment ago: people cannot read more often.
    private var isPausing = false
    /// Whether a timer for a repetition runs.
    private var isRetrying = false
    private var isEnding = false

    private static let statusPeriod = Duration.seconds(1)
    /// The pause before a repetition.
    private static let pause = Duration.milliseconds(200)

    init(_ journal: Journal) { self.journal = journal }

    /// Reports that the daemon serves, and starts the sign of life.
    func begin(_ status: Status) {
        told = status
        readiness.ready(status: status.description)
        guard let period = Watchdog()?.period else { return }
        let timer = DispatchSource.makeTimerSource(queue: .main)
        timer.setEventHandler { self.kick(period) }
        timer.schedule(in: period, every: period)
        timer.activate()
        watchdog = timer
        // At once: otherwise workers that are killed one after another, each before its timer, would look like one that hangs.
        kick(period)
    }

    /// Sends the sign of life, on the serving thread: a hung daemon must not look alive.
    private func kick(_ period: Duration) {
        whenAlive(period)
        if !readiness.alive() { watchdog?.schedule(in: min(period, Self.pause), every: period) }
    }

    /// The counts that the manager has; nil if it gets no other counts now.
    var toldCounts: Reactor.Counts? { readiness.isHeard && !isPausing ? told?.counts : nil }

    /// Sends a status that differs from the last one, and starts a repetition if the manager or the journal took nothing.
    ///
    /// Call this after all work that may have changed the status or written to the journal.
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

    /// Reports that a reload begins; `reloaded` ends it.
    func reloading() {
        if !isEnding { readiness.reloading() }
    }

    func reloaded(_ status: Status) {
        guard !isEnding else { return }
        told = status
        readiness.ready(status: status.description)
    }

    /// Reports that the daemon ends.
    func end(_ status: Status) {
        isEnding = true
        readiness.stopping(status: "draining, \(status)")
    }
}
