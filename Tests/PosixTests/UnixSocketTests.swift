import Glibc
import Posix
import Testing

@Suite struct UnixSocketTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("an accepted connection does not block, and is not inherited")
    func acceptedConnection() throws {
        let path = directory("s")
        let listener = try UnixSocket.listen(at: path, mode: 0o600)
        let nobody = try UnixSocket.accept(from: listener) == nil
        #expect(nobody)
        let client = try UnixSocket.connect(to: path)
        guard let accepted = try UnixSocket.accept(from: listener) else {
            Issue.record("nothing to accept")
            return
        }
        #expect(fcntl(accepted.rawValue, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(accepted.rawValue, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(client.rawValue, F_GETFD) & FD_CLOEXEC != 0)
        #expect(write(client.rawValue, "x", 1) == 1)
        var byte: UInt8 = 0
        #expect(recv(accepted.rawValue, &byte, 1, 0) == 1)
        #expect(byte == UInt8(ascii: "x"))
    }

    @Test(
        "the socket has the given mode, independent of the umask",
        arguments: [0o600, 0o660, 0o666] as [UInt32])
    func mode(mode: UInt32) throws {
        let path = directory("s")
        _ = try UnixSocket.listen(at: path, mode: mode, group: getgid())
        let status = try FileStatus(at: path)
        #expect(status.permissions == mode)
        #expect(status.isSocket)
        #expect(status.groupID == getgid())
    }

    @Test("a path that is too long for the kernel is refused with a message that states both lengths")
    func longPath() throws {
        let path = "/tmp/" + String(repeating: "x", count: 103)
        let error = #expect(throws: SystemError.self) { _ = try UnixSocket.listen(at: path, mode: 0o600) }
        #expect(error?.code == ENAMETOOLONG)
        #expect(error?.description.contains("108 bytes, and at most 107") == true)
    }

    @Test("the error number distinguishes a missing socket, a dead one and one in use")
    func refusals() throws {
        let path = directory("s")
        #expect(throws: SystemError.self) { _ = try UnixSocket.connect(to: path) }
        #expect(errorNumber { _ = try UnixSocket.connect(to: path) } == ENOENT)
        do { _ = try UnixSocket.listen(at: path, mode: 0o600) }
        #expect(errorNumber { _ = try UnixSocket.connect(to: path) } == ECONNREFUSED)
        #expect(errorNumber { _ = try UnixSocket.listen(at: path, mode: 0o600) } == EADDRINUSE)
    }

    @Test("a peer's credentials are those of the process that connected")
    func credentials() throws {
        let pair = try UnixSocket.pair()
        let peer = try PeerCredentials(of: pair.first)
        #expect(peer.processID == getpid())
        #expect(peer.userID == getuid())
        #expect(peer.groupID == getgid())
    }

    private func errorNumber(_ body: () throws -> Void) -> Int32 {
        do {
            try body()
            return 0
        } catch { return (error as? SystemError)?.code ?? -1 }
    }
}
