import Glibc
import Posix
import Rendezvous
import Systemd

/// The socket on which the daemon listens, and the owner of that socket.
///
/// The daemon never removes a socket of the service manager, which goes on listening when the daemon is gone.
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
    /// The descriptor of a socket that listens already; nil if the daemon makes the socket.
    private let inherited: Int32?

    /// Finds the socket by the configuration and the inherited descriptors.
    ///
    /// - Parameter kept: the listener of the worker before this one; nil if there is none.
    init(
        _ configuration: Configuration, in surroundings: Surroundings, kept: Int32? = nil
    ) throws(Departure) {
        mode = configuration.effectiveSocketMode
        group = if let name = configuration.socketGroup { try Self.groupID(name) } else { nil }
        let managed = try Self.managedSocket()
        isManaged = managed != nil
        // The descriptor that the option names may be another one by now.
        inherited = managed ?? configuration.listenDescriptor.map { kept ?? $0 }
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
        do throws(RendezvousError) { try checkPath() } catch { throw Departure(.cannotListen, "\(error)") }
    }

    /// Checks that no other user can replace the socket. A service manager answers for its own socket.
    ///
    /// The result stays true (`PathTrust`), so later calls may use the path.
    private func checkPath() throws(RendezvousError) {
        guard isOwn, let path else { return }
        do throws(PathFault) {
            try PathTrust.own().checkPlace(path)
        } catch {
            if case .system(let fault) = error { throw .system(fault) }
            throw .untrustedPath(path, part: "\(error)")
        }
    }

    /// The path under which clients find an inherited listener; nil if the listener is bound to no path.
    ///
    /// The bound name may mean something else in this process: a relative path, or one below `/proc/self`. The path must lead
    /// to the listener, because the daemon removes that file, and derives the state directory from the path.
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

    /// Whether only the daemon's own user can connect.
    var servesOneUser: Bool { isUserOwn || (isOwn && inherited == nil && mode & 0o077 == 0) }

    /// The listening socket that the service manager passed; nil if it passed none.
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
            // This releases the lock file at once: the next process that takes it finds that a daemon listens.
            return try StartLock.acquire(for: path ?? "").listen(mode: mode, group: group)
        } catch {
            if case .alreadyServed = error { throw Departure(.alreadyServed, "\(error)") }
            throw Departure(.cannotListen, "\(error)")
        }
    }

    /// The outcome of an attempt to leave.
    enum Leaving: ~Copyable {
        /// The socket is gone, and no client can come.
        case left
        /// A client is about to come, and the listener goes on.
        case stayed
        /// A client came; this listener replaces the old one.
        case listensAgain(OwnedDescriptor)
    }

    /// Leaves if no client comes meanwhile. `arrived` gets the connections of those that came.
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

    /// Removes the socket. A client that is about to come finds no daemon, and starts another.
    func remove(_ listener: borrowing OwnedDescriptor) {
        guard isOwn, let path else { return }
        // A process that has the lock file waits for an answer in vain, and then removes the socket's file itself.
        guard let lock = (try? StartLock.tryAcquire(for: path)) ?? nil else { return }
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        try? lock.removeSocket()
    }

    /// Listens again at the path, which no longer names the daemon's socket; nil if another process has the lock file.
    ///
    /// - Parameter folderMode: the mode of the folder, if this has to make the folder.
    func listenAgain(folderMode: UInt32, in surroundings: Surroundings) throws(RendezvousError)
        -> OwnedDescriptor?
    {
        guard isOwn, let path else { return nil }
        if isUserOwn {
            try SocketLocation(naming: path, in: surroundings).makeFolder(in: surroundings)
        } else if let slash = path.lastIndex(of: "/"), mkdir(String(path[..<slash]), 0o700) == 0 {
            // mkdir applies the daemon's umask to the mode, and chmod does not.
            chmod(String(path[..<slash]), folderMode)
        }
        // In a folder such as `/tmp` another user may have made the folder first.
        try checkPath()
        guard let lock = try StartLock.tryAcquire(for: path) else { return nil }
        return try lock.listen(mode: mode, group: group)
    }

    /// Accepts the clients that wait at a listener to which the path no longer leads.
    func empty(_ listener: borrowing OwnedDescriptor, arrived: (consuming OwnedDescriptor) -> Void) {
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        while let connection = (try? UnixSocket.accept(from: listener)) ?? nil { arrived(connection) }
    }

    /// Closes the connections of waiting clients before the first reply: they begin again, and find another daemon.
    ///
    /// At a socket of the service manager they would wait for the next daemon, because the manager goes on listening.
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
