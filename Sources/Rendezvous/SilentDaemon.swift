import Glibc
public import Posix

/// A daemon that does not answer, as far as the caller can see it.
public struct SilentDaemon: Hashable, Sendable {
    /// The path of its socket.
    public let path: String
    /// The process that listens there; nil if it is invisible to this process, or was not reached.
    public let processID: Int32?
    /// Whether that process is stopped (`SIGSTOP`, a debugger).
    public let isStopped: Bool

    /// A daemon that was not reached.
    public init(at path: String) {
        self.init(at: path, processID: nil)
    }

    /// The daemon at the other end of a connection.
    public init(peerOf connection: borrowing OwnedDescriptor, at path: String? = nil) {
        self.init(peerOf: connection.rawValue, at: path)
    }

    /// The daemon at the other end of a connection.
    public init(peerOf connection: Int32, at path: String? = nil) {
        // Until a started daemon itself calls `listen()`, the kernel reports the process that bound the socket for it.
        let process = (try? PeerCredentials(of: connection))?.processID ?? 0
        self.init(
            at: path ?? UnixSocket.peerPath(of: connection) ?? "?",
            processID: process == 0 || process == getpid() ? nil : process)
    }

    /// The same daemon, as the caller sees it now.
    public var now: SilentDaemon { SilentDaemon(at: path, processID: processID) }

    private init(at path: String, processID: Int32?) {
        self.path = path
        self.processID = processID
        isStopped = processID.map(ProcessFacts.isStopped) ?? false
    }
}

extension SilentDaemon: CustomStringConvertible {
    /// What does not answer, and what to do about it.
    public var description: String {
        let process = processID.map { " (pid \($0))" } ?? ""
        let name = "the lock daemon at \(path)\(process) does not answer"
        guard isStopped, let processID else { return "\(name): try again, or look at what it waits for" }
        return "\(name), as it is stopped: `kill -CONT \(processID)` lets it go on"
    }
}
