import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// How the daemon reacts to changes of its place.
extension Daemon {
    /// The pause before the next try for the lock file, which another process has for a moment.
    private static var shortPause: Duration { .milliseconds(10) }
    private static var longPause: Duration { .seconds(1) }

    func answerQuestions() {
        if !place.answer() {
            // No descriptor is left. The question stays in the backlog, and would wake the daemon again and again.
            place.hear(false)
            MainQueue.after(Self.longPause) {
                self.place.hear(true)
                self.lookAtPlace()
            }
        }
        // A process asks because it cannot reach the socket.
        lookAtPlace()
    }

    /// Checks whether the path still leads to this daemon, and listens there again if not. Sessions go on meanwhile.
    func lookAtPlace() {
        // A daemon that ends removes its socket itself.
        guard isServing else { return }
        let wasYielding = place.isYielding
        let isIntact = place.look()
        if place.isYielding, !wasYielding {
            yield()
            journal.write(
                .notice,
                "the system's daemon is to serve this host: this one leaves when its last session has ended")
        }
        guard !isIntact else { return }
        guard endpoint.isOwn else {
            reportLoss(
                "\(endpoint.path ?? "") was removed: sessions go on, and new clients do not reach this daemon until its "
                    + "socket unit is started again, which ends the sessions")
            return
        }
        do throws(RendezvousError) {
            guard let socket = try endpoint.listenAgain(folderMode: place.folderMode, in: surroundings) else {
                return lookAgain(in: Self.shortPause)
            }
            move(to: socket)
            state.followSocket()
            journal.write(.warning, "\(endpoint.path ?? "") was removed, and is made again")
        } catch {
            reportLoss("\(endpoint.path ?? "") was removed, and cannot be made again: \(error)")
            lookAgain(in: Self.longPause)
        }
    }

    /// Checks again after a pause. A later call replaces an earlier one.
    private func lookAgain(in pause: Duration) {
        place.retries += 1
        let retry = place.retries
        MainQueue.after(pause) { if self.place.retries == retry { self.lookAtPlace() } }
    }

    /// Replaces the listener that clients no longer find.
    private func move(to socket: consuming OwnedDescriptor) {
        let old = listener
        listen(on: socket)
        place.renew()
        if case .draining = phase { listener?.shut() }
        guard let old else { return }
        endpoint.empty(old.socket) { connection in
            // A client that comes in the drain sees the connection end, and then waits at the new listener.
            if case .serving = phase { _ = try? reactor.welcome(connection) }
        }
        old.close()
    }

    private func reportLoss(_ words: String) {
        guard !place.hasReportedLoss else { return }
        place.hasReportedLoss = true
        journal.write(.error, words)
    }
}
