import Glibc
package import LockWire
package import Posix
package import Rendezvous

/// A connection to the daemon for one thread: it sends requests and waits for lines.
///
/// It has no thread of its own and does not connect again after its end. The session belongs to the process that
/// connected (G6): a program that this process executes can have it (`keepOverExec`), a forked child cannot.
package struct BlockingConnection: ~Copyable {
    private let socket: OwnedDescriptor
    private var receiver = LineReceiver()
    /// The lines that have arrived, in reverse, so that the next one is the last.
    private var lines: [ServerLine] = []
    private var outgoing: [UInt8] = []

    /// Connects to the daemon until the deadline, and starts the user's own daemon if none runs.
    package init(
        _ location: SocketLocation? = nil, in surroundings: Surroundings = .current(),
        by deadline: Deadline = .never
    ) throws(RendezvousError) {
        socket = try DaemonConnector(location, in: surroundings).connect(by: deadline)
    }

    /// A connection over a socket that is connected.
    package init(over socket: consuming OwnedDescriptor) { self.socket = socket }

    /// The socket's descriptor, for `poll`. `poll` does not see lines that arrived together with an earlier one:
    /// `next(timeout: .zero)` returns those.
    package var descriptor: Int32 { socket.rawValue }

    /// Leaves the socket open in a program that this process executes, so that the session continues in it.
    package borrowing func keepOverExec() throws(SystemError) {
        guard fcntl(socket.rawValue, F_SETFD, 0) == 0 else { throw .last("fcntl") }
    }

    /// The location of the daemon that was reached.
    package func location(in surroundings: Surroundings = .current()) -> SocketLocation? {
        UnixSocket.peerPath(of: socket.rawValue).map { SocketLocation(naming: $0, in: surroundings) }
    }

    /// From now on takes the files for cached grants as well.
    mutating func awaitFiles() { receiver = LineReceiver(awaitsFiles: true) }

    /// Hands over the files that have arrived.
    mutating func takeFiles() -> SlotFiles? { receiver.takeFiles() }

    /// Sends one request, and waits until the deadline for the socket to take it.
    ///
    /// Bytes that the socket does not take by then precede the next request, so that no line is ever cut.
    package mutating func send(_ request: Request, by deadline: Deadline = .never) throws(ConnectionEnded) {
        request.encode(into: &outgoing)
        var bytes: [UInt8] = []
        swap(&bytes, &outgoing)
        defer { swap(&bytes, &outgoing) }
        try send(&bytes, by: deadline)
    }

    /// Sends bytes until the deadline, and removes those that the socket took.
    borrowing func send(_ bytes: inout [UInt8], by deadline: Deadline) throws(ConnectionEnded) {
        while !bytes.isEmpty {
            try bytes.send(to: socket.rawValue)
            guard !bytes.isEmpty else { return }
            guard try wait(for: POLLOUT, until: deadline) else { return }
        }
    }

    /// The daemon's next line; nil if none arrives by the deadline.
    package mutating func next(by deadline: Deadline = .never) throws(ConnectionEnded) -> ServerLine? {
        if let line = lines.popLast() { return line }
        while try wait(for: POLLIN, until: deadline) {
            lines = try receiver.receive(from: socket.rawValue).reversed()
            if let line = lines.popLast() { return line }
        }
        return nil
    }

    /// The daemon's next line; nil if none arrives within this time.
    package mutating func next(timeout: Duration) throws(ConnectionEnded) -> ServerLine? {
        try next(by: Deadline(after: timeout))
    }

    /// The daemon at the other end, for the error that it does not answer.
    package var silentDaemon: SilentDaemon { SilentDaemon(peerOf: socket) }

    /// Ends the session. The daemon carries out all that was sent before.
    package borrowing func close() { shutdown(socket.rawValue, Int32(SHUT_RDWR)) }

    /// Waits until the socket is ready or has ended; false if the deadline came first.
    private borrowing func wait(for event: Int32, until end: Deadline) throws(ConnectionEnded) -> Bool {
        while true {
            var request = pollfd(fd: socket.rawValue, events: Int16(event), revents: 0)
            // A look now and then, because `poll` does not count the time in which the machine sleeps.
            let ready = poll(&request, 1, min(end.milliseconds, 1_000))
            if ready > 0 { return true }
            if ready == 0, end.isOver { return false }
            if ready < 0, errno != EINTR { throw ConnectionEnded(.last("poll")) }
        }
    }
}
