import Glibc
public import Posix

/// A connection to a daemon, in lines as they stand on the wire.
///
/// Every call blocks, and gives up with an error after half a minute.
public final class RawSession {
    /// Nothing came for half a minute; what was waited for.
    public struct TimedOut: Error, CustomStringConvertible {
        public let description: String

        public init(description: String) { self.description = description }
    }

    private var socket: OwnedDescriptor?
    private var buffer: [UInt8] = []

    private static let patience: Int32 = 30_000

    public init(_ socket: consuming OwnedDescriptor) { self.socket = consume socket }

    public convenience init(connectingTo path: String) throws {
        self.init(try UnixSocket.connect(to: path))
    }

    /// The connection's number; -1 once it is closed.
    public var descriptor: Int32 { socket?.rawValue ?? -1 }

    /// Sends bytes as they are, and blocks for as long as they are not taken.
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

    /// The next line without its line feed; nil at the end.
    public func nextLine() throws -> String? {
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
            // A daemon that closed with lines of ours unread, and one that is gone, are both an end.
            if count <= 0 { return nil }
            buffer += chunk[..<count]
        }
    }

    /// Sends a line and returns the next one that comes.
    @discardableResult
    public func ask(_ line: String) throws -> String? {
        try send(line)
        return try nextLine()
    }

    /// The lines up to and with the first that has the prefix, or to the end.
    public func lines(through prefix: String) throws -> [String] {
        var lines: [String] = []
        while let line = try nextLine() {
            lines.append(line)
            if line.hasPrefix(prefix) { break }
        }
        return lines
    }

    /// All lines to the end.
    public func linesToEnd() throws -> [String] {
        var lines: [String] = []
        while let line = try nextLine() { lines.append(line) }
        return lines
    }

    /// Whether a line, or the end, is there without waiting.
    public var hasSomething: Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return !buffer.isEmpty || poll(&request, 1, 0) == 1
    }

    /// Says that nothing more will be sent.
    public func endInput() { shutdown(descriptor, Int32(SHUT_WR)) }

    public func close() { socket = nil }
}
