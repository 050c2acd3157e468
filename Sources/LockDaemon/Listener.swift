import Glibc
import LockVocabulary
import Posix
import Systemd

/// The listening socket, and the admission of connections.
///
///                 ┌── descriptors for a session ───▶ admitted
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
    private var reserve: OwnedDescriptor?
    private var state = State.open
    private var hasReportedShortage = false

    /// The pause before the next try if no session has closed a descriptor: another process may have closed one.
    private static let pause = Duration.seconds(1)

    /// - Parameter arrived: runs while a connection waits in the backlog.
    init(_ socket: consuming OwnedDescriptor, _ arrived: @escaping @MainActor () -> Void) {
        source = ReadSource(socket.rawValue, arrived)
        self.socket = socket
    }

    /// Accepts one connection. A batch comes before the next, because a connection costs as much as many lines.
    func accept(into reactor: inout Reactor, _ journal: Journal) {
        guard state == .open else { return }
        let accepted: OwnedDescriptor?
        do throws(SystemError) {
            if reserve == nil { reserve = try socket.duplicate() }
            accepted = try UnixSocket.accept(from: socket)
        } catch {
            report(error, journal)
            if !turnAwayNext() { pause() }
            return
        }
        guard let connection = accepted else { return }
        guard DescriptorLimit.leavesRoomForHouse(connection.rawValue) else {
            report(SystemError(code: EMFILE, call: "accept4"), journal)
            return Connection.turnAway(connection)
        }
        // On an error the client has got the refusal, and the connection is closed.
        do throws(SystemError) { try reactor.admit(connection) } catch { report(error, journal) }
    }

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

    private func report(_ error: SystemError, _ journal: Journal) {
        guard !hasReportedShortage else { return }
        hasReportedShortage = true
        journal.write(.outOfRoom(error))
    }
}
