import Glibc
import LockVocabulary
import Posix
import Systemd

/// The socket that clients connect to, and what becomes of a connection.
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
/// accepts one connection in its place, tells that client so and closes it, and opens the reserve again. So a client is
/// told at once, and does not wait in a backlog that is not read. The serving thread is the only one that opens
/// descriptors while it serves, so the reserve is lost only where the host as a whole has none left (`ENFILE`), or no
/// memory: then nothing can be accepted, and the listener tries again later.
///
/// Sessions leave the last descriptors of the table to the house (`DescriptorLimit`): without them a daemon with a full
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

    /// How long to wait without having seen a descriptor freed: another process may have freed one.
    private static let pause = Duration.seconds(1)

    /// - Parameter arrived: is called while a connection waits in the backlog.
    init(_ socket: consuming OwnedDescriptor, _ arrived: @escaping @MainActor () -> Void) {
        source = ReadSource(socket.rawValue, arrived)
        self.socket = socket
    }

    /// Lets in one who waits; before the next the sessions get their turn, for a connection costs as much as many lines.
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
        // A connection that cannot be admitted was told so, and is closed.
        do throws(SystemError) { try reactor.admit(connection) } catch { report(error, journal) }
    }

    private func pause() {
        state = .outOfRoom
        source.suspend()
        MainQueue.after(Self.pause) { self.resume() }
    }

    /// There may be room again.
    func resume() {
        guard state == .outOfRoom else { return }
        state = .open
        source.resume()
    }

    /// Lets nobody in any more.
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

    /// Accepts a connection in the place of the reserve, and tells its client that there is no room for a session.
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
