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
    /// Whether it is the user's own daemon. A user has one, and it yields to the system's daemon.
    let isUserOwn: Bool
    /// Whether the service manager listens for it.
    let isManaged: Bool
    private let mode: UInt32
    private let group: UInt32?
    /// The descriptor that listens already; nil if the socket is to be made.
    private let inherited: Int32?

    /// Where to listen by what the daemon was told, and by what it was handed at its start.
    init(_ configuration: Configuration, in surroundings: Surroundings) throws(Departure) {
        mode = configuration.effectiveSocketMode
        group = if let name = configuration.socketGroup { try Self.groupID(name) } else { nil }
        let managed = try Self.managedSocket()
        isManaged = managed != nil
        inherited = managed ?? configuration.listenDescriptor
        let location: SocketLocation
        if let inherited {
            guard UnixSocket.isListening(inherited) else {
                throw Departure(.usage, "descriptor \(inherited) is not a listening Unix socket")
            }
            path =
                isManaged
                ? UnixSocket.path(of: inherited)
                : try Self.name(of: inherited, named: configuration.socket, in: surroundings)
            location = SocketLocation(naming: path ?? "", in: surroundings)
            isOwn = !isManaged && path != nil
        } else {
            location =
                configuration.socket.map { SocketLocation(naming: $0, in: surroundings) }
                ?? .find(in: surroundings)
            do throws(RendezvousError) {
                try location.makeFolder(in: surroundings)
            } catch {
                throw Departure(.cannotListen, "\(error)")
            }
            path = location.path
            isOwn = true
        }
        isUserOwn = location.isUserOwn
    }

    /// The path under which clients find an inherited listener; nil if it was bound to no path.
    ///
    /// The name that it was bound to may mean something else here: a relative path, or one below `/proc/self`. The path must
    /// lead to the listener, for the daemon removes what stands there, and keeps its state by it.
    private static func name(
        of listener: Int32, named chosen: String?, in surroundings: Surroundings
    ) throws(Departure) -> String? {
        let bound = UnixSocket.path(of: listener)
        guard bound != nil || chosen != nil else { return nil }
        let isUsable = bound.map { $0.hasPrefix("/") && !$0.hasPrefix("/proc/") } ?? false
        let candidates =
            if let chosen { [chosen] } else {
                (isUsable ? [bound].compactMap(\.self) : [])
                    + SocketLocation.userOwn(in: surroundings).map(\.path)
            }
        if let path = candidates.first(where: { UnixSocket.leads($0, to: listener) }) { return path }
        let name = chosen ?? bound ?? ""
        throw Departure(
            .usage,
            "\(name) does not lead to the socket that descriptor \(listener) listens on: bind it to its absolute path, "
                + "or name that with --socket")
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
        /// Somebody is about to come; the listener listens on.
        case stayed
        /// Somebody came; this listener takes the place of the other.
        case listensAgain(OwnedDescriptor)
    }

    /// Leaves if nobody comes meanwhile; who came is given to `arrived`.
    func leave(
        _ listener: borrowing OwnedDescriptor, arrived: (consuming OwnedDescriptor) -> Void
    ) throws(RendezvousError) -> Leaving {
        guard isOwn, let path else { return .left }
        guard let lock = try StartLock.tryAcquire(for: path) else { return .stayed }
        guard let new = try lock.leave(listener, mode: mode, group: group, arrived: arrived) else {
            return .left
        }
        return .listensAgain(new)
    }

    /// Takes the socket away, whoever may be about to come: they find nobody, and start another.
    func remove(_ listener: borrowing OwnedDescriptor) {
        guard isOwn, let path else { return }
        // Whoever has the lock file waits for an answer that will not come, and then takes the file away itself.
        guard let lock = (try? StartLock.tryAcquire(for: path)) ?? nil else { return }
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        try? lock.removeSocket()
    }

    /// Listens anew at the path, which no longer names the daemon's socket; nil if another process has the lock file.
    ///
    /// - Parameter folderMode: for the folder, if it has to be made.
    func listenAgain(folderMode: UInt32, in surroundings: Surroundings) throws(RendezvousError)
        -> OwnedDescriptor?
    {
        guard isOwn, let path else { return nil }
        if isUserOwn {
            try SocketLocation(naming: path, in: surroundings).makeFolder(in: surroundings)
        } else if let slash = path.lastIndex(of: "/"), mkdir(String(path[..<slash]), 0o700) == 0 {
            // Not by mkdir: the daemon's umask would cut the mode.
            chmod(String(path[..<slash]), folderMode)
        }
        guard let lock = try StartLock.tryAcquire(for: path) else { return nil }
        return try lock.listen(mode: mode, group: group)
    }

    /// Lets in those who wait at a listener that its path no longer leads to.
    func empty(_ listener: borrowing OwnedDescriptor, arrived: (consuming OwnedDescriptor) -> Void) {
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        while let connection = (try? UnixSocket.accept(from: listener)) ?? nil { arrived(connection) }
    }

    /// Has those who wait see the end before the first reply: they begin again, and find another daemon.
    ///
    /// The service manager goes on listening, so that they would wait there for the next daemon.
    func turnAway(_ listener: borrowing OwnedDescriptor) {
        if isManaged {
            while let connection = (try? UnixSocket.accept(from: listener)) ?? nil { _ = consume connection }
        } else {
            remove(listener)
        }
    }

    private static func groupID(_ name: String) throws(Departure) -> UInt32 {
        if let number = UInt32(name) { return number }
        guard let entry = getgrnam(name) else { throw Departure(.usage, "there is no group `\(name)`") }
        return entry.pointee.gr_gid
    }
}
