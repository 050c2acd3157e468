import Glibc
import Posix

/// One call's limits for connecting to a listening daemon, and its closure for reports of attempts.
///
/// A connection counts once the daemon has answered `PING` on it. If the daemon's process is stopped, the call fails
/// before its deadline, because a stopped daemon does not answer.
struct Reach {
    /// The end of all waits of the call; each wait also has its own bound.
    let end: Deadline
    /// The longest wait for a daemon's first reply.
    let patience: Duration
    let surroundings: Surroundings
    /// Called with the daemon before each attempt to connect, and again when a connection is made.
    let trying: ((SilentDaemon) -> Void)?

    /// How long a daemon may be silent before the call checks whether its process is stopped.
    private static let lookInterval = Duration.milliseconds(1500)

    /// Returns a connection after the daemon's answer; nil if no daemon listens, or input ends before the answer.
    func connect(to location: SocketLocation) throws(RendezvousError) -> OwnedDescriptor? {
        let end = min(end, Deadline(after: patience))
        let connection: OwnedDescriptor
        // Before connecting: a path that no other user can replace now leads to the same socket then.
        let trust = ServerTrust(in: location, surroundings)
        trying?(SilentDaemon(at: location.path))
        do throws(SystemError) {
            connection = try UnixSocket.connect(to: location.path, by: end)
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR, ECONNREFUSED: return nil
            case EACCES, EPERM: throw .notPermitted(location)
            case EAGAIN: throw .noAnswer(SilentDaemon(at: location.path))
            default: throw .system(error)
            }
        }
        try trust.check(connection)
        if let trying { trying(SilentDaemon(peerOf: connection, at: location.path)) }
        // Ignore a failed send: a server that closed the connection may have sent an `ERROR` line before.
        _ = Self.send("PING\n", to: connection)
        while let line = try Self.nextLine(from: connection, of: location, by: end) {
            // A line that begins with `! ` is a notice, not an answer.
            if line.hasPrefix("! ") { continue }
            guard line == "PONG" else {
                throw line.hasPrefix("ERROR ") ? .turnedAway(location, line) : .stranger(location)
            }
            return connection
        }
        return nil
    }

    private static func send(_ line: StaticString, to connection: borrowing OwnedDescriptor) -> Bool {
        Glibc.send(connection.rawValue, line.utf8Start, line.utf8CodeUnitCount, Int32(MSG_NOSIGNAL))
            == line.utf8CodeUnitCount
    }

    /// Returns the next line, or nil at the end of input. It reads byte by byte, so later lines stay in the socket.
    private static func nextLine(
        from connection: borrowing OwnedDescriptor, of location: SocketLocation, by end: Deadline
    ) throws(RendezvousError) -> String? {
        var line: [UInt8] = []
        while line.count < 1024 {
            try waitForInput(from: connection, of: location, by: end)
            var byte: UInt8 = 0
            guard read(connection.rawValue, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { break }
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }

    /// Waits for input.
    ///
    /// - Throws: `noAnswer` at the deadline, or once the daemon's process is stopped.
    private static func waitForInput(
        from connection: borrowing OwnedDescriptor, of location: SocketLocation, by end: Deadline
    ) throws(RendezvousError) {
        while true {
            let nextLook = min(end, Deadline(after: lookInterval))
            var request = pollfd(fd: connection.rawValue, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, nextLook.milliseconds)
            if ready == 1 { return }
            guard ready == 0 else { continue }
            let daemon = SilentDaemon(peerOf: connection, at: location.path)
            if daemon.isStopped || end.isOver { throw .noAnswer(daemon) }
        }
    }
}
