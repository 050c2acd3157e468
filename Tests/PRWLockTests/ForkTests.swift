import Posix
import TestSupport
import Testing

/// Clients that fork: a session belongs only to the process that connected (G6).
@Suite(.timeLimit(.minutes(10))) struct ForkTests {
    @Test("a child holds none of its parent's locks, and cannot release them or end their session")
    func blocking() throws {
        #expect(
            try output(of: "fork") == [
                "child: disconnected", "child: held by parent: true", "child: closed", "child ended with 0",
                "parent released",
            ])
    }

    @Test("a child of a program with tasks drops and closes its parent's session without sending a line")
    func async()
        throws
    {
        #expect(
            try output(of: "fork-async") == ["child dropped it", "child ended with 0", "parent released"])
    }

    /// The output of the test client when it forks.
    private func output(of command: String) throws -> [String] {
        let daemon = try DaemonProcess()
        let pipe = try UnixSocket.pair()
        let client = DaemonProcess.executable.replacing("prwlockd", with: "test-client")
        _ = try ChildProcess(
            executable: client, arguments: ["test-client", command, "jobs"],
            environment: ["PRWLOCK_SOCKET=\(daemon.socketPath)"],
            descriptors: [pipe.first.rawValue, pipe.first.rawValue, pipe.first.rawValue]
        ).spawn()
        return try pipe.split { near, far in
            _ = consume near
            return Result { try FileContents.read(far) }
        }.get().split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }
}
