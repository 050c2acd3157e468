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

    /// How often one begins again because other processes are quicker, or remove the folder.
    private static let mostOvertakings = 100

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
        var (failures, overtakings) = (0, 0)
        while failures < Self.attempts, overtakings < Self.mostOvertakings {
            // The look comes before the try, for the reason that stands at `start`.
            let hasSystemDaemon = surroundings.hasSystemDirectory
            if let connection = try connectToUserOwn(reach) { return connection }
            if let connection = try awaitHolder(reach) { return connection }
            if hasSystemDaemon { return try connect(to: .system(in: surroundings), reach) }
            switch try startUnlessRemoved(reach) {
            case .connected(let connection): return connection
            case .overtaken: overtakings += 1
            case .ended: failures += 1
            }
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
        for location in SocketLocation.userOwn(in: surroundings) {
            do throws(RendezvousError) {
                guard try location.hasFolder(in: surroundings) else { continue }
            } catch {
                // In `/tmp` every user can take the name of a folder. None of this user's daemons is in it, and another user
                // must not keep this one from the system's.
                if case .unsafeDirectory = error { continue }
                throw error
            }
            if let connection = try reach.connect(to: location) { return connection }
        }
        return nil
    }

    /// A connection to the user's own daemon if one runs that does not listen at this moment; nil if none runs.
    ///
    /// It may be about to listen again, or to end: see `PlaceGuard`.
    private func awaitHolder(_ reach: Reach) throws(RendezvousError) -> OwnedDescriptor? {
        var patience = Patience(until: min(reach.end, Deadline(after: PlaceGuard.patience)))
        while case .held(let holder) = PlaceGuard.occupation(in: surroundings) {
            if let connection = try connectToUserOwn(reach) { return connection }
            guard patience.pause() else { throw .servedElsewhere(holder) }
        }
        return nil
    }

    /// What came of starting a daemon.
    private enum Start: ~Copyable {
        case connected(OwnedDescriptor)
        /// Another daemon has come meanwhile, the system's or one of this user; or the folder was removed.
        case overtaken
        /// The daemon ended before it answered.
        case ended
    }

    private func startUnlessRemoved(_ reach: Reach) throws(RendezvousError) -> Start {
        do throws(RendezvousError) {
            return try start(reach)
        } catch {
            switch error {
            // `rm -r` of the folder after it was made, or a second client that binds after the lock file was removed.
            case .system(let fault) where fault.code == ENOENT: return .overtaken
            case .alreadyServed: return .overtaken
            default: throw error
            }
        }
    }

    /// Starts the user's own daemon, and connects to it.
    ///
    /// Two clients must not use two daemons where the system's folder appears at this moment. A client that starts a daemon
    /// binds first and looks for the folder then; a client looks for the folder first and tries the user's own place then.
    /// - B binds and sees no folder. The folder appears. A sees it, and tries the user's own place: it finds B's socket.
    /// - B binds and sees the folder, which A has seen too: B takes its socket away and begins again. A, if it was in that
    ///   socket's queue, sees the end before the first reply. Both go to the system's daemon.
    /// - Were the order the other way round, A could miss B's socket, then see the folder and go to the system's daemon,
    ///   while B, who saw no folder, starts a daemon.
    private func start(_ reach: Reach) throws(RendezvousError) -> Start {
        let location = SocketLocation.writableUserOwn(in: surroundings)
        _ = try location.hasFolder(in: surroundings)
        guard surroundings.variable("PRWLOCK_AUTOSTART") != "0" else { throw .startForbidden(location) }
        try location.makeFolder(in: surroundings)
        let launcher = DaemonLauncher(location, in: surroundings)
        guard let lock = try StartLock.acquireUnlessServed(for: location.path, by: reach.end) else {
            // A daemon listens by now, or is about to.
            return .overtaken
        }
        // A client that had the lock file before may have started one.
        if let connection = try connectToUserOwn(reach) { return .connected(connection) }
        // One that listens again needs the lock file, so that it cannot be waited for here.
        if case .held = PlaceGuard.occupation(in: surroundings) { return .overtaken }
        if launcher.startService(by: reach.end), let connection = try connectToUserOwn(reach) {
            return .connected(connection)
        }
        // No daemon listens, and no other client can begin to start one.
        guard let lock = try launcher.start(under: lock) else { return .overtaken }
        let connection = try connectToStarted(location, reach, output: launcher.outputPath)
        _ = consume lock
        guard let connection else { return .ended }
        return .connected(connection)
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
