import Glibc
import Posix
import TestSupport
import Testing

@Suite("A daemon that detaches")
struct DetachTests {
    @Test("leaves its starter, keeps none of its signal settings, and serves")
    func detaching() throws {
        let directory = try TemporaryDirectory()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        // The daemon inherits the ignored signals of its parent, as under nohup(1).
        let script = """
            trap '' INT HUP TERM
            exec '\(DaemonProcess.executable)' --detach --socket '\(directory("s"))' --state-directory '\(directory("state"))'
            """
        let started = try ChildProcess(
            executable: "/bin/sh", arguments: ["sh", "-c", script], environment: [],
            descriptors: [null, null, null]
        ).spawn()
        var status: Int32 = -1
        waitpid(started, &status, 0)
        #expect(status == 0)

        let session = try connect(to: directory("s"))
        #expect(try session.ask("PING") == "PONG")
        let daemon = try PeerCredentials(of: session.descriptor).processID
        #expect(daemon != started)
        #expect(getsid(daemon) == daemon)
        let facts = String(decoding: try FileContents.read("/proc/\(daemon)/status"), as: UTF8.self)
        #expect(!facts.contains("PPid:\t\(getpid())\n"))
        let ignored = facts.firstMatch(of: /SigIgn:\t([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) } ?? .max
        for signal in [SIGINT, SIGHUP, SIGTERM] { #expect(ignored & (1 << UInt64(signal - 1)) == 0) }

        kill(daemon, SIGTERM)
        #expect(try session.linesToEnd().last == "! DRAIN")
    }

    @Test("reports a fault of its options to its starter")
    func refusing() throws {
        let daemon = try DaemonProcess("--detach", "--nonsense", waits: false)
        #expect(try daemon.exitStatus() == 64)
    }

    /// Connects as soon as the daemon has made its socket.
    private func connect(to path: String) throws -> RawSession {
        for _ in 0..<30_000 {
            if let session = try? RawSession(connectingTo: path) { return session }
            usleep(1_000)
        }
        return try RawSession(connectingTo: path)
    }
}
