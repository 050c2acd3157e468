import CTestSupport
import Glibc
import Posix

/// A process that connects to a daemon and hands its connection to the test.
///
/// For the daemon, the session belongs to that process: the session ends when the process dies, although the test still
/// has the connection.
public final class PeerProcess {
    public let processID: Int32
    /// The process's connection.
    public let session: RawSession
    private let control: OwnedDescriptor
    private var hasEnded = false

    /// - Parameters:
    ///   - user: the user of the process, which needs root; nil for the user of the test.
    ///   - group: the supplementary group of that user.
    public init(connectingTo path: String, as user: UInt32? = nil, group: UInt32 = 0) throws {
        let pair = try UnixSocket.pair()
        processID = support_start_peer(
            path, pair.second.rawValue, user.map(Int64.init) ?? -1, Int64(group))
        guard processID > 0 else { throw SystemError.last("fork") }
        control = try pair.first.duplicate()
        let connection = support_receive_connection(pair.first.rawValue)
        guard connection >= 0 else { throw SystemError(code: ECONNREFUSED, call: "connect", subject: path) }
        session = RawSession(OwnedDescriptor(owning: connection))
    }

    public convenience init(of daemon: DaemonProcess) throws {
        try self.init(connectingTo: daemon.socketPath)
    }

    deinit { if !hasEnded { kill() } }

    /// Makes it connect again: another session of the same process.
    public func connectAgain() throws -> RawSession {
        write(control.rawValue, "a", 1)
        let connection = support_receive_connection(control.rawValue)
        guard connection >= 0 else {
            throw SystemError(code: ECONNREFUSED, call: "connect", subject: "again")
        }
        return RawSession(OwnedDescriptor(owning: connection))
    }

    /// Makes it fork a child that keeps all its connections open for the life of this object; returns the child's id.
    public func forkChild() -> Int32 {
        var child: Int32 = 0
        write(control.rawValue, "f", 1)
        read(control.rawValue, &child, 4)
        return child
    }

    /// Makes it close its copy of the connection; the test and children still have theirs.
    public func closeConnection() {
        var answer: UInt8 = 0
        write(control.rawValue, "c", 1)
        read(control.rawValue, &answer, 1)
    }

    /// Sends a signal.
    public func signal(_ number: Int32) { Glibc.kill(processID, number) }

    /// Kills it, and waits for its death.
    public func kill() {
        hasEnded = true
        Glibc.kill(processID, SIGKILL)
        var status: Int32 = 0
        waitpid(processID, &status, 0)
    }
}
