import Glibc

/// Stream sockets in the kernel's table of abstract names, which is in no file system. No cleaner can remove a name,
/// and a name is free as soon as its socket is closed. All processes of a network namespace see the same names, even if
/// they see different files.
public enum AbstractSocket {
    /// Returns a listening socket with this name; accepting from it does not block. `EADDRINUSE`: the name is taken.
    public static func listen(named name: String, backlog: Int32) throws(SystemError) -> OwnedDescriptor {
        let address = try SocketAddress(abstractName: name)
        let socket = try UnixSocket.unconnected(flags: Int32(SOCK_NONBLOCK.rawValue))
        _ = try checked("bind", "@\(name)") { address.withPointer { bind(socket.rawValue, $0, $1) } }
        _ = try checked("listen", "@\(name)") { Glibc.listen(socket.rawValue, backlog) }
        return socket
    }

    /// Connects without waiting, and returns a blocking connection. `ECONNREFUSED`: no socket of that name listens;
    /// `EAGAIN`: its backlog is full.
    public static func connect(to name: String) throws(SystemError) -> OwnedDescriptor {
        let address = try SocketAddress(abstractName: name)
        let socket = try UnixSocket.unconnected(flags: Int32(SOCK_NONBLOCK.rawValue))
        let number = socket.rawValue
        _ = try checked("connect", "@\(name)") { address.withPointer { Glibc.connect(number, $0, $1) } }
        _ = try checked("fcntl") { fcntl(number, F_SETFL, 0) }
        return socket
    }
}
