import Glibc
public import Posix

/// How a client gets its connection: to a daemon that runs, or to one that it starts.
///
/// A connection is handed out once the daemon has answered on it. So whoever was in the queue of a daemon that
/// left or died, and sees the end before the first reply, begins again in here, and no request is ever sent twice.
/// See `StartLock` for why nobody is turned away and never two daemons run.
public struct DaemonConnector: Sendable {
    /// Where the daemon is.
    public let location: SocketLocation
    /// The user, the environment and the folders that decide how one is started.
    public let surroundings: Surroundings
    /// How long a daemon that took the connection may think about its first reply.
    public var patience = Duration.seconds(10)

    /// How often one begins again with a daemon that ends before its first reply.
    private static let attempts = 3

    public init(_ location: SocketLocation, in surroundings: Surroundings = .current()) {
        self.location = location
        self.surroundings = surroundings
    }

    /// Where the daemon is by the rules for all clients.
    public init(in surroundings: Surroundings = .current()) {
        self.init(.find(in: surroundings), in: surroundings)
    }

    /// A blocking connection on which the daemon has answered; the session belongs to this process.
    public func connect() throws(RendezvousError) -> OwnedDescriptor {
        guard location.isUserOwn else {
            for _ in 0..<Self.attempts {
                if let connection = try attempt() { return connection }
            }
            throw .notRunning(location)
        }
        if try location.hasFolder(in: surroundings), let connection = try attempt() { return connection }
        guard surroundings.variable("PRWLOCK_AUTOSTART") != "0" else { throw .startForbidden(location) }
        return try connectOrStart()
    }

    private func connectOrStart() throws(RendezvousError) -> OwnedDescriptor {
        try location.makeFolder(in: surroundings)
        let launcher = DaemonLauncher(location, in: surroundings)
        for _ in 0..<Self.attempts {
            let lock = try StartLock.acquire(for: location.path)
            // Whoever had the lock file before may have started one.
            if let connection = try attempt() { return connection }
            if try launcher.startService(), let connection = try attempt() { return connection }
            // Nobody listens, and nobody else can begin to.
            try launcher.start(under: lock)
            if let connection = try attempt() { return connection }
        }
        throw .endedAtStart(location, output: launcher.outputPath)
    }

    /// A connection on which the daemon has answered; nil if nobody listens, or the end comes before the answer.
    private func attempt() throws(RendezvousError) -> OwnedDescriptor? {
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
        while let line = try nextLine(from: connection, within: Patience(patience)) {
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
        from connection: borrowing OwnedDescriptor, within patience: Patience
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
