import Glibc
import Posix

/// A socket for datagrams in the place of a journal or a service manager, which reads only when a test says so.
public final class DatagramReceiver {
    private let directory: TemporaryDirectory
    private let socket: OwnedDescriptor
    public let path: String

    public init() throws {
        directory = try TemporaryDirectory()
        path = directory("receiver")
        socket = Self.makeSocket()
        guard Self.withAddress(path, { bind(socket.rawValue, $0, $1) }) == 0 else {
            throw SystemError.last("bind", path)
        }
    }

    private static func makeSocket() -> OwnedDescriptor {
        OwnedDescriptor(owning: Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    }

    private static func withAddress(
        _ path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        return withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// Fills the queue with datagrams, which stay there until a read.
    public func fill() throws {
        // One sender reaches its own limit first; several reach the limit of the receiver.
        for _ in 0..<16 {
            let sender = Self.makeSocket()
            guard Self.withAddress(path, { connect(sender.rawValue, $0, $1) }) == 0 else {
                throw SystemError.last("connect", path)
            }
            guard send(sender.rawValue, "x", 1, Int32(MSG_DONTWAIT)) == 1 else { return }
            while send(sender.rawValue, "x", 1, Int32(MSG_DONTWAIT)) == 1 {}
        }
        throw SystemError(code: EAGAIN, call: "fill", subject: path)
    }

    /// The oldest datagram; nil if there is none.
    public func read() -> String? {
        var bytes = [UInt8](repeating: 0, count: 1 << 18)
        let count = recv(socket.rawValue, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Blocks until a datagram with these words comes, and drops all before it.
    public func waitFor(_ words: String) throws {
        while true {
            if let datagram = read() {
                if datagram.contains(words) { return }
                continue
            }
            var request = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 30_000) == 1 || errno == EINTR else {
                throw RawSession.TimedOut(description: "no datagram with `\(words)` came")
            }
        }
    }
}
