import CTestSupport
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

    // MARK: - Paths that another user could replace

    private static let other: UInt32 = 4242

    /// Makes a file for a test: in a folder of another user, in a folder open to all, or behind another user's link.
    private func hostile(_ way: String, _ name: String) throws -> String {
        let folder = directory(way)
        mkdir(folder, 0o755)
        close(open("\(folder)/\(name)", O_WRONLY | O_CREAT, 0o644))
        switch way {
        case "theirs": chown(folder, Self.other, Self.other)
        case "open": chmod(folder, 0o777)
        default:
            let shared = directory("shared")
            mkdir(shared, 0o755)
            chmod(shared, 0o1777)
            symlink(folder, "\(shared)/link")
            lchown("\(shared)/link", Self.other, Self.other)
            return "\(shared)/link/\(name)"
        }
        return "\(folder)/\(name)"
    }

    @Test(
        "a file that another user could replace is not used, whatever option names it",
        .enabled(if: geteuid() == 0, "needs root"),
        arguments: ["theirs", "open", "link"],
        [("--socket", 71), ("--state-directory", 73), ("--rules", 64), ("--config", 64)])
    func replaceable(way: String, option: (name: String, status: Int32)) throws {
        let path = try hostile(way, option.name == "--rules" || option.name == "--config" ? "file" : "d")
        if option.name == "--socket" || option.name == "--state-directory" { unlink(path) }
        let daemon = try DaemonProcess(option.name, path, in: directory, waits: false)
        #expect(try daemon.exitStatus() == option.status)
        #expect(daemon.log.contains("because another user could"))
        #expect(daemon.log.contains(way == "open" ? "open is open to all users" : "belongs to user 4242"))
        // Nothing was made there.
        let isMade = (try? FileStatus(following: path))?.isRegularFile == false
        #expect(!isMade)
    }

    @Test(
        "the last good options are not read where another user could replace them",
        .enabled(if: geteuid() == 0), arguments: [0, other])
    func lastGood(owner: UInt32) throws {
        mkdir(directory("state"), 0o755)
        let text = "prwlockd configuration 1\noptions 16\nmax-sessions = 7end\n"
        let file = OwnedDescriptor(
            owning: open(directory("state/configuration"), O_WRONLY | O_CREAT, 0o644))
        try FileContents.write(Array(text.utf8), to: file)
        chown(directory("state"), owner, owner)
        let daemon = try DaemonProcess("--config", directory("missing"), in: directory, waits: owner == 0)
        if owner == 0 { return try daemon.waitForLog("last good") }
        #expect(try daemon.exitStatus() == 64)
        #expect(!daemon.log.contains("last good"))
    }

    @Test(
        "a daemon of another user does not use what a third user could replace", .enabled(if: geteuid() == 0))
    func thirdUser() throws {
        let sandbox = Sandbox([], error: 0, user: Self.other)
        mkdir(directory("third"), 0o777)
        chown(directory("third"), 4343, 4343)
        let refused = try DaemonProcess(
            arguments: ["--state-directory", directory("third")], in: directory, sandbox: sandbox,
            waits: false)
        #expect(try refused.exitStatus() == 73)
        #expect(refused.log.contains("third belongs to user 4343"))
        // Its own folder, in a folder of root with the sticky bit, serves.
        let daemon = try DaemonProcess(arguments: [], sandbox: sandbox)
        #expect(try daemon.connect().ask("PING") == "PONG")
    }

    @Test(
        "in a folder such as /tmp, another user's socket or lock file is not used",
        .enabled(if: geteuid() == 0))
    func takenNames() throws {
        mkdir(directory("shared"), 0o755)
        chmod(directory("shared"), 0o1777)
        for name in ["s", "s.lock"] {
            close(open(directory("shared/\(name)"), O_WRONLY | O_CREAT, 0o666))
            chown(directory("shared/\(name)"), Self.other, Self.other)
            let daemon = try DaemonProcess("--socket", directory("shared/s"), in: directory, waits: false)
            #expect(try daemon.exitStatus() == 71)
            #expect(daemon.log.contains("\(name) belongs to user 4242"))
            unlink(directory("shared/\(name)"))
            unlink(directory("log"))
        }
        let daemon = try DaemonProcess("--socket", directory("shared/s"), in: directory, waits: false)
        #expect(try session(at: directory("shared/s"), of: daemon).ask("PING") == "PONG")
        try daemon.stop()
    }

    /// Opens a session as soon as the daemon listens at this path.
    private func session(at path: String, of daemon: DaemonProcess) throws -> RawSession {
        while try daemon.exitStatus(waiting: false) == nil {
            if let session = try? RawSession(connectingTo: path) { return session }
            usleep(1_000)
        }
        throw DaemonProcess.Failure(description: "prwlockd ended: \(daemon.log)")
    }

    @Test(
        "a daemon does not listen again in a folder that another user has made at its path",
        .enabled(if: geteuid() == 0))
    func folderMadeByAnother() throws {
        mkdir(directory("shared"), 0o755)
        chmod(directory("shared"), 0o1777)
        mkdir(directory("shared/d"), 0o700)
        let path = directory("shared/d/s")
        let daemon = try DaemonProcess("--socket", path, in: directory, waits: false)
        let session = try session(at: path, of: daemon)
        #expect(try session.ask("PING") == "PONG")
        mkdir(directory("shared/new"), 0o700)
        chown(directory("shared/new"), Self.other, Self.other)
        // At once: between two renames the daemon could make the folder again.
        #expect(support_exchange(directory("shared/new"), directory("shared/d")) == 0)
        try daemon.waitForLog("cannot be made again")
        #expect(daemon.log.contains("d belongs to user 4242"))
        #expect((try? FileStatus(at: path)) == nil)
        #expect(try session.ask("PING") == "PONG")
    }
}
