import Glibc
import TestSupport
import Testing

@testable import Rendezvous

@Suite struct SocketLocationTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    @Test("PRWLOCK_SOCKET has priority, even if the system has a daemon")
    func environmentFirst() throws {
        try folder.make("run/prwlock")
        let location = SocketLocation.find(in: try folder.surroundings(["PRWLOCK_SOCKET": "/somewhere/s"]))
        #expect(location == SocketLocation(path: "/somewhere/s", origin: .environment))
        #expect(!location.isUserOwn)
    }

    @Test("an empty PRWLOCK_SOCKET counts as unset")
    func emptyIsUnset() throws {
        #expect(SocketLocation.find(in: try folder.surroundings(["PRWLOCK_SOCKET": ""])).isUserOwn)
    }

    @Test(
        "if the system's folder exists and the user's own daemon does not run, clients use the system's daemon"
    )
    func systemNeverFallsBack() throws {
        let system = try folder.make("run/prwlock")
        let surroundings = try folder.surroundings()
        let location = SocketLocation.find(in: surroundings)
        #expect(location == SocketLocation(path: system + "/prwlock.sock", origin: .system))
        // The folder has no socket.
        #expect(refusal(in: surroundings).contains("systemctl start prwlockd.socket"))
    }

    @Test("a file in the place of the system's folder does not count")
    func fileIsNoFolder() throws {
        let surroundings = try folder.surroundings()
        close(creat("\(folder.path)/run/prwlock", 0o600))
        #expect(SocketLocation.find(in: surroundings).isUserOwn)
    }

    @Test("no variable moves the user's own place: a user has one lock space, logged in or not")
    func oneSpace() throws {
        let plain = SocketLocation.find(in: try folder.surroundings())
        try folder.make("run/user/\(geteuid())")
        let runtime = try folder.make("runtime")
        for variable in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR", "HOME"] {
            #expect(SocketLocation.find(in: try folder.surroundings([variable: runtime])) == plain)
        }
    }

    @Test(
        "the user's own is in /tmp; root's is in /run, where no other user can take the name, and then in /tmp"
    )
    func ownPlaces() throws {
        var surroundings = try folder.surroundings()
        surroundings.userID = 1000
        #expect(
            SocketLocation.userOwn(in: surroundings).map(\.path) == [
                folder("tmp/prwlock-1000/prwlock.sock")
            ])
        surroundings.userID = 0
        #expect(
            SocketLocation.userOwn(in: surroundings).map(\.path) == [
                folder("run/prwlock-0/prwlock.sock"), folder("tmp/prwlock-0/prwlock.sock"),
            ])
        #expect(SocketLocation.writableUserOwn(in: surroundings).path == folder("run/prwlock-0/prwlock.sock"))
        rmdir(folder("run"))
        #expect(SocketLocation.writableUserOwn(in: surroundings).path == folder("tmp/prwlock-0/prwlock.sock"))
    }

    @Test("a folder for temporary files is made with mode 0700, and accepted a second time")
    func temporaryFolderIsMade() throws {
        let surroundings = try folder.surroundings()
        let location = SocketLocation.find(in: surroundings)
        try location.makeFolder(in: surroundings)
        try location.makeFolder(in: surroundings)
        var status = stat()
        #expect(stat(ownFolder, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o700)
    }

    @Test(
        "a folder for temporary files that others may use is not trusted", arguments: [0o755, 0o770, 0o701])
    func openTemporaryFolder(mode: Int) throws {
        let surroundings = try folder.surroundings(["PRWLOCK_AUTOSTART": "0"])
        try folder.make(ownFolderName, mode: mode_t(mode))
        #expect(refusal(in: surroundings).contains("is open to other users"))
    }

    @Test("a symbolic link in the place of that folder is not followed")
    func linkedTemporaryFolder() throws {
        let surroundings = try folder.surroundings()
        symlink(try folder.make("elsewhere"), ownFolder)
        #expect(refusal(in: surroundings).contains("is not a folder of its own"))
    }

    @Test("a folder that another user made first is not trusted")
    func strangersTemporaryFolder() throws {
        var surroundings = try folder.surroundings()
        surroundings.userID += 1000
        try folder.make("tmp/prwlock-\(surroundings.userID)")
        #expect(refusal(in: surroundings).contains("belongs to another user"))
    }

    @Test("PRWLOCK_AUTOSTART=0 forbids starting a daemon, and the error states this")
    func startForbidden() throws {
        #expect(
            refusal(in: try folder.surroundings(["PRWLOCK_AUTOSTART": "0"])).contains("PRWLOCK_AUTOSTART"))
    }

    @Test("if there is no program to start, the error names the searched places")
    func noProgram() throws {
        let message = refusal(in: try folder.surroundings(["PATH": "/nowhere:relative"]))
        #expect(message.contains("found in /nowhere:"))
        #expect(message.contains("PRWLOCK_DAEMON"))
    }

    @Test("the state directory is in XDG_STATE_HOME, or in the user's home")
    func stateDirectory() throws {
        #expect(
            try folder.surroundings(["XDG_STATE_HOME": "/s", "HOME": "/h"]).stateDirectory == "/s/prwlock")
        #expect(try folder.surroundings(["HOME": "/h"]).stateDirectory == "/h/.local/state/prwlock")
        #expect(try folder.surroundings().stateDirectory == nil)
    }

    /// The folder of the user's own daemon within the test's folder.
    private var ownFolderName: String { "\(geteuid() == 0 ? "run" : "tmp")/prwlock-\(geteuid())" }
    private var ownFolder: String { folder(ownFolderName) }

    /// The error of a client that cannot connect.
    private func refusal(in surroundings: Surroundings) -> String {
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: surroundings).connect()
            return "connected"
        } catch {
            return error.description
        }
    }
}
