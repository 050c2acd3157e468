import Glibc
import LockVocabulary
import Posix
import Systemd

/// The socket that clients connect to, and whether anybody is let in.
///
///              no descriptor left
///  [ OPEN ] ───────────────────────▶ [ OUT OF ROOM ]
///     │  ◀───────────────────────────      │
///     │      one was freed, or a while     │
///     ▼                                    ▼
///  [ SHUT ] (the daemon drains: who comes waits in the backlog, and finds the next daemon or none)
///
/// A spare descriptor is held while it is open. It is given up for the process watch of each connection that is
/// accepted, so that no session is ever without one.
struct Listener: ~Copyable {
    private enum State {
        case open
        case outOfRoom
        case shut
    }

    private let socket: OwnedDescriptor
    private var spare: OwnedDescriptor?
    private var state = State.open
    /// When to try again without having seen a descriptor freed: another process may have freed one.
    private(set) var retry: Instant?
    private var hasSaidSo = false

    private static let pause = Duration.seconds(1)

    init(_ socket: consuming OwnedDescriptor, in events: borrowing EventSet) throws(SystemError) {
        try events.add(socket.rawValue, .listener, .readable)
        self.socket = socket
    }

    /// The listening socket, and nothing else of it.
    consuming func release() -> OwnedDescriptor { socket }

    /// Lets in one who waits; before the next the sessions get their turn, for a connection costs as much as many lines.
    mutating func accept(into reactor: inout Reactor, _ journal: Journal) {
        guard state == .open else { return }
        do throws(SystemError) {
            if spare == nil { spare = try socket.duplicate() }
            guard let connection = try UnixSocket.accept(from: socket) else { return }
            spare = nil
            try reactor.admit(connection)
        } catch {
            stop(for: error, reactor, journal)
        }
    }

    /// There may be room again.
    mutating func resume(in reactor: borrowing Reactor) {
        guard state == .outOfRoom else { return }
        state = .open
        retry = nil
        reactor.events.change(socket.rawValue, .listener, .readable)
    }

    /// Lets nobody in any more.
    mutating func shut(in reactor: borrowing Reactor) {
        state = .shut
        retry = nil
        spare = nil
        reactor.events.remove(socket.rawValue)
    }

    private mutating func stop(for error: SystemError, _ reactor: borrowing Reactor, _ journal: Journal) {
        state = .outOfRoom
        retry = reactor.now.advanced(by: Self.pause)
        reactor.events.change(socket.rawValue, .listener, [])
        guard !hasSaidSo else { return }
        hasSaidSo = true
        journal.write(.outOfRoom(error))
    }
}
