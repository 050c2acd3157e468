import Glibc
public import Posix

/// The lock file beside a daemon's socket, held: only who holds it may make the socket or take it away.
///
/// A socket's path is in one of these states:
///
///               bind, listen (L)                   shutdown (L)
///   [ NOBODY ] ───────────────────▶ [ LISTENING ] ──────────────▶ [ LEAVING ]
///     ▲    ▲                          │    ▲                        │     │
///     │    └── dies, is killed ───────┘    └── came: bind anew (L) ─┘     │
///     └────────────────────────── nobody came: unlink (L) ────────────────┘
///
/// In NOBODY there is no file, or one that refuses whoever connects (a stale one); in LEAVING whoever
/// connects is refused too. Each change marked (L) is made by the one process that holds the lock file.
///
/// Invariants:
/// 1. At most one socket is LISTENING: it is only made by who holds the lock file, has seen a connection refused
///    since, and has removed the stale file. The holder of the lock file may end at any point: the kernel unlocks.
/// 2. Nobody is turned away for good. Whoever is refused takes the lock file and connects again: either somebody
///    listens by then, or nobody does and nobody else can begin to, so that it may start a daemon itself.
///
/// The interleavings that matter:
/// - A hundred clients at once find nobody. One has the lock file, starts a daemon, and lets go once it has
///   answered; the others see its socket listen, and wait in that socket's queue.
/// - A client connects while the daemon leaves. Before the shutdown: it is in the queue of the socket, the daemon
///   finds it there, and stays. After: it is refused, waits for the lock file, and finds the daemon gone or back.
/// - Two daemons are started by hand on one path. The second has the lock file after the first has let go,
///   its look finds the first listening, and it says so and ends.
/// - A daemon is killed. Its socket file stays, and refuses. The next client or daemon holds the lock file when it
///   removes that file and binds its own, so that it cannot remove the file of another that did the same.
/// - A client is in the queue of a socket whose daemon dies. It sees the end before its first reply, and goes
///   on like one that was refused. Whatever it had sent is forgotten with that daemon.
/// - A daemon that drains goes on listening, and takes nobody: who comes waits in the queue until the daemon is gone,
///   and then sees the end before its first reply. Were they refused, they would start another beside it.
/// - The lock file is removed with the socket. Who waited for it then holds a file without a name, sees that
///   its path names another or none, and begins again; so two holders of different files never both go on.
///
/// An idle daemon only ever tries for the lock file: if another process has it, somebody is about to come, and
/// the daemon stays. So the holder may wait for the daemon's answer without a circle.
public struct StartLock: ~Copyable {
    /// The path of the socket that it guards.
    public let socketPath: String
    private let file: FileLock

    private static func path(beside socketPath: String) -> String { socketPath + ".lock" }

    private init(socketPath: String, file: consuming FileLock) {
        self.socketPath = socketPath
        self.file = file
    }

    /// Takes the lock file if nobody has it; nil if somebody does.
    public static func tryAcquire(for socketPath: String) throws(RendezvousError) -> StartLock? {
        let path = path(beside: socketPath)
        do throws(SystemError) {
            while true {
                guard let file = try FileLock(tryingAt: path) else { return nil }
                // Whoever had it may have removed it, and somebody else may have made and locked another.
                let locked = try FileStatus(of: file.file, path)
                if let named = try? FileStatus(at: path), named.isSameFile(as: locked) {
                    return StartLock(socketPath: socketPath, file: file)
                }
            }
        } catch {
            throw .system(error)
        }
    }

    /// Takes the lock file, and waits for it while the process that has it gets on.
    ///
    /// It waits by trying again, because `flock` cannot wait with an end, and a program that was stopped while
    /// it held the file would otherwise stop all others without a word.
    public static func acquire(
        for socketPath: String, patience: Duration = .seconds(30), by deadline: Deadline = .never
    ) throws(RendezvousError) -> StartLock {
        var patience = Patience(until: min(deadline, Deadline(after: patience)))
        var progress = HolderProgress(at: path(beside: socketPath))
        while true {
            if let lock = try tryAcquire(for: socketPath) { return lock }
            guard !progress.isStalled(), patience.pause() else { throw held(socketPath) }
        }
    }

    /// Takes the lock file, unless a daemon listens before that, or is about to: then nil.
    ///
    /// The process that has the lock file may wait for that daemon's first answer; those that wait for it may as well.
    static func acquireUnlessServed(
        for socketPath: String, by deadline: Deadline
    ) throws(RendezvousError) -> StartLock? {
        var patience = Patience(until: min(deadline, Deadline(after: .seconds(30))))
        var progress = HolderProgress(at: path(beside: socketPath))
        while true {
            if let lock = try tryAcquire(for: socketPath) { return lock }
            if isServed(socketPath) { return nil }
            guard !progress.isStalled(), patience.pause() else { throw held(socketPath) }
        }
    }

    private static func held(_ socketPath: String) -> RendezvousError {
        let path = path(beside: socketPath)
        return .startLockHeld(path, by: FileLock.holder(at: path))
    }

    private static func isServed(_ path: String) -> Bool {
        do throws(SystemError) {
            _ = try UnixSocket.connect(to: path, by: Deadline(after: .zero))
            return true
        } catch {
            return error.code == EAGAIN
        }
    }

    /// Makes the socket and listens, where nobody does; takes the place of a file that a dead daemon left.
    ///
    /// - Throws: `alreadyServed` if a daemon listens there, `notASocket` if something else stands there.
    public borrowing func listen(
        mode: UInt32 = 0o600, group: UInt32? = nil, backlog: Int32 = defaultBacklog
    ) throws(RendezvousError) -> OwnedDescriptor {
        try removeStaleSocket()
        do throws(SystemError) {
            return try UnixSocket.listen(at: socketPath, mode: mode, group: group, backlog: backlog)
        } catch {
            // Another process has bound it without this lock file, as its own was removed.
            if error.code == EADDRINUSE { throw .alreadyServed(socketPath, by: nil) }
            throw .system(error)
        }
    }

    /// Shuts the listener down and gives whoever had connected to `arrived`.
    ///
    /// If somebody had, it listens anew and returns the new listener: the daemon stays. If nobody had, the socket
    /// and the lock file are gone with this call, and the daemon may end.
    public consuming func leave(
        _ listener: borrowing OwnedDescriptor, mode: UInt32 = 0o600, group: UInt32? = nil,
        backlog: Int32 = defaultBacklog, arrived: (consuming OwnedDescriptor) -> Void
    ) throws(RendezvousError) -> OwnedDescriptor? {
        // From here on nobody gets into the queue, and who is in it can still be taken out.
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        var someoneArrived = false
        // A socket that was shut down has no next connection, and says so with an error or not.
        while let connection = (try? UnixSocket.accept(from: listener)) ?? nil {
            someoneArrived = true
            arrived(connection)
        }
        if someoneArrived { return try listen(mode: mode, group: group, backlog: backlog) }
        try removeSocket()
        return nil
    }

    /// Removes the socket of a daemon that listens no more, and the lock file.
    public consuming func removeSocket() throws(RendezvousError) {
        // Another daemon's socket may stand in the place of ours, if somebody bound it without asking for the lock.
        do { try removeStaleSocket() } catch .alreadyServed {}
        unlink(Self.path(beside: socketPath))
    }

    /// Removes a socket file that nobody listens behind; nothing else.
    private borrowing func removeStaleSocket() throws(RendezvousError) {
        guard let file = try? FileStatus(at: socketPath) else { return }
        guard file.isSocket else { throw .notASocket(socketPath) }
        let listening: Int32
        do throws(SystemError) {
            // A full backlog is a daemon's as well, and need not be waited for.
            let connection = try UnixSocket.connect(to: socketPath, by: Deadline(after: .zero))
            listening = (try? PeerCredentials(of: connection))?.processID ?? 0
        } catch {
            switch error.code {
            case ECONNREFUSED:
                guard unlink(socketPath) == 0 || errno == ENOENT else {
                    throw .system(.last("unlink", socketPath))
                }
            case ENOENT: break
            case EAGAIN: throw .alreadyServed(socketPath, by: nil)
            default: throw .system(error)
            }
            return
        }
        throw .alreadyServed(socketPath, by: listening == 0 ? nil : RunningProcess(listening))
    }

    /// See `UnixSocket.defaultBacklog`.
    public static let defaultBacklog = UnixSocket.defaultBacklog
}
