import Glibc
import Posix

/// How one call connects to a daemon that listens: until when it waits, and whom it tells for what.
///
/// A connection counts once the daemon has answered `PING` on it. A daemon that is seen to be stopped is not waited for
/// until the end: that it does not answer is known then.
struct Reach {
    /// Until when the call waits; each of its waits has a bound of its own as well.
    let end: Deadline
    /// How long a daemon may think about its first reply.
    let patience: Duration
    /// Is told of the daemon, when a connection to it is tried and when it stands.
    let trying: ((SilentDaemon) -> Void)?

    /// How long a daemon may be silent before the call looks whether it is stopped.
    private static let lookInterval = Duration.milliseconds(1500)

    /// A connection on which the daemon has answered; nil if no daemon listens, or the end comes before the answer.
    func connect(to location: SocketLocation) throws(RendezvousError) -> OwnedDescriptor? {
        let end = min(end, Deadline(after: patience))
        let connection: OwnedDescriptor
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
        if let trying { trying(SilentDaemon(peerOf: connection, at: location.path)) }
        // A server that has closed may have said something before: that is read first.
        _ = Self.send("PING\n", to: connection)
        while let line = try Self.nextLine(from: connection, of: location, by: end) {
            // What a daemon says unasked is no answer.
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

    /// The next line, read byte by byte, so that nothing behind it is lost; nil at the end of input.
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

    /// Returns when there is something to read; at the end of the time, or once the daemon is stopped, it throws.
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
