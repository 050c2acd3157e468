import CLinux
import Glibc

/// Stream sockets of the Unix domain. Programs that this process executes inherit none of them.
public enum UnixSocket {
    /// The longest path of a socket, in bytes: `sun_path` without the NUL at its end.
    public static let maximumPathLength = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// Returns a blocking connection to the process that listens at the path.
    ///
    /// `ENOENT`: no socket there; `ECONNREFUSED`: a socket that does not listen; `EACCES`: not permitted; `EAGAIN`: the
    /// backlog was full until the deadline. If the deadline is already over, the call waits for a microsecond.
    public static func connect(to path: String, by deadline: Deadline = .never) throws(SystemError)
        -> OwnedDescriptor
    {
        let socket = try unconnected()
        let address = try SocketAddress(path: path)
        while true {
            // Set the limit again after an interruption: the kernel restarts its count, and signals may never stop.
            if let left = deadline.left { try limitSending(on: socket, to: max(left, .microseconds(1))) }
            if address.withPointer({ Glibc.connect(socket.rawValue, $0, $1) }) == 0 { break }
            // An interrupted `connect` may have succeeded.
            if errno == EISCONN { break }
            if errno != EINTR { throw .last("connect", path) }
        }
        if deadline != .never { try limitSending(on: socket, to: .zero) }
        return socket
    }

    /// Returns a listening socket at a free path (`EADDRINUSE` otherwise); accepting from it does not block.
    ///
    /// No client can connect before mode and group are set: the kernel refuses connections until `listen`.
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

    /// Returns the next connection of a listener's backlog, non-blocking; nil if there is none.
    ///
    /// `EMFILE` and `ENFILE`: no descriptor is left, and the connection stays in the backlog.
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

    /// A number that no other socket of this host gets before its next boot; nil if the descriptor is not a socket. Duplicates of
    /// a descriptor have the same number.
    public static func cookie(of descriptor: Int32) -> UInt64? {
        var value: UInt64 = 0
        var length = socklen_t(MemoryLayout<UInt64>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &value, &length) == 0 ? value : nil
    }

    /// A number that no other memory file or socket of this boot has; nil if the descriptor is neither. Duplicates of a
    /// descriptor have the same number.
    public static func identity(of descriptor: Int32) -> UInt64? {
        if let cookie = cookie(of: descriptor) { return cookie }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        // No cookie of a socket is so large.
        return UInt64(status.st_ino) | 1 << 63
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }

    /// Takes over an inherited listening socket: accepting from it does not block, and no program inherits it further.
    ///
    /// It calls `listen` again, with the backlog of `listen(at:…)`. `SO_PEERCRED` shows clients the process that called
    /// `listen` last, and this must be this process.
    public static func adoptListener(_ descriptor: Int32) -> OwnedDescriptor {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = Glibc.listen(descriptor, defaultBacklog)
        return OwnedDescriptor(owning: descriptor)
    }

    /// Sets how many connections may wait in a listener's backlog. Beyond that, clients wait in their own `connect`.
    public static func setBacklog(of listener: borrowing OwnedDescriptor, to backlog: Int32) {
        _ = Glibc.listen(listener.rawValue, backlog)
    }

    /// The kernel's usual upper bound for a backlog (`net.core.somaxconn`).
    public static let defaultBacklog: Int32 = 4096

    /// The path that a socket is bound to; nil if it has none in the file system.
    public static func path(of descriptor: Int32) -> String? { path { getsockname(descriptor, $0, $1) } }

    /// The path that a connected socket's other end is bound to, as spelled in its `bind`; nil if it has none.
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
        // The address of an unnamed socket has only the family; the name of an abstract one begins with NUL.
        let path = withUnsafeBytes(of: &address.sun_path) { Array($0.prefix { $0 != 0 }) }
        return path.isEmpty ? nil : String(decoding: path, as: UTF8.self)
    }

    /// Whether a connection to the path arrives at this listener.
    ///
    /// It makes a connection and closes it; the listener then finds a closed connection. A full backlog (`EAGAIN`)
    /// counts as an arrival, because it cannot be checked.
    public static func leads(_ path: String, to listener: Int32) -> Bool {
        do throws(SystemError) {
            let probe = try connect(to: path, by: Deadline(at: 0))
            let (there, here) = (try PeerCredentials(of: probe), try PeerCredentials(of: listener))
            // The kernel records the process that listens, and gives a listener's name to its connections.
            return there == here && peerPath(of: probe.rawValue) == self.path(of: listener)
        } catch {
            return error.code == EAGAIN
        }
    }

    /// Returns two blocking sockets that are connected to each other; `ofMessages` selects sockets that keep message
    /// boundaries.
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

        /// Passes both ends to the body, which takes each over.
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

    /// Limits how long a blocking call may wait to send or to connect; zero for no limit.
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
