import Glibc
public import Posix

/// A connection to a daemon that sends and receives lines of the protocol.
///
/// Each call blocks, and throws after half a minute.
public final class RawSession {
    /// Nothing came for half a minute; says what the test expected.
    public struct TimedOut: Error, CustomStringConvertible {
        public let description: String

        public init(description: String) { self.description = description }
    }

    private var socket: OwnedDescriptor?
    private var buffer: [UInt8] = []
    /// The bytes of the lines that were read, without `! RESUMED`; after that notice, those that stand before it.
    private var received = 0
    /// The bytes that were received before the last `! RESUMED`.
    private var known = 0

    private static let patience: Int32 = 30_000

    public init(_ socket: consuming OwnedDescriptor) {
        TestProcess.raiseDescriptorLimit()
        self.socket = consume socket
    }

    public convenience init(connectingTo path: String) throws {
        self.init(try UnixSocket.connect(to: path))
    }

    /// The socket; -1 once it is closed.
    public var descriptor: Int32 { socket?.rawValue ?? -1 }

    /// Sends bytes, and blocks until the socket took all of them.
    public func send(bytes: some Sequence<UInt8>) throws {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw SystemError.last("send") }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends lines, each with its line feed.
    public func send(_ lines: String...) throws {
        for line in lines { try send(bytes: Array("\(line)\n".utf8)) }
    }

    /// Waits for so long until something or the end can be read, where the patience of the other calls is too short.
    public func wait(seconds: Int32) {
        guard buffer.isEmpty else { return }
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&request, 1, 1_000 * seconds) < 0, errno == EINTR {}
    }

    /// Reads the next line, without its line feed; nil at the end.
    ///
    /// It passes over `! RESUMED`, and over what was received before.
    public func nextLine() throws -> String? {
        while let line = try readLine() {
            let mark = "! RESUMED from="
            guard line.hasPrefix(mark), let from = Int(line.dropFirst(mark.count)) else {
                let isNew = received >= known
                received += line.utf8.count + 1
                if isNew { return line }
                continue
            }
            known = max(known, received)
            received = from
        }
        return nil
    }

    /// Counts bytes that the caller has read from the socket itself, so that `! RESUMED` is understood.
    public func count(received: Int) { self.received += received }

    private func readLine() throws -> String? {
        while true {
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffer.removeSubrange(...end) }
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, Self.patience)
            if ready < 0, errno == EINTR { continue }
            guard ready == 1 else { throw TimedOut(description: "no line came in half a minute") }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            // A reset is an end too: the daemon closed with unread input, or is gone.
            if count <= 0 { return nil }
            buffer += chunk[..<count]
        }
    }

    /// Sends a line, and reads the next one.
    @discardableResult
    public func ask(_ line: String) throws -> String? {
        try send(line)
        return try nextLine()
    }

    /// Reads lines through the first with a prefix, or to the end.
    public func lines(through prefix: String) throws -> [String] {
        var lines: [String] = []
        while let line = try nextLine() {
            lines.append(line)
            if line.hasPrefix(prefix) { break }
        }
        return lines
    }

    /// Reads all lines to the end.
    public func linesToEnd() throws -> [String] {
        var lines: [String] = []
        while let line = try nextLine() { lines.append(line) }
        return lines
    }

    /// Whether a line or the end can be read without blocking.
    public var hasSomething: Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return !buffer.isEmpty || poll(&request, 1, 0) == 1
    }

    /// Shuts down the sending direction.
    public func endInput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes the socket. The connection ends when no process has a copy: a child that another test forks has one for a moment.
    public func close() { socket = nil }

    /// Ends the connection at once, also if another process has a copy of the socket.
    public func end() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close()
    }
}
