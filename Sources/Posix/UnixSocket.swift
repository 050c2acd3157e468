import CLinux
import Glibc

/// Stream sockets of the Unix domain. None is inherited by a program that is executed.
public enum UnixSocket {
    /// The longest path of a socket, in bytes: `sun_path` less the NUL at its end.
    public static let maximumPathLength = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// A blocking connection to the process that listens at the path.
    ///
    /// `ENOENT`: no socket there; `ECONNREFUSED`: one that does not listen; `EACCES`: not permitted; `EAGAIN`: the
    /// backlog was full until the deadline; if that is over, for a microsecond.
    public static func connect(to path: String, by deadline: Deadline = .never) throws(SystemError)
        -> OwnedDescriptor
    {
        let socket = try unconnected()
        let address = try SocketAddress(path: path)
        while true {
            // Anew after an interruption: the kernel begins to count again, and signals may come for ever.
            if let left = deadline.left { try limitSending(on: socket, to: max(left, .microseconds(1))) }
            if address.withPointer({ Glibc.connect(socket.rawValue, $0, $1) }) == 0 { break }
            // An interrupted connect may have happened all the same.
            if errno == EISCONN { break }
            if errno != EINTR { throw .last("connect", path) }
        }
        if deadline != .never { try limitSending(on: socket, to: .zero) }
        return socket
    }

    /// A listening socket at a path where nothing is yet (`EADDRINUSE` otherwise); accepting from it does not block.
    ///
    /// Nobody can connect before mode and group are in place: until it listens, whoever tries is refused.
    public static func listen(
        at path: String, mode: UInt32, group: UInt32? = nil, backlog: Int32 = defaultBacklog
    ) throws(SystemError) -> OwnedDescriptor {
        let socket = try unconnected(flags: Int32(SOCK_NONBLOCK.rawValue))
        let address = try SocketAddress(path: path)
        _ = try checked("bind", path) { address.withPointer { bind(socket.rawValue, $0, $1) } }
        do throws(SystemError) {
            if let group {
                _ = try checked("chown", path) { chown(path, uid_t.max, group) }
            }
            _ = try checked("chmod", path) { chmod(path, mode) }
            _ = try checked("listen", path) { Glibc.listen(socket.rawValue, backlog) }
        } catch {
            unlink(path)
            throw error
        }
        return socket
    }

    /// The next connection out of a listener's backlog, non-blocking; nil if there is none.
    ///
    /// `EMFILE` and `ENFILE`: no descriptor is left, and the connection still stands in the backlog.
    public static func accept(from listener: borrowing OwnedDescriptor) throws(SystemError)
        -> OwnedDescriptor?
    {
        while true {
            let accepted = linux_accept(listener.rawValue)
            if accepted >= 0 { return OwnedDescriptor(owning: accepted) }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EAGAIN: return nil
            default: throw .last("accept4")
            }
        }
    }

    /// Whether the descriptor is a Unix socket that listens.
    public static func isListening(_ descriptor: Int32) -> Bool {
        option(SO_DOMAIN, of: descriptor) == AF_UNIX && option(SO_ACCEPTCONN, of: descriptor) == 1
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }

    /// Takes over a listening socket that was inherited: accepting from it does not block, and no program inherits it
    /// further.
    ///
    /// It listens anew, with the backlog of `listen(at:…)`: the kernel tells clients the process that called `listen`
    /// last as the one that they are connected to (`SO_PEERCRED`), and that is to be this one.
    public static func adoptListener(_ descriptor: Int32) -> OwnedDescriptor {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = Glibc.listen(descriptor, defaultBacklog)
        return OwnedDescriptor(owning: descriptor)
    }

    /// As many as the kernel lets wait (`net.core.somaxconn`).
    public static let defaultBacklog: Int32 = 4096

    /// The path that a socket is bound to; nil if it has none in the file system.
    public static func path(of descriptor: Int32) -> String? { path { getsockname(descriptor, $0, $1) } }

    /// The path that a connected socket's other end is bound to, as it was spelled there; nil if it has none.
    public static func peerPath(of descriptor: Int32) -> String? { path { getpeername(descriptor, $0, $1) } }

    private static func path(
        _ name: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> String? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name($0, &length) }
        }
        guard result == 0, address.sun_family == sa_family_t(AF_UNIX) else { return nil }
        // A name without a path is as long as the family alone; an abstract one begins with NUL.
        let path = withUnsafeBytes(of: &address.sun_path) { Array($0.prefix { $0 != 0 }) }
        return path.isEmpty ? nil : String(decoding: path, as: UTF8.self)
    }

    /// Whether a connection to the path arrives at this listener.
    ///
    /// It makes one, which the listener finds closed. A full backlog counts as an arrival, as it cannot be told.
    public static func leads(_ path: String, to listener: Int32) -> Bool {
        do throws(SystemError) {
            let probe = try connect(to: path, by: Deadline(at: 0))
            let (there, here) = (try PeerCredentials(of: probe), try PeerCredentials(of: listener))
            // The kernel notes who listens, and hands a listener's name to its connections.
            return there == here && peerPath(of: probe.rawValue) == self.path(of: listener)
        } catch {
            return error.code == EAGAIN
        }
    }

    /// Two blocking sockets, connected to each other; if told so, such as keep messages apart.
    public static func pair(ofMessages: Bool = false) throws(SystemError) -> Pair {
        let type = ofMessages ? Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue) : streamType
        var ends: (Int32, Int32) = (-1, -1)
        _ = try checked("socketpair") {
            withUnsafeMutableBytes(of: &ends) {
                socketpair(AF_UNIX, type, 0, $0.assumingMemoryBound(to: Int32.self).baseAddress)
            }
        }
        return Pair(first: OwnedDescriptor(owning: ends.0), second: OwnedDescriptor(owning: ends.1))
    }

    /// The two ends of a connection.
    public struct Pair: ~Copyable {
        public let first: OwnedDescriptor
        public let second: OwnedDescriptor

        /// Both ends, to go their own ways.
        public consuming func split<Result: ~Copyable>(
            _ body: (consuming OwnedDescriptor, consuming OwnedDescriptor) -> Result
        ) -> Result {
            body(first, second)
        }
    }

    private static let streamType = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

    static func unconnected(flags: Int32 = 0) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor(checking: "socket") { socket(AF_UNIX, streamType | flags, 0) }
    }

    /// How long a blocking call may wait to send or to connect; zero for without end.
    private static func limitSending(
        on socket: borrowing OwnedDescriptor, to limit: Duration
    ) throws(SystemError) {
        let (seconds, attoseconds) = limit.components
        var time = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        let number = socket.rawValue
        _ = try checked("setsockopt SO_SNDTIMEO") {
            setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        }
    }
}
