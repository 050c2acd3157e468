import CLinux

/// The process and the user at the other end of a socket, as the kernel recorded them at `connect()`.
public struct PeerCredentials: Hashable, Sendable {
    /// The process; 0 if it is in a process id namespace that this process cannot see.
    public let processID: Int32
    public let userID: UInt32
    public let groupID: UInt32

    /// Reads the credentials of a connected Unix socket's other end.
    public init(of socket: borrowing OwnedDescriptor) throws(SystemError) {
        try self.init(of: socket.rawValue)
    }

    /// Reads the credentials of a connected Unix socket's other end.
    public init(of socket: Int32) throws(SystemError) {
        var (process, user, group): (Int32, UInt32, UInt32) = (0, 0, 0)
        _ = try checked("getsockopt SO_PEERCRED") {
            linux_peer_credentials(socket, &process, &user, &group)
        }
        (processID, userID, groupID) = (process, user, group)
    }
}
