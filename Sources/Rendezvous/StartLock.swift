import Glibc
public import Posix

/// The locked lock file beside a daemon's socket. Only the process that holds it may make or remove the socket.
///
/// A socket's path is in one of these states:
///
///               bind, listen (L)                   shutdown (L)
///   [ ABSENT ] ───────────────────▶ [ LISTENING ] ──────────────▶ [ LEAVING ]
///     ▲    ▲                          │    ▲                        │     │
///     │    └── dies, is killed ───────┘    └── came: bind anew (L) ─┘     │
///     └─────────────────────────── none came: unlink (L) ─────────────────┘
///
/// In ABSENT there is no socket file, or a stale one that refuses connections. LEAVING refuses connections too. Only
/// the process that holds the lock file makes a change marked (L).
///
/// Invariants:
/// 1. At most one socket is LISTENING. A process makes a socket only while it holds the lock file, and after it has
///    seen a connection refused and has removed the stale file. The holder may end at any point: the kernel then
///    unlocks the file.
/// 2. Every client is served in the end. A client that is refused takes the lock file and connects again. Then either a
///    daemon listens, or none does and no other client can start one, so this client may start a daemon.
///
/// The interleavings that matter:
/// - A hundred clients at once find no daemon. One of them takes the lock file, starts a daemon, and releases the file
///   once the daemon has answered. The others see a listening socket, and wait in its backlog.
/// - A client connects while the daemon leaves. Before the shutdown, the client is in the socket's backlog; the daemon
///   finds it there, and stays. After the shutdown, the client is refused, waits for the lock file, and finds the
///   daemon gone or back.
/// - Two daemons are started by hand on one path. The second takes the lock file after the first has released it, sees
///   that the first one listens, reports an error and ends.
/// - A daemon is killed. Its socket file stays, and refuses connections. The next client or daemon holds the lock file
///   while it removes that file and binds its own, so it cannot remove the file of a process that did the same.
/// - A client is in the backlog of a socket when the daemon dies. The client sees end of input before the first reply,
///   and continues as if it had been refused. Its requests are lost with that daemon.
/// - A daemon that drains keeps listening, and accepts no connection. New clients wait in the backlog until the daemon
///   ends, and then see end of input before the first reply. If they were refused, they would start a second daemon
///   beside it.
/// - The lock file is removed with the socket. A process that waited for it then locks a file without a name, sees that
///   the path names another file or none, and begins again. So two processes that hold different files never both
///   continue.
///
/// An idle daemon only tries to take the lock file. If another process holds it, a client is about to connect, and the
/// daemon stays. So the holder may wait for the daemon's answer without a cycle.
public struct StartLock: ~Copyable {
    /// The path of the socket that this lock file guards.
    public let socketPath: String
    private let file: FileLock

    /// It is free at once, also while a child that another thread has forked keeps the file.
    deinit { file.unlock() }

    private static func path(beside socketPath: String) -> String { socketPath + ".lock" }

    private init(socketPath: String, file: consuming FileLock) {
        self.socketPath = socketPath
        self.file = file
    }

    /// Takes the lock file if it is free; returns nil if another process holds it.
    ///
    /// - Throws: `untrustedPath` if the file belongs to another user, who could hold it for ever.
    public static func tryAcquire(for socketPath: String) throws(RendezvousError) -> StartLock? {
        let path = path(beside: socketPath)
        while true {
            // The kernel may refuse to open another user's file in a folder such as `/tmp`, with an error that names no user.
            if let status = try? FileStatus(at: path) { try checkOwner(status, path) }
            let locked: FileStatus
            let lock: FileLock
            do throws(SystemError) {
                let file = try FileLock.openFile(at: path)
                locked = try FileStatus(of: file, path)
                guard let taken = try FileLock(trying: file) else { return nil }
                lock = taken
            } catch {
                throw .system(error)
            }
            try checkOwner(locked, path)
            // The last holder may have removed the file, and another process may have made and locked a new one.
            if let named = try? FileStatus(at: path), named.isSameFile(as: locked) {
                return StartLock(socketPath: socketPath, file: lock)
            }
        }
    }

    private static func checkOwner(_ status: FileStatus, _ path: String) throws(RendezvousError) {
        guard status.userID != 0, status.userID != geteuid() else { return }
        throw .untrustedPath(path, part: "\(PathFault.replaceable(path, .belongs(to: status.userID)))")
    }

    /// Takes the lock file, and waits for it while its holder makes progress.
    ///
    /// It polls, because `flock` has no timeout: a stopped program that holds the file would block all others without
    /// an error.
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

    /// Takes the lock file; returns nil if a daemon listens, or is about to, before the file is free.
    ///
    /// The holder of the lock file may be waiting for that daemon's first answer. A process that waits for the lock
    /// file can connect and wait for the answer as well.
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

    /// Makes the socket and listens. It replaces the socket file of a dead daemon.
    ///
    /// - Throws: `alreadyServed` if a daemon listens there, `notASocket` if the path names another kind of file.
    public borrowing func listen(
        mode: UInt32 = 0o600, group: UInt32? = nil, backlog: Int32 = defaultBacklog
    ) throws(RendezvousError) -> OwnedDescriptor {
        try removeStaleSocket()
        do throws(SystemError) {
            return try UnixSocket.listen(at: socketPath, mode: mode, group: group, backlog: backlog)
        } catch {
            // The lock file was removed, so another process could bind the path without holding this one.
            if error.code == EADDRINUSE { throw .alreadyServed(socketPath, by: nil) }
            throw .system(error)
        }
    }

    /// Shuts the listener down and passes each connection in its backlog to `arrived`.
    ///
    /// If there was a connection, it listens again and returns the new listener: the daemon stays. Otherwise it has
    /// removed the socket and the lock file, and the daemon may end.
    public consuming func leave(
        _ listener: borrowing OwnedDescriptor, mode: UInt32 = 0o600, group: UInt32? = nil,
        backlog: Int32 = defaultBacklog, arrived: (consuming OwnedDescriptor) -> Void
    ) throws(RendezvousError) -> OwnedDescriptor? {
        // From here on no client enters the backlog, and the connections in it can still be accepted.
        shutdown(listener.rawValue, Int32(SHUT_RDWR))
        var someoneArrived = false
        // At the end of the backlog, a socket that was shut down returns either an error or no connection.
        while let connection = (try? UnixSocket.accept(from: listener)) ?? nil {
            someoneArrived = true
            arrived(connection)
        }
        if someoneArrived { return try listen(mode: mode, group: group, backlog: backlog) }
        try removeSocket()
        return nil
    }

    /// Removes the socket of a daemon that has stopped listening, and the lock file.
    public consuming func removeSocket() throws(RendezvousError) {
        // The path may name another daemon's socket, if that daemon bound it without taking the lock file.
        do { try removeStaleSocket() } catch .alreadyServed {}
        unlink(Self.path(beside: socketPath))
    }

    /// Removes a socket file without a listener; removes no other file.
    private borrowing func removeStaleSocket() throws(RendezvousError) {
        guard let file = try? FileStatus(at: socketPath) else { return }
        guard file.isSocket else { throw .notASocket(socketPath) }
        let listening: Int32
        do throws(SystemError) {
            // A full backlog (`EAGAIN`) also proves that a daemon listens, so do not wait for room.
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
