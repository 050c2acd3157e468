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
        socket = OwnedDescriptor(
            owning: Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket.rawValue, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0 else { throw SystemError.last("bind", path) }
    }

    /// The oldest datagram; nil if there is none.
    public func read() -> String? {
        var bytes = [UInt8](repeating: 0, count: 1 << 18)
        let count = recv(socket.rawValue, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Blocks until a datagram with this prefix comes; others are dropped.
    public func waitFor(_ prefix: String) throws {
        while true {
            if let datagram = read() {
                if datagram.hasPrefix(prefix) { return }
                continue
            }
            var request = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 30_000) == 1 || errno == EINTR else {
                throw RawSession.TimedOut(description: "no datagram `\(prefix)` came")
            }
        }
    }
}
