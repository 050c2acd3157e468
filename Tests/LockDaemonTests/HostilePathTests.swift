import Glibc
import Posix
import TestSupport
import Testing

/// Links of another user at the paths where the daemon writes.
@Suite("Links in the daemon's way") struct HostilePathTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func victim() throws -> String {
        let file = OwnedDescriptor(owning: open(directory("victim"), O_WRONLY | O_CREAT, 0o600))
        try FileContents.write(Array("precious".utf8), to: file)
        return directory("victim")
    }

    @Test("a link in the socket's place is not followed") func socket() throws {
        let victim = try victim()
        symlink(victim, directory("s"))
        let daemon = try DaemonProcess(in: directory, waits: false)
        // The daemon may replace the link or refuse to start.
        while try daemon.exitStatus(waiting: false) == nil {
            if let session = try? daemon.connect(), try session.ask("PING") == "PONG" { break }
            usleep(1_000)
        }
        #expect(try FileContents.read(victim) == Array("precious".utf8))
        #expect(try !FileStatus(following: victim).isSocket)
    }

    @Test("a link in place of the tokens is not followed", arguments: ["tokens", "lock"])
    func state(name: String) throws {
        let victim = try victim()
        mkdir(directory("state"), 0o700)
        symlink(victim, directory("state/\(name)"))
        let daemon = try DaemonProcess(in: directory, waits: false)
        #expect(try daemon.exitStatus() == 73)
        #expect(try FileContents.read(victim) == Array("precious".utf8))
    }
}
