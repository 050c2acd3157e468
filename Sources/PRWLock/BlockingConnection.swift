import Glibc
package import LockWire
package import Posix
package import Rendezvous

/// A session with the daemon for one thread: it sends requests, and waits for lines.
///
/// It has no thread of its own, and does not begin again after its end: its user says what then becomes of
/// what was held. The session is the process's that made it; a program that this process executes can have it
/// (`keepOverExec`), a process that it forks cannot (G6).
package struct BlockingConnection: ~Copyable {
    private let socket: OwnedDescriptor
    private var reader = LineReader(limit: 1 << 20)
    private var chunk = [UInt8](repeating: 0, count: 16_384)
    /// Lines that have come, in reverse, so that the next one is the last.
    private var lines: [ServerLine] = []
    private var outgoing: [UInt8] = []

    /// Connects to the daemon until the deadline, and starts the user's own if none runs.
    package init(
        _ location: SocketLocation? = nil, in surroundings: Surroundings = .current(),
        by deadline: Deadline = .never
    ) throws(RendezvousError) {
        socket = try DaemonConnector(location, in: surroundings).connect(by: deadline)
    }

    /// A connection that was made elsewhere: a blocking socket.
    package init(over socket: consuming OwnedDescriptor) { self.socket = socket }

    /// The socket's descriptor, to be polled. Lines that came together with another are not seen by polling, but
    /// by `next(timeout: .zero)`.
    package var descriptor: Int32 { socket.rawValue }

    /// Leaves the socket open in a program that this process executes, so that the session goes on in it.
    package borrowing func keepOverExec() throws(SystemError) {
        guard fcntl(socket.rawValue, F_SETFD, 0) == 0 else { throw .last("fcntl") }
    }

    /// Where the daemon is that was reached.
    package func location(in surroundings: Surroundings = .current()) -> SocketLocation? {
        UnixSocket.peerPath(of: socket.rawValue).map { SocketLocation(naming: $0, in: surroundings) }
    }

    /// Sends one request, and waits until the deadline for the socket to take it.
    ///
    /// What it does not take by then goes before the next request, so that no line is ever cut.
    package mutating func send(_ request: Request, by deadline: Deadline = .never) throws(ConnectionEnded) {
        request.encode(into: &outgoing)
        let descriptor = socket.rawValue
        while !outgoing.isEmpty {
            let count = outgoing.withUnsafeBytes { bytes in
                Glibc.send(
                    descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count >= 0 {
                outgoing.removeFirst(count)
            } else if errno == EAGAIN {
                guard try wait(for: POLLOUT, until: deadline) else { return }
            } else if errno != EINTR {
                throw ConnectionEnded(.last("send"))
            }
        }
    }

    /// The daemon's next line; nil if none came in time. Without a deadline it waits for ever.
    ///
    /// Lines that this version of the protocol does not know are passed over.
    package mutating func next(by deadline: Deadline = .never) throws(ConnectionEnded) -> ServerLine? {
        if let line = lines.popLast() { return line }
        while try wait(for: POLLIN, until: deadline) {
            try receive()
            if let line = lines.popLast() { return line }
        }
        return nil
    }

    /// The daemon's next line; nil if none came within this time.
    package mutating func next(timeout: Duration) throws(ConnectionEnded) -> ServerLine? {
        try next(by: Deadline(after: timeout))
    }

    /// The daemon at the other end, if it does not answer.
    package var silentDaemon: SilentDaemon { SilentDaemon(peerOf: socket) }

    /// Ends the session; all that was sent before is carried out.
    package borrowing func close() { shutdown(socket.rawValue, Int32(SHUT_RDWR)) }

    /// Whether the socket is ready, or at its end; false if the deadline came first.
    private borrowing func wait(for event: Int32, until end: Deadline) throws(ConnectionEnded) -> Bool {
        while true {
            var request = pollfd(fd: socket.rawValue, events: Int16(event), revents: 0)
            let ready = poll(&request, 1, end.milliseconds)
            if ready > 0 { return true }
            if ready == 0, end.isOver { return false }
            if ready < 0, errno != EINTR { throw ConnectionEnded(.last("poll")) }
        }
    }

    private mutating func receive() throws(ConnectionEnded) {
        let descriptor = socket.rawValue
        let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0 else {
            if count < 0, errno == EINTR { return }
            throw ConnectionEnded(count == 0 ? nil : .last("recv"))
        }
        var arrived: [ServerLine] = []
        chunk.withUnsafeBytes { bytes in
            _ = reader.read(UnsafeRawBufferPointer(rebasing: bytes[..<count])) { line in
                if case .text(let text) = line, let line = ServerLine.parse(text) { arrived.append(line) }
                return true
            }
        }
        lines = arrived.reversed()
    }
}

/// The end of a session: the daemon is gone, or has closed it.
package struct ConnectionEnded: Error, CustomStringConvertible {
    /// What the system said; nil for an orderly end of input.
    package let cause: SystemError?

    package init(_ cause: SystemError?) { self.cause = cause }

    package var description: String {
        "the connection to the lock daemon has ended" + (cause.map { ": \($0)" } ?? "")
    }
}
