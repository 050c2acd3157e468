import CLinux
import Glibc

/// A descriptor of one process (a pidfd). It becomes readable when that process has ended, even if the process's
/// children keep its files open, and it never refers to a later process with the same id.
///
/// If the kernel refuses `pidfd_open`, it is a pipe. A process of its own polls the watched process, and closes the
/// pipe's other end within 50 ms after the watched process has ended.
public struct ProcessWatch: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor
    /// The watched process, if it is known without a query of the descriptor.
    private let identity: Identity?

    private struct Identity {
        let process: Int32
        let start: ProcessStartTime?

        /// Whether the process still has its id, as far as `/proc` shows.
        var isThere: Bool { ProcessStartTime(of: process) == start }
    }

    /// The descriptor's number, for `poll`.
    public var rawValue: Int32 { descriptor.rawValue }

    /// Watches the process that has the id now, through a pidfd or a pipe; `ESRCH` if there is none.
    public init(process: Int32) throws(SystemError) {
        let identity = Identity(process: process, start: ProcessStartTime(of: process))
        descriptor = try Self.open(identity)
        self.identity = identity
    }

    private static func open(_ identity: Identity) throws(SystemError) -> OwnedDescriptor {
        let process = identity.process
        do throws(SystemError) {
            return try openDescriptor(of: process)
        } catch {
            guard error.code != ESRCH, error.code != EINVAL, !error.isShortage else { throw error }
            guard kill(process, 0) == 0 || errno == EPERM else { throw .last("kill", "\(process)") }
            return try OwnedDescriptor(checking: "pipe", "\(process)") {
                linux_watch_by_looking(process, identity.start?.ticks ?? 0)
            }
        }
    }

    private static func openDescriptor(of process: Int32) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor(checking: "pidfd_open", "\(process)") { linux_pidfd_open(process) }
    }

    /// Watches the process that has the id now, only through a pidfd.
    ///
    /// `ESRCH`: there is no such process; `ENOSYS`, `EPERM` and others: the kernel lacks the call, or refuses it.
    public init(descriptorOf process: Int32) throws(SystemError) {
        let start = ProcessStartTime(of: process)
        descriptor = try Self.openDescriptor(of: process)
        identity = Identity(process: process, start: start)
    }

    /// Watches the process that called `connect()` at the socket's other end.
    ///
    /// `ENOPROTOOPT`: the kernel is older than Linux 6.5. `ESRCH`, or `EINVAL` from some kernels: the process is gone.
    public init(peerOf socket: borrowing OwnedDescriptor) throws(SystemError) {
        let number = socket.rawValue
        descriptor = try OwnedDescriptor(checking: "getsockopt SO_PEERPIDFD") { linux_peer_pidfd(number) }
        identity = nil
    }

    /// The calls that work here: a kernel may be too old, and a seccomp filter or a sandbox may refuse one.
    public struct Support: Equatable, Sendable {
        /// `SO_PEERPIDFD`, since Linux 6.5.
        public var asksSocket: Bool
        /// `pidfd_open`, since Linux 5.3.
        public var opensProcess: Bool
        /// The error of `pidfd_open` if it is refused; nil if it is not.
        public let refusal: SystemError?

        /// Whether any process can be watched.
        public var isThere: Bool { asksSocket || opensProcess }

        public static func == (left: Support, right: Support) -> Bool {
            left.asksSocket == right.asksSocket && left.opensProcess == right.opensProcess
        }

        /// Tries both calls on this process.
        public init() {
            asksSocket =
                Self.refusal { () throws(SystemError) in
                    _ = try ProcessWatch(peerOf: try UnixSocket.pair().first)
                } == nil
            refusal = Self.refusal { () throws(SystemError) in _ = try ProcessWatch(descriptorOf: getpid()) }
            opensProcess = refusal == nil
        }

        private static func refusal(_ attempt: () throws(SystemError) -> Void) -> SystemError? {
            do throws(SystemError) { try attempt() } catch {
                // A shortage of descriptors or memory proves nothing about later calls.
                return error.isShortage ? nil : error
            }
            return nil
        }
    }

    /// Whether the process has ended by now.
    public var hasEnded: Bool { Self.hasEnded(descriptor.rawValue) }

    /// Whether the process of the watch with this number has ended by now.
    public static func hasEnded(_ number: Int32) -> Bool {
        var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) == 1
    }

    /// Sends a signal to this process, and never to a later one with its id.
    ///
    /// `ESRCH`: the process has ended; `EPERM`: it belongs to another user.
    public func send(_ signal: Int32) throws(SystemError) {
        let number = descriptor.rawValue
        do throws(SystemError) {
            _ = try checked("pidfd_send_signal") { linux_pidfd_send_signal(number, signal) }
        } catch {
            // Either the descriptor is a pipe, or the call is refused. A refusal looks like a process of another user.
            guard let identity, [EBADF, EINVAL, ENOSYS, EPERM].contains(error.code) else { throw error }
            guard identity.isThere, !hasEnded else { throw SystemError(code: ESRCH, call: "kill") }
            _ = try checked("kill") { kill(identity.process, signal) }
        }
    }
}
