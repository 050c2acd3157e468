import CTestSupport
import Glibc
import Posix

/// A process that connected to a daemon, and over whose connection the test speaks.
///
/// To the daemon the session is that process's: it ends when that process dies, whoever still has the connection.
public final class PeerProcess {
    public let processID: Int32
    /// The connection that the process made.
    public let session: RawSession
    private let control: OwnedDescriptor
    private var hasEnded = false

    /// - Parameters:
    ///   - user: whom it is to be, which takes root; nil for whom this process is.
    ///   - group: its supplementary group then.
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

    /// Has it connect once more: another session of the same process.
    public func connectAgain() throws -> RawSession {
        write(control.rawValue, "a", 1)
        let connection = support_receive_connection(control.rawValue)
        guard connection >= 0 else {
            throw SystemError(code: ECONNREFUSED, call: "connect", subject: "again")
        }
        return RawSession(OwnedDescriptor(owning: connection))
    }

    /// Has it fork a child that keeps all its connections open, until this object is gone. Returns the child's id.
    public func forkChild() -> Int32 {
        var child: Int32 = 0
        write(control.rawValue, "f", 1)
        read(control.rawValue, &child, 4)
        return child
    }

    /// Closes its copy of the connection, so that only others have it.
    public func closeConnection() {
        var answer: UInt8 = 0
        write(control.rawValue, "c", 1)
        read(control.rawValue, &answer, 1)
    }

    /// Sends a signal.
    public func signal(_ number: Int32) { Glibc.kill(processID, number) }

    /// Kills it, and returns once it is dead.
    public func kill() {
        hasEnded = true
        Glibc.kill(processID, SIGKILL)
        var status: Int32 = 0
        waitpid(processID, &status, 0)
    }
}
