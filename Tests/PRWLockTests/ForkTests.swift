import Glibc
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

    @Test("a child uses none of its parent's cached grants, and loses the one in which it was forked")
    func cached() throws {
        #expect(
            try output(of: "fork-cached") == [
                "child has it", "child ended with 0", "parent has it", "child: disconnected",
                "parent held it to the end", "parent has it again",
            ])
    }

    @Test("a process that is stopped keeps a cached grant that it holds, and loses one that it does not hold")
    func stopped() throws {
        let daemon = try DaemonProcess()
        let pipe = try UnixSocket.pair()
        let process = try ChildProcess(
            executable: DaemonProcess.executable.replacing("prwlockd", with: "test-client"),
            arguments: ["test-client", "stop-cached", "jobs"],
            environment: ["PRWLOCK_SOCKET=\(daemon.socketPath)"],
            descriptors: [pipe.second.rawValue, pipe.second.rawValue, pipe.second.rawValue]
        ).spawn()
        var status: Int32 = 0
        waitpid(process, &status, WUNTRACED)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        kill(process, SIGCONT)
        waitpid(process, &status, WUNTRACED)
        #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
        kill(process, SIGCONT)
        waitpid(process, &status, WUNTRACED)
        #expect(status == 0)
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
