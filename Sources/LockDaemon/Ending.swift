import LockServer
import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// The end of the daemon, after a signal or after a time without a session.
extension Daemon {
    /// Begins the end after TERM or INT: holders and waiters may go on for a while, and no client comes in.
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
        // If a lock is still held, the end is not orderly: the next daemon grants nothing for a while, as after a crash (G1).
        finish { daemon in
            if let listener = daemon.listener { daemon.endpoint.remove(listener.socket) }
            daemon.journal.write(.info, "ended")
        }
    }

    /// Has the disk remember an orderly end, if this is one, and ends the daemon after the last act.
    private func finish(_ last: @escaping @MainActor (Daemon) -> Void) {
        phase = .ending
        // No grant may follow the number that the disk gets: the next daemon would give its token out again. A client has a
        // session here if it was admitted and then the new listener could not be made.
        reactor.drain()
        reactor.news.isEveryBatch = false
        let end: @MainActor () -> Void = {
            last(self)
            self.phase = .ended
        }
        guard reactor.server.isIdle else { return end() }
        leaveFleet { self.state.finish(left: self.reactor.server.tokensLeft, end) }
    }

    // MARK: - Leaving

    /// The pause before a yielding daemon tries again to leave.
    private static let yieldPause = Duration.milliseconds(10)

    /// Makes the daemon leave as soon as it has no session.
    func yield() {
        idlePatience = Self.yieldPause
        idleStart = nil
        awaitsIdleEnd = false
    }

    /// Notes when the last session ends, and starts a timer for the time without a session.
    ///
    /// Sessions that come and go only move the start. One timer runs at a time, and starts again for what is left.
    func lookWhetherIdle() {
        guard let patience = idlePatience else { return }
        guard reactor.clientCount == 0 else {
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

    /// Ends the daemon, unless a client comes at this moment.
    private func leave() {
        idleStart = nil
        // One drain may carry out the accept of a client and then the timer, without housekeeping between them.
        guard reactor.clientCount == 0, let leaving = listener else { return }
        do {
            let outcome = try endpoint.leave(leaving.socket) { connection in
                _ = try? self.reactor.welcome(connection)
            }
            switch consume outcome {
            case .stayed: return
            case .listensAgain(let socket):
                leaving.close()
                listen(on: socket)
                // The new socket may have a file of its own.
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
