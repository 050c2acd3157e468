import Glibc
import TestSupport
import Testing

@testable import Rendezvous

@Suite struct SocketLocationTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    @Test("PRWLOCK_SOCKET goes before everything, also where the system has a daemon")
    func environmentFirst() throws {
        try folder.make("run/prwlock")
        let location = SocketLocation.find(in: try folder.surroundings(["PRWLOCK_SOCKET": "/somewhere/s"]))
        #expect(location == SocketLocation(path: "/somewhere/s", origin: .environment))
        #expect(!location.isUserOwn)
    }

    @Test("an empty PRWLOCK_SOCKET is none")
    func emptyIsUnset() throws {
        let location = SocketLocation.find(in: try folder.surroundings(["PRWLOCK_SOCKET": ""]))
        #expect(location.origin == .temporaryDirectory)
    }

    @Test("where the system's folder exists, the system's daemon is meant, though it has no socket")
    func systemNeverFallsBack() throws {
        let runtime = try folder.make("runtime")
        let system = try folder.make("run/prwlock")
        let surroundings = try folder.surroundings(["XDG_RUNTIME_DIR": runtime])
        let location = SocketLocation.find(in: surroundings)
        #expect(location == SocketLocation(path: system + "/prwlock.sock", origin: .system))

        do throws(RendezvousError) {
            _ = try DaemonConnector(location, in: surroundings).connect()
            Issue.record("nobody listens there")
        } catch {
            #expect("\(error)".contains("systemctl start prwlockd.socket"))
        }
    }

    @Test("a file in the place of the system's folder does not mean the system's daemon")
    func fileIsNoFolder() throws {
        try folder.make("run")
        close(creat("\(folder.path)/run/prwlock", 0o600))
        #expect(SocketLocation.find(in: try folder.surroundings()).isUserOwn)
    }

    @Test("the user's own is below XDG_RUNTIME_DIR")
    func runtimeDirectory() throws {
        let runtime = try folder.make("runtime")
        let location = SocketLocation.find(in: try folder.surroundings(["XDG_RUNTIME_DIR": runtime]))
        #expect(
            location == SocketLocation(path: runtime + "/prwlock/prwlock.sock", origin: .runtimeDirectory))
        #expect(location.isUserOwn)
    }

    @Test(
        "an XDG_RUNTIME_DIR that is missing, relative, or no folder is passed over",
        arguments: ["/nowhere/at/all", "runtime", "/dev/null", ""])
    func uselessRuntimeDirectory(value: String) throws {
        let location = SocketLocation.find(in: try folder.surroundings(["XDG_RUNTIME_DIR": value]))
        #expect(location.path == "\(folder.path)/tmp/prwlock-\(geteuid())/prwlock.sock")
    }

    @Test("an XDG_RUNTIME_DIR that was left by another user is passed over")
    func strangersRuntimeDirectory() throws {
        var surroundings = try folder.surroundings(["XDG_RUNTIME_DIR": try folder.make("runtime")])
        surroundings.userID += 1
        #expect(SocketLocation.find(in: surroundings).origin == .temporaryDirectory)
    }

    @Test("without XDG_RUNTIME_DIR, it is below the user's folder of /run/user")
    func runUser() throws {
        let own = try folder.make("run/user/\(geteuid())")
        let location = SocketLocation.find(in: try folder.surroundings())
        #expect(location == SocketLocation(path: own + "/prwlock/prwlock.sock", origin: .runtimeDirectory))
    }

    @Test("a folder for temporary files is made with mode 0700, and is good a second time")
    func temporaryFolderIsMade() throws {
        let surroundings = try folder.surroundings()
        let location = SocketLocation.find(in: surroundings)
        try location.makeFolder(in: surroundings)
        try location.makeFolder(in: surroundings)
        var status = stat()
        #expect(stat("\(folder.path)/tmp/prwlock-\(geteuid())", &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o700)
    }

    @Test(
        "a folder for temporary files that others may use is not trusted", arguments: [0o755, 0o770, 0o701])
    func openTemporaryFolder(mode: Int) throws {
        let surroundings = try folder.surroundings(["PRWLOCK_AUTOSTART": "0"])
        try folder.make("tmp/prwlock-\(geteuid())", mode: mode_t(mode))
        #expect(refusal(in: surroundings).contains("is open to other users"))
    }

    @Test("a symbolic link in the place of that folder is not followed")
    func linkedTemporaryFolder() throws {
        let surroundings = try folder.surroundings()
        symlink(try folder.make("elsewhere"), "\(folder.path)/tmp/prwlock-\(geteuid())")
        #expect(refusal(in: surroundings).contains("is not a folder of its own"))
    }

    @Test("a folder that another user made first is not trusted")
    func strangersTemporaryFolder() throws {
        var surroundings = try folder.surroundings()
        surroundings.userID += 1
        try folder.make("tmp/prwlock-\(surroundings.userID)")
        #expect(refusal(in: surroundings).contains("belongs to another user"))
    }

    @Test("PRWLOCK_AUTOSTART=0 forbids to start a daemon, and the error says so")
    func startForbidden() throws {
        #expect(
            refusal(in: try folder.surroundings(["PRWLOCK_AUTOSTART": "0"])).contains("PRWLOCK_AUTOSTART"))
    }

    @Test("where there is no program to start, the error says where it was looked for")
    func noProgram() throws {
        let message = refusal(in: try folder.surroundings(["PATH": "/nowhere:relative"]))
        #expect(message.contains("found in /nowhere:"))
        #expect(message.contains("PRWLOCK_DAEMON"))
    }

    @Test("state is below XDG_STATE_HOME, or below the user's home")
    func stateDirectory() throws {
        #expect(
            try folder.surroundings(["XDG_STATE_HOME": "/s", "HOME": "/h"]).stateDirectory == "/s/prwlock")
        #expect(try folder.surroundings(["HOME": "/h"]).stateDirectory == "/h/.local/state/prwlock")
        #expect(try folder.surroundings().stateDirectory == nil)
    }

    /// What a client is told that cannot connect.
    private func refusal(in surroundings: Surroundings) -> String {
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: surroundings).connect()
            return "connected"
        } catch {
            return error.description
        }
    }
}
