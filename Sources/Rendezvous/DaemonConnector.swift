import Glibc
public import Posix

/// Connects a client to a running daemon, or starts a daemon and connects to it.
///
/// `connect` returns a connection only after the daemon has answered on it. If a daemon leaves or dies while a client
/// waits in its backlog, the client sees end of input before the first reply, and `connect` tries again. So no request
/// is ever sent twice. `StartLock` shows why every client is served in the end and two daemons never run.
///
/// The caller's deadline bounds all waits together: for room in the backlog, for the lock file, for a service manager,
/// and for the first reply of a daemon that is stopped, draining or just started. Without a deadline each wait has its
/// own bound.
public struct DaemonConnector: Sendable {
    /// The socket that the caller or the environment names; nil if the rules of `SocketLocation` decide.
    private let named: SocketLocation?
    /// The user, the environment and the folders that decide how a daemon is started.
    public let surroundings: Surroundings
    /// The longest time between connecting and the daemon's first reply, even if the caller has no deadline.
    public var patience = Duration.seconds(10)

    /// The number of daemons that may end before their first reply; after that, `connect` fails.
    private static let attempts = 3

    /// The number of attempts that may fail because other processes were faster or removed the folder.
    private static let mostOvertakings = 100

    /// - Parameter location: the caller's choice; nil to apply the rules that all clients share.
    public init(_ location: SocketLocation? = nil, in surroundings: Surroundings = .current()) {
        named = location ?? .environment(in: surroundings)
        self.surroundings = surroundings
    }

    /// Returns a blocking connection on which the daemon has answered. The session on it belongs to this process.
    ///
    /// - Parameters:
    ///   - deadline: the end of all waits of this call.
    ///   - trying: called with the daemon before each attempt to connect, and again when a connection is made.
    public func connect(
        by deadline: Deadline = .never, trying: ((SilentDaemon) -> Void)? = nil
    ) throws(RendezvousError) -> OwnedDescriptor {
        let reach = Reach(end: deadline, patience: patience, surroundings: surroundings, trying: trying)
        if let named { return try connect(to: named, reach) }
        var (failures, overtakings) = (0, 0)
        while failures < Self.attempts, overtakings < Self.mostOvertakings {
            // Check for the system's folder before connecting; `start` explains why.
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

    /// Returns a connection to a daemon that clients may not start.
    private func connect(
        to location: SocketLocation, _ reach: Reach
    ) throws(RendezvousError) -> OwnedDescriptor {
        for _ in 0..<Self.attempts {
            if let connection = try reach.connect(to: location) { return connection }
        }
        throw .notRunning(location)
    }

    /// Returns a connection to the user's own daemon, or nil if it does not run.
    private func connectToUserOwn(_ reach: Reach) throws(RendezvousError) -> OwnedDescriptor? {
        for location in SocketLocation.userOwn(in: surroundings) {
            do throws(RendezvousError) {
                guard try location.hasFolder(in: surroundings) else { continue }
            } catch {
                // Any user can take the name of a folder in `/tmp`. The folder then contains no daemon of this user,
                // and failing here would let another user keep this user from the system's daemon.
                if case .unsafeDirectory = error { continue }
                throw error
            }
            if let connection = try reach.connect(to: location) { return connection }
        }
        return nil
    }

    /// Returns a connection to the user's own daemon if one runs without listening at the moment; nil if none runs.
    ///
    /// Such a daemon is about to listen again or to end (see `PlaceGuard`).
    private func awaitHolder(_ reach: Reach) throws(RendezvousError) -> OwnedDescriptor? {
        var patience = Patience(until: min(reach.end, Deadline(after: PlaceGuard.patience)))
        while case .held(let holder) = PlaceGuard.occupation(in: surroundings) {
            if let connection = try connectToUserOwn(reach) { return connection }
            guard patience.pause() else { throw .servedElsewhere(holder) }
        }
        return nil
    }

    /// The outcome of starting a daemon.
    private enum Start: ~Copyable {
        case connected(OwnedDescriptor)
        /// Another process was faster (the system's daemon or one of this user appeared), or the folder was removed.
        case overtaken
        /// The daemon ended before it answered.
        case ended
    }

    private func startUnlessRemoved(_ reach: Reach) throws(RendezvousError) -> Start {
        do throws(RendezvousError) {
            return try start(reach)
        } catch {
            switch error {
            // `rm -r` removed the folder, or the lock file was removed and a second client bound the path.
            case .system(let fault) where fault.code == ENOENT: return .overtaken
            case .alreadyServed: return .overtaken
            default: throw error
            }
        }
    }

    /// Starts the user's own daemon, and connects to it.
    ///
    /// If the system's folder appears at this moment, two clients must still not use two daemons. So a client that
    /// starts a daemon first binds and then checks for the folder, and every client first checks for the folder and
    /// then tries the user's own place. Let B be a client that starts a daemon, and A another client:
    /// - B binds and sees no folder. The folder appears. A sees the folder, tries the user's own place, and finds B's
    ///   socket.
    /// - B binds and sees the folder, and A has seen it too. B removes its socket and begins again. If A was in the
    ///   backlog of that socket, A sees end of input before the first reply. Both connect to the system's daemon.
    /// - In the opposite order, A could find no socket of B, then see the folder and use the system's daemon, while B,
    ///   which saw no folder, starts a daemon.
    private func start(_ reach: Reach) throws(RendezvousError) -> Start {
        let location = SocketLocation.writableUserOwn(in: surroundings)
        _ = try location.hasFolder(in: surroundings)
        guard surroundings.variable("PRWLOCK_AUTOSTART") != "0" else { throw .startForbidden(location) }
        try location.makeFolder(in: surroundings)
        let launcher = DaemonLauncher(location, in: surroundings)
        guard let lock = try StartLock.acquireUnlessServed(for: location.path, by: reach.end) else {
            // A daemon listens now, or is about to listen.
            return .overtaken
        }
        // The client that held the lock file before this one may have started a daemon.
        if let connection = try connectToUserOwn(reach) { return .connected(connection) }
        // A daemon that listens again needs the lock file, so waiting for it here would be a deadlock.
        if case .held = PlaceGuard.occupation(in: surroundings) { return .overtaken }
        if launcher.startService(by: reach.end), let connection = try connectToUserOwn(reach) {
            return .connected(connection)
        }
        // No daemon listens, and no other client can start one while this process holds the lock file.
        guard let lock = try launcher.start(under: lock) else { return .overtaken }
        let connection = try connectToStarted(location, reach, output: launcher.outputPath)
        _ = consume lock
        guard let connection else { return .ended }
        return .connected(connection)
    }

    /// Returns a connection to the daemon that was just started, or nil if the daemon ends before it answers.
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
