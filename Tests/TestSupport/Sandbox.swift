import CTestSupport
import Glibc
public import Posix

/// The system calls that the kernel refuses a program, as under container profiles, sandboxes and old kernels.
public struct Sandbox: Sendable {
    public struct Refusals: OptionSet, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let pidfdOpen = Refusals(rawValue: support_refuse_pidfd_open.rawValue)
        public static let peerPidfd = Refusals(rawValue: support_refuse_peer_pidfd.rawValue)
        public static let pidfdSendSignal = Refusals(rawValue: support_refuse_pidfd_send_signal.rawValue)
        public static let closeRange = Refusals(rawValue: support_refuse_close_range.rawValue)
        /// All calls that make or use a descriptor of a process.
        public static let processDescriptors: Refusals = [.pidfdOpen, .peerPidfd, .pidfdSendSignal]
    }

    public var refusals: Refusals
    /// The error number of a refused call.
    public var error: Int32
    /// The program's user, which needs root; nil for the user of this process.
    public var user: UInt32?

    public init(_ refusals: Refusals, error: Int32, user: UInt32? = nil) {
        self.refusals = refusals
        self.error = error
        self.user = user
    }

    /// Starts a program in the sandbox with exactly three descriptors; the caller must reap it.
    public func spawn(_ program: ChildProcess) throws -> Int32 {
        var arguments: [UnsafeMutablePointer<CChar>?] = program.arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = program.environment.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        let process = support_spawn_refusing(
            program.executable, &arguments, &environment, program.descriptors, refusals.rawValue, error,
            user.map(Int64.init) ?? -1)
        guard process > 0 else { throw SystemError.last("fork") }
        return process
    }
}
