import CLinux
import Glibc

/// A descriptor of one process (a pidfd): it becomes readable when that process has ended, whatever its children
/// still keep open, and never means another process that gets the same id later.
public struct ProcessWatch: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// The descriptor's number, to be polled for `POLLIN`.
    public var rawValue: Int32 { descriptor.rawValue }

    /// Watches whichever process has the id now; `ESRCH` if none has.
    public init(process: Int32) throws(SystemError) {
        descriptor = try OwnedDescriptor(checking: "pidfd_open", "\(process)") { linux_pidfd_open(process) }
    }

    /// Watches the process that called `connect()` on the socket's other end.
    ///
    /// `ENOPROTOOPT`: the kernel is older than Linux 6.5. `ESRCH`, or `EINVAL` from some kernels: the process is gone.
    public init(peerOf socket: borrowing OwnedDescriptor) throws(SystemError) {
        let number = socket.rawValue
        descriptor = try OwnedDescriptor(checking: "getsockopt SO_PEERPIDFD") { linux_peer_pidfd(number) }
    }

    /// Whether the process has ended, now.
    public var hasEnded: Bool { Self.hasEnded(descriptor.rawValue) }

    /// Whether the process of a watch with this number has ended, now.
    public static func hasEnded(_ number: Int32) -> Bool {
        var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) == 1
    }

    /// Sends a signal to this process, and never to a later one with its id.
    ///
    /// `ESRCH`: it has ended; `EPERM`: it is another user's.
    public func send(_ signal: Int32) throws(SystemError) {
        let number = descriptor.rawValue
        _ = try checked("pidfd_send_signal") { linux_pidfd_send_signal(number, signal) }
    }
}
