import Glibc
public import Posix

/// How a client gets its connection: to a daemon that runs, or to one that it starts.
///
/// A connection is handed out once the daemon has answered on it. So whoever was in the queue of a daemon that
/// left or died, and sees the end before the first reply, begins again in here, and no request is ever sent twice.
/// See `StartLock` for why nobody is turned away and never two daemons run.
public struct DaemonConnector: Sendable {
    /// The socket that the caller or the environment names; nil to go by the rules of `SocketLocation`.
    private let named: SocketLocation?
    /// The user, the environment and the folders that decide how one is started.
    public let surroundings: Surroundings
    /// How long a daemon that took the connection may think about its first reply.
    public var patience = Duration.seconds(10)

    /// How often one begins again with a daemon that ends before its first reply.
    private static let attempts = 3

    /// - Parameter location: the caller's choice; nil for the place by the rules for all clients.
    public init(_ location: SocketLocation? = nil, in surroundings: Surroundings = .current()) {
        named = location ?? .environment(in: surroundings)
        self.surroundings = surroundings
    }

    /// A blocking connection on which the daemon has answered; the session belongs to this process.
    public func connect() throws(RendezvousError) -> OwnedDescriptor {
        if let named { return try reach(named) }
        for _ in 0..<Self.attempts {
            // The look comes before the try, for the reason that stands at `start`.
            let hasSystemDaemon = surroundings.hasSystemDirectory
            if let connection = try reachUserOwn() { return connection }
            if hasSystemDaemon { return try reach(.system(in: surroundings)) }
            if let connection = try start() { return connection }
        }
        let location = SocketLocation.writableUserOwn(in: surroundings)
        throw .endedAtStart(location, output: DaemonLauncher(location, in: surroundings).outputPath)
    }

    /// A connection to a daemon that is not a client's to start.
    private func reach(_ location: SocketLocation) throws(RendezvousError) -> OwnedDescriptor {
        for _ in 0..<Self.attempts {
            if let connection = try attempt(location) { return connection }
        }
        throw .notRunning(location)
    }

    /// A connection to the user's own daemon; nil if it does not run.
    private func reachUserOwn() throws(RendezvousError) -> OwnedDescriptor? {
        let candidates = SocketLocation.userOwn(in: surroundings)
        for (index, location) in candidates.enumerated() {
            do throws(RendezvousError) {
                guard try location.hasFolder(in: surroundings) else { continue }
            } catch {
                // Root's second place is in a folder where every user can take the name. It is nothing that root needs.
                if index > 0, case .unsafeDirectory = error { continue }
                throw error
            }
            if let connection = try attempt(location) { return connection }
        }
        return nil
    }

    /// Starts the user's own daemon, and connects to it; nil to begin again.
    ///
    /// Two clients must not use two daemons where the system's folder appears at this moment. A client that starts a daemon
    /// binds first and looks for the folder then; a client looks for the folder first and tries the user's own place then.
    /// - B binds and sees no folder. The folder appears. A sees it, and tries the user's own place: it finds B's socket.
    /// - B binds and sees the folder, which A has seen too: B takes its socket away and begins again. A, if it was in that
    ///   socket's queue, sees the end before the first reply. Both go to the system's daemon.
    /// - Were the order the other way round, A could miss B's socket, then see the folder and go to the system's daemon,
    ///   while B, who saw no folder, starts a daemon.
    private func start() throws(RendezvousError) -> OwnedDescriptor? {
        let location = SocketLocation.writableUserOwn(in: surroundings)
        guard surroundings.variable("PRWLOCK_AUTOSTART") != "0" else { throw .startForbidden(location) }
        try location.makeFolder(in: surroundings)
        let launcher = DaemonLauncher(location, in: surroundings)
        let lock = try StartLock.acquire(for: location.path)
        // A client that had the lock file before may have started one.
        if let connection = try reachUserOwn() { return connection }
        if try launcher.startService(), let connection = try reachUserOwn() { return connection }
        // No daemon listens, and no other client can begin to start one.
        guard let lock = try launcher.start(under: lock) else { return nil }
        let connection = try attempt(location)
        _ = consume lock
        return connection
    }

    /// A connection on which the daemon has answered; nil if nobody listens, or the end comes before the answer.
    private func attempt(_ location: SocketLocation) throws(RendezvousError) -> OwnedDescriptor? {
        let connection: OwnedDescriptor
        do throws(SystemError) {
            connection = try UnixSocket.connect(to: location.path, timeout: patience)
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR, ECONNREFUSED: return nil
            case EACCES, EPERM: throw .notPermitted(location)
            case EAGAIN: throw .noAnswer(location, after: patience)
            default: throw .system(error)
            }
        }
        guard Self.send("PING\n", to: connection) else { return nil }
        while let line = try nextLine(from: connection, of: location, within: Patience(patience)) {
            // What a daemon says unasked is no answer.
            if line.hasPrefix("! ") { continue }
            guard line == "PONG" else { throw .turnedAway(location, line) }
            return connection
        }
        return nil
    }

    private static func send(_ line: StaticString, to connection: borrowing OwnedDescriptor) -> Bool {
        Glibc.send(connection.rawValue, line.utf8Start, line.utf8CodeUnitCount, Int32(MSG_NOSIGNAL))
            == line.utf8CodeUnitCount
    }

    /// The next line, read byte by byte, so that nothing behind it is lost; nil at the end of input.
    private func nextLine(
        from connection: borrowing OwnedDescriptor, of location: SocketLocation, within patience: Patience
    ) throws(RendezvousError) -> String? {
        var line: [UInt8] = []
        while line.count < 1024 {
            var request = pollfd(fd: connection.rawValue, events: Int16(POLLIN), revents: 0)
            switch poll(&request, 1, patience.milliseconds) {
            case 0: throw .noAnswer(location, after: self.patience)
            case 1: break
            default: continue
            }
            var byte: UInt8 = 0
            guard read(connection.rawValue, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { break }
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }
}
