import Glibc
import Posix
import Rendezvous
import Systemd

/// Where the daemon listens, and whose socket that is.
///
/// What the service manager made is the service manager's to remove; it goes on listening when the daemon is gone.
struct Endpoint: Sendable {
    /// The socket's path; nil if it has none.
    let path: String?
    /// Whether the daemon removes the socket when it leaves.
    let isOwn: Bool
    /// Whether it is the user's own daemon, whose place a system's daemon takes.
    let isUserOwn: Bool
    private let mode: UInt32
    private let group: UInt32?
    /// The descriptor that listens already; nil if the socket is to be made.
    private let inherited: Int32?

    /// Where to listen by what the daemon was told, and by what it was handed at its start.
    init(_ configuration: Configuration, in surroundings: Surroundings) throws(Departure) {
        mode = configuration.effectiveSocketMode
        group = if let name = configuration.socketGroup { try Self.groupID(name) } else { nil }
        let managed = try Self.managedSocket()
        inherited = managed ?? configuration.listenDescriptor
        if let inherited {
            guard UnixSocket.isListening(inherited) else {
                throw Departure(.usage, "descriptor \(inherited) is not a listening Unix socket")
            }
            path = UnixSocket.path(of: inherited)
            isOwn = managed == nil && path != nil
            isUserOwn = path.map { SocketLocation(naming: $0, in: surroundings).isUserOwn } ?? false
        } else {
            let location =
                configuration.socket.map { SocketLocation(naming: $0, in: surroundings) }
                ?? .find(in: surroundings)
            do throws(RendezvousError) {
                try location.makeFolder(in: surroundings)
            } catch {
                throw Departure(.cannotListen, "\(error)")
            }
            path = location.path
            isOwn = true
            isUserOwn = location.isUserOwn
        }
    }

    /// Whether nobody but the daemon's own user can connect.
    var servesOneUser: Bool { isUserOwn || (isOwn && inherited == nil && mode & 0o077 == 0) }

    /// The socket that the service manager listens on for this daemon; nil if it was started otherwise.
    private static func managedSocket() throws(Departure) -> Int32? {
        let sockets: [InheritedSocket]
        do throws(InheritanceError) {
            sockets = try InheritedSockets.take()
        } catch {
            throw Departure(.usage, "\(error)")
        }
        guard sockets.count <= 1 else {
            throw Departure(
                .usage, "the service manager handed over \(sockets.count) sockets, and one can be served")
        }
        return sockets.first?.descriptor
    }

    /// The listening socket.
    func listen() throws(Departure) -> OwnedDescriptor {
        if let inherited { return UnixSocket.adoptListener(inherited) }
        do throws(RendezvousError) {
            // The lock file is let go at once: whoever has it next finds that somebody listens.
            return try StartLock.acquire(for: path ?? "").listen(mode: mode, group: group)
        } catch {
            if case .alreadyServed = error { throw Departure(.alreadyServed, "\(error)") }
            throw Departure(.cannotListen, "\(error)")
        }
    }

    /// What became of a daemon that wanted to leave.
    enum Leaving: ~Copyable {
        /// Nobody comes any more.
        case left
        /// Somebody came, or is about to: it serves this listener.
        case stayed(OwnedDescriptor)
    }

    /// Leaves if nobody comes meanwhile; who came is given to `arrived`.
    func leave(
        _ listener: consuming OwnedDescriptor, arrived: (consuming OwnedDescriptor) -> Void
    ) throws(RendezvousError) -> Leaving {
        guard isOwn, let path else { return .left }
        guard let lock = try StartLock.tryAcquire(for: path) else { return .stayed(listener) }
        guard let listener = try lock.leave(listener, mode: mode, group: group, arrived: arrived) else {
            return .left
        }
        return .stayed(listener)
    }

    /// Takes the socket away, whoever may be about to come: they find nobody, and start another.
    func remove(_ listener: consuming OwnedDescriptor) {
        guard isOwn, let path else { return }
        // Whoever has the lock file waits for an answer that will not come, and then takes the file away itself.
        guard let lock = (try? StartLock.tryAcquire(for: path)) ?? nil else { return }
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        try? lock.removeSocket()
    }

    private static func groupID(_ name: String) throws(Departure) -> UInt32 {
        if let number = UInt32(name) { return number }
        guard let entry = getgrnam(name) else { throw Departure(.usage, "there is no group `\(name)`") }
        return entry.pointee.gr_gid
    }
}
