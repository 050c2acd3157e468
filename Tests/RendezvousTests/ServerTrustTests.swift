import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

/// A client of root, and a daemon of another user.
@Suite("Which server a client trusts", .enabled(if: geteuid() == 0, "needs two users"))
struct ServerTrustTests {
    private let daemon: DaemonProcess
    private let folder: TemporaryDirectory
    private static let other: UInt32 = 4242

    init() throws {
        daemon = try DaemonProcess(arguments: [], sandbox: Sandbox([], error: 0, user: Self.other))
        folder = try TemporaryDirectory()
    }

    /// The error of a client that connects to a path, or by the rules for all clients; nil if it is connected.
    private func refusal(of path: String?, _ environment: [String: String] = [:]) throws -> String? {
        let surroundings = try folder.surroundings(environment)
        let location = path.map { SocketLocation(path: $0) }
        do throws(RendezvousError) {
            _ = try DaemonConnector(location, in: surroundings).connect()
            return nil
        } catch {
            return error.description
        }
    }

    /// Moves the daemon's folder to another owner and mode. The daemon serves on.
    private func give(_ path: String, to owner: UInt32, mode: mode_t) {
        chown(path, owner, owner)
        chmod(path, mode)
    }

    @Test("another user's server is refused, and the error names the user and what allows it")
    func stranger() throws {
        let path = daemon.socketPath
        let refusal = try #require(try refusal(of: path))
        #expect(refusal.contains("user 4242 serves at \(path), neither root nor you"))
        #expect(refusal.contains("\(daemon.directory.path) belongs to user 4242"))
        #expect(refusal.contains("PRWLOCK_SERVER_UID=4242"))
        #expect(try self.refusal(of: nil, ["PRWLOCK_SOCKET": path])?.contains("user 4242 serves") == true)
        #expect(try self.refusal(of: path, ["PRWLOCK_SERVER_UID": "4243"]) != nil)
        #expect(try self.refusal(of: path, ["PRWLOCK_SERVER_UID": "4242"]) == nil)
    }

    @Test("a server is trusted where only root can have put its socket", arguments: [0, other, 4343])
    func putThere(owner: UInt32) throws {
        give(daemon.directory.path, to: 0, mode: 0o755)
        chown(daemon.socketPath, owner, owner)
        let refusal = try refusal(of: daemon.socketPath)
        if owner == 4343 {
            #expect(refusal?.contains("the socket's file belongs to user 4343") == true)
        } else {
            #expect(refusal == nil)
        }
    }

    @Test(
        "a folder in which others may make sockets proves nothing",
        arguments: [0o1777, 0o775, 0o1775] as [mode_t])
    func openFolder(mode: mode_t) throws {
        give(daemon.directory.path, to: 0, mode: mode)
        #expect(try refusal(of: daemon.socketPath)?.contains("user 4242 serves") == true)
    }

    @Test("a link of another user on the path proves nothing") func link() throws {
        give(daemon.directory.path, to: 0, mode: 0o755)
        symlink(daemon.directory.path, folder("link"))
        #expect(try refusal(of: folder("link/s")) == nil)
        lchown(folder("link"), Self.other, Self.other)
        #expect(try refusal(of: folder("link/s"))?.contains("link belongs to user 4242") == true)
        symlink(daemon.socketPath, folder("s"))
        #expect(try refusal(of: folder("s"))?.contains("does not name a socket") == true)
    }

    @Test("the folder of the system's daemon may belong to the daemon's user", arguments: [0, other, 4343])
    func system(owner: UInt32) throws {
        let place = folder("run/prwlock")
        _ = try folder.surroundings()
        mkdir(place, 0o755)
        Glibc.link(daemon.socketPath, place + "/prwlock.sock")
        give(place, to: owner, mode: 0o755)
        #expect((try refusal(of: nil) == nil) == (owner != 4343))
        give(place, to: owner, mode: 0o775)
        #expect(try refusal(of: nil) != nil)
        // Elsewhere a folder of that user proves nothing.
        give(place, to: owner, mode: 0o755)
        rename(place, folder("run/other"))
        #expect((try refusal(of: folder("run/other/prwlock.sock")) == nil) == (owner == 0))
    }
}
