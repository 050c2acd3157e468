import Glibc
public import Posix

/// How a client gets its connection: to a daemon that runs, or to one that it starts.
///
/// A connection is handed out once the daemon has answered on it. So a client that was in the queue of a daemon that
/// left or died, and sees the end before the first reply, begins again in here, and no request is ever sent twice.
/// See `StartLock` for why no client is turned away and never two daemons run.
///
/// The caller's deadline bounds all waits together: for room in the backlog, for the lock file, for a service manager,
/// and for the daemon's first reply, be it stopped, draining or just started. Without a deadline each of them has a
/// bound of its own.
public struct DaemonConnector: Sendable {
    /// The socket that the caller or the environment names; nil to go by the rules of `SocketLocation`.
    private let named: SocketLocation?
    /// The user, the environment and the folders that decide how one is started.
    public let surroundings: Surroundings
    /// How long a daemon that took the connection may think about its first reply, where the caller has no deadline.
    public var patience = Duration.seconds(10)

    /// How often one begins again with a daemon that ends before its first reply.
    private static let attempts = 3

    /// - Parameter location: the caller's choice; nil for the place by the rules for all clients.
    public init(_ location: SocketLocation? = nil, in surroundings: Surroundings = .current()) {
        named = location ?? .environment(in: surroundings)
        self.surroundings = surroundings
    }

    /// A blocking connection on which the daemon has answered; the session belongs to this process.
    ///
    /// - Parameters:
    ///   - deadline: until when the call waits.
    ///   - trying: is told of the daemon, when a connection to it is tried and when it stands.
    public func connect(
        by deadline: Deadline = .never, trying: ((SilentDaemon) -> Void)? = nil
    ) throws(RendezvousError) -> OwnedDescriptor {
        let reach = Reach(end: deadline, patience: patience, trying: trying)
        if let named { return try connect(to: named, reach) }
        for _ in 0..<Self.attempts {
            // The look comes before the try, for the reason that stands at `start`.
            let hasSystemDaemon = surroundings.hasSystemDirectory
            if let connection = try connectToUserOwn(reach) { return connection }
            if hasSystemDaemon { return try connect(to: .system(in: surroundings), reach) }
            if let connection = try start(reach) { return connection }
        }
        let location = SocketLocation.writableUserOwn(in: surroundings)
        throw .endedAtStart(location, output: DaemonLauncher(location, in: surroundings).outputPath)
    }

    /// A connection to a daemon that is not a client's to start.
    private func connect(
        to location: SocketLocation, _ reach: Reach
    ) throws(RendezvousError) -> OwnedDescriptor {
        for _ in 0..<Self.attempts {
            if let connection = try reach.connect(to: location) { return connection }
        }
        throw .notRunning(location)
    }

    /// A connection to the user's own daemon; nil if it does not run.
    private func connectToUserOwn(_ reach: Reach) throws(RendezvousError) -> OwnedDescriptor? {
        let candidates = SocketLocation.userOwn(in: surroundings)
        for (index, location) in candidates.enumerated() {
            do throws(RendezvousError) {
                guard try location.hasFolder(in: surroundings) else { continue }
            } catch {
                // Root's second place is in a folder where every user can take the name. It is nothing that root needs.
                if index > 0, case .unsafeDirectory = error { continue }
                throw error
            }
            if let connection = try reach.connect(to: location) { return connection }
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
    private func start(_ reach: Reach) throws(RendezvousError) -> OwnedDescriptor? {
        let location = SocketLocation.writableUserOwn(in: surroundings)
        guard surroundings.variable("PRWLOCK_AUTOSTART") != "0" else { throw .startForbidden(location) }
        try location.makeFolder(in: surroundings)
        let launcher = DaemonLauncher(location, in: surroundings)
        let lock = try StartLock.acquire(for: location.path, by: reach.end)
        // A client that had the lock file before may have started one.
        if let connection = try connectToUserOwn(reach) { return connection }
        if try launcher.startService(by: reach.end), let connection = try connectToUserOwn(reach) {
            return connection
        }
        // No daemon listens, and no other client can begin to start one.
        guard let lock = try launcher.start(under: lock) else { return nil }
        let connection = try connectToStarted(location, reach, output: launcher.outputPath)
        _ = consume lock
        return connection
    }

    /// A connection to the daemon that was just started; nil if it ends before it answers.
    private func connectToStarted(
        _ location: SocketLocation, _ reach: Reach, output: String
    ) throws(RendezvousError) -> OwnedDescriptor? {
        do throws(RendezvousError) {
            return try reach.connect(to: location)
        } catch {
            guard case .noAnswer = error else { throw error }
            throw .slowStart(location, output: output)
        }
    }
}
