import Glibc
import LockVocabulary
import Posix
import Systemd

/// The listening socket, and the acceptance of connections.
///
///                 ┌── descriptors for a session ───▶ waits for a session (`Arrivals`), or its user has too many: refused
///  [ OPEN ] ──────┤
///   │   ▲         └── none ────────────────────────▶ `ERROR limit-sessions`, closed
///   │   │ a descriptor was closed, or a second later
///   │   └──────────────────────────────────────┐
///   ├── not even the reserve lets it accept ──▶ [ OUT OF ROOM ]  (the backlog waits)
///   ▼
///  [ SHUT ] (the daemon drains: a client that connects waits in the backlog, and finds the next daemon or none)
///
/// While it is open, the listener holds one descriptor in reserve. If the table is full, the listener closes the reserve,
/// accepts one connection in its place, sends that client the refusal, closes the connection, and opens the reserve again.
/// So a client gets an answer at once, and does not wait in a backlog from which the daemon accepts nothing. Hardly anything
/// else opens descriptors meanwhile, so the reserve is lost only where the host as a whole has no descriptor (`ENFILE`)
/// or no memory. Then the listener tries again later.
///
/// All users share the backlog. If one of them connects without pause (a crowd), the listener makes the backlog short, and
/// takes connections at a pace that leaves the daemon and the host time for others:
///
///             a crowd             empty               a second without a full burst
///  [ QUIET ] ─────────▶ [ EMPTYING ] ─────▶ [ PACED ] ─────────────────────────────▶ [ QUIET ]
///
/// Then the clients of the flood wait in their own `connect`, and a client of another user finds few connections ahead.
/// While it is quiet, the backlog is long: a client that does not wait in `connect` gets `EAGAIN` from a full one.
///
/// Sessions leave the last descriptors of the table to the daemon itself (`DescriptorLimit`). Otherwise a daemon with a full
/// table could neither read its rules again nor bind its socket again.
@MainActor final class Listener {
    private enum State {
        case open
        case outOfRoom
        case shut
    }

    /// The listening socket.
    let socket: OwnedDescriptor
    private let source: ReadSource
    private let arrived: @MainActor () -> Void
    private var reserve: OwnedDescriptor?
    private var state = State.open
    private var hasReportedShortage = false
    private var crowd = Crowd.quiet
    /// The connections accepted since the last pause.
    private var sincePause = 0
    /// Whether they were as many as a short backlog since the last check for calm.
    private var wasFull = false

    /// Whether work of the main queue is to go on with the backlog.
    private var goesOn = false

    private enum Crowd: Equatable {
        case quiet
        /// At most so many connections are in the backlog from before.
        case emptying(left: Int)
        case paced
    }

    /// The pause before the next try if no session has closed a descriptor: another process may have closed one.
    private static let pause = Duration.seconds(1)
    /// The number of connections that are accepted before the next batch.
    private static let burst = 8
    /// The backlog in a crowd, which is also the number of connections that are accepted between two pauses.
    private static let shortBacklog = 32
    private static let pace = Duration.milliseconds(1)
    /// The time without a full burst after which the crowd is over.
    private static let calm = Duration.seconds(1)

    /// - Parameter arrived: runs while a connection waits in the backlog.
    init(_ socket: consuming OwnedDescriptor, _ arrived: @escaping @MainActor () -> Void) {
        source = ReadSource(socket.rawValue, arrived)
        self.arrived = arrived
        self.socket = socket
    }

    /// Accepts the connections of the backlog, or many of them: then a batch comes before the next.
    func accept(into reactor: inout Reactor, _ journal: Journal) {
        var count = 0
        while state == .open, count < Self.burst, acceptOne(into: &reactor, journal) { count += 1 }
        guard state == .open else { return }
        let isEmpty = count < Self.burst
        sincePause += count
        if sincePause >= Self.shortBacklog { wasFull = true }
        if case .emptying(let left) = crowd {
            crowd = isEmpty || left <= count ? .paced : .emptying(left: left - count)
        }
        if crowd == .quiet, isEmpty {
            sincePause = 0
            return source.resume()
        }
        // Work of the main queue goes on, and not the source: an event of a source takes two switches of threads, and on a
        // busy host each of them may take milliseconds.
        source.suspend()
        guard !goesOn else { return }
        goesOn = true
        let next: @MainActor @Sendable () -> Void = { [weak self] in
            guard let self else { return }
            self.goesOn = false
            if self.state == .open { self.arrived() }
        }
        if crowd == .paced, isEmpty || sincePause >= Self.shortBacklog {
            sincePause = 0
            MainQueue.after(Self.pace, next)
        } else {
            MainQueue.add(next)
        }
    }

    /// Accepts one connection; returns false if there is none, or no room for it.
    private func acceptOne(into reactor: inout Reactor, _ journal: Journal) -> Bool {
        let accepted: OwnedDescriptor?
        do throws(SystemError) {
            if reserve == nil { reserve = try socket.duplicate() }
            accepted = try UnixSocket.accept(from: socket)
        } catch {
            report(error, journal)
            if !turnAwayNext() { pause() }
            return false
        }
        guard let connection = accepted else { return false }
        guard DescriptorLimit.leavesRoomForHouse(connection.rawValue) else {
            report(SystemError(code: EMFILE, call: "accept4"), journal)
            Connection.turnAway(connection)
            return true
        }
        do throws(SystemError) {
            if try reactor.welcome(connection) != .waits { beginCrowd() }
        } catch {
            report(error, journal)
        }
        return true
    }

    // MARK: - Crowds

    private func beginCrowd() {
        guard crowd == .quiet else { return }
        crowd = .emptying(left: Int(UnixSocket.defaultBacklog))
        UnixSocket.setBacklog(of: socket, to: Int32(Self.shortBacklog))
        awaitCalm()
    }

    private func awaitCalm() {
        wasFull = false
        // The timer must not keep the socket open: a client would wait in the backlog of a daemon that has left.
        MainQueue.after(Self.calm) { [weak self] in
            guard let self, self.state != .shut else { return }
            if self.wasFull { return self.awaitCalm() }
            self.crowd = .quiet
            UnixSocket.setBacklog(of: self.socket, to: UnixSocket.defaultBacklog)
        }
    }

    // MARK: - Room

    private func pause() {
        state = .outOfRoom
        source.suspend()
        MainQueue.after(Self.pause) { self.resume() }
    }

    /// Accepts connections again, as there may be room.
    func resume() {
        guard state == .outOfRoom else { return }
        state = .open
        source.resume()
    }

    /// Accepts no more connections.
    func shut() {
        state = .shut
        source.suspend()
        reserve = nil
    }

    /// Closes the socket, as soon as Dispatch has let go of it.
    func close() {
        shut()
        // The handler keeps the listener, and so its socket, until then.
        source.cancel { _ = self }
    }

    /// Accepts a connection in the place of the reserve, and sends it the refusal.
    ///
    /// Returns false if that is not possible, or the reserve is lost.
    private func turnAwayNext() -> Bool {
        guard reserve.take() != nil else { return false }
        do throws(SystemError) {
            if let connection = try UnixSocket.accept(from: socket) { Connection.turnAway(connection) }
            reserve = try socket.duplicate()
            return true
        } catch {
            return false
        }
    }

    /// Reports that a client got no session because of this error; once.
    func report(_ error: SystemError, _ journal: Journal) {
        guard !hasReportedShortage else { return }
        hasReportedShortage = true
        journal.write(.outOfRoom(error))
    }
}
