import LockServer
import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// How the daemon ends, because it is told to or has been without a session for a while.
extension Daemon {
    /// TERM or INT: those who hold and wait may go on for a while, and nobody else comes in.
    func drain() {
        guard case .serving = phase else { return }
        journal.write(.info, "draining: told to end")
        phase = .draining
        reactor.news.isEveryBatch = true
        MainQueue.after(configuration.drain) { self.isDrainOver = true }
        supervision.end(status)
        listener?.shut()
        reactor.drain()
    }

    /// The drain is over.
    func end() {
        // Who holds a lock to the last has the next daemon wait for a while, as after a crash (G1).
        finish { daemon in
            if let listener = daemon.listener { daemon.endpoint.remove(listener.socket) }
            daemon.journal.write(.info, "ended")
        }
    }

    /// Remembers an orderly end if there is one, and ends after the last act.
    private func finish(_ last: @escaping @MainActor (Daemon) -> Void) {
        phase = .ending
        reactor.news.isEveryBatch = false
        let end: @MainActor () -> Void = {
            last(self)
            self.phase = .ended
        }
        guard reactor.server.isIdle else { return end() }
        state.finish(left: reactor.server.tokensLeft, end)
    }

    // MARK: - Leaving

    /// How long a daemon that is to make room for the system's waits before it tries again to leave.
    private static let yieldPause = Duration.milliseconds(10)

    /// Leaves with the last session from here on.
    func yield() {
        idlePatience = Self.yieldPause
        idleStart = nil
        awaitsIdleEnd = false
    }

    /// Notes since when there is no session, and has a timer look again when that is long enough.
    ///
    /// Sessions that come and go meanwhile only move the start: one timer runs at a time, and it goes on for the rest.
    func lookWhetherIdle() {
        guard let patience = idlePatience else { return }
        guard reactor.sessionCount == 0 else {
            idleStart = nil
            return
        }
        if idleStart == nil { idleStart = reactor.now }
        if !awaitsIdleEnd { awaitIdleEnd(after: patience) }
    }

    private func awaitIdleEnd(after pause: Duration) {
        awaitsIdleEnd = true
        MainQueue.after(pause) {
            self.awaitsIdleEnd = false
            guard case .serving = self.phase, let start = self.idleStart, let patience = self.idlePatience
            else { return }
            let rest = self.reactor.now.duration(to: start.advanced(by: patience))
            if rest > .zero { self.awaitIdleEnd(after: rest) } else { self.leave() }
        }
    }

    /// Ends unless somebody comes at this moment.
    private func leave() {
        idleStart = nil
        guard let leaving = listener else { return }
        do {
            let outcome = try endpoint.leave(leaving.socket) { connection in
                try? self.reactor.admit(connection)
            }
            switch consume outcome {
            case .stayed: return
            case .listensAgain(let socket):
                leaving.close()
                listen(on: socket)
                // It may stand on a file of its own again.
                place.renew()
            case .left:
                leaving.close()
                listener = nil
                place.vacate()
                finish { daemon in
                    daemon.journal.write(
                        .info,
                        daemon.place.isYielding
                            ? "ended, to make room for the system's daemon"
                            : "ended, after \(daemon.configuration.exitWhenIdle ?? .zero) without a session")
                }
            }
        } catch {
            journal.write(.error, "no longer listening (\(error))")
            leaving.close()
            listener = nil
            finish { _ in }
        }
    }
}
