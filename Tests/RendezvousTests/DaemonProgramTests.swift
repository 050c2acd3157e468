import Glibc
import TestSupport
import Testing

@testable import Rendezvous

@Suite struct DaemonProgramTests {
    private let folder: TemporaryDirectory
    private var surroundings: Surroundings

    /// A system with a daemon in each place that clients search.
    init() throws {
        folder = try TemporaryDirectory()
        surroundings = try folder.surroundings(["PATH": "relative:\(folder.path)/path1:\(folder.path)/path2"])
        surroundings.programDirectory = folder("beside")
        surroundings.packageDirectories = [folder("libexec"), folder("bin")]
        for place in ["chosen", "beside", "path1", "path2", "libexec", "bin"] { try install(in: place) }
    }

    @Test("the search order is the chosen path, the program's folder, PATH, and the packages' folders")
    mutating func order() throws {
        surroundings.environment["PRWLOCK_DAEMON"] = folder("chosen/prwlockd")
        #expect(try found() == "chosen")
        surroundings.environment["PRWLOCK_DAEMON"] = nil
        for place in ["beside", "path1", "path2", "libexec", "bin"] {
            #expect(try found() == place)
            unlink(folder(place) + "/prwlockd")
        }
        #expect(throws: RendezvousError.self) { try DaemonProgram.find(in: surroundings) }
    }

    @Test("an unusable choice is an error, and no other program is run")
    mutating func badChoice() {
        surroundings.environment["PRWLOCK_DAEMON"] = folder("nowhere/prwlockd")
        #expect(throws: RendezvousError.self) { try DaemonProgram.find(in: surroundings) }
    }

    @Test("files that cannot be executed are skipped")
    func notExecutable() throws {
        chmod(folder("beside/prwlockd"), 0o600)
        unlink(folder("path1/prwlockd"))
        mkdir(folder("path1/prwlockd"), 0o700)
        // Root may execute a file that has any execute bit, but no folder.
        #expect(try found() == "path2")
    }

    @Test(
        "a program that another user could replace is not run: the environment may be another user's (`sudo -E`)",
        .enabled(if: geteuid() == 0))
    mutating func replaceable() throws {
        unlink(folder("beside/prwlockd"))
        chown(folder("path1"), 4242, 4242)
        #expect(try found() == "path2")
        surroundings.environment["PRWLOCK_DAEMON"] = folder("path1/prwlockd")
        let refusal = RendezvousError.untrustedProgram(
            "PRWLOCK_DAEMON=\(folder("path1/prwlockd"))", part: "\(folder("path1")) belongs to user 4242")
        #expect(throws: refusal) { try DaemonProgram.find(in: surroundings) }
        surroundings.userID = 4242
        #expect(try found() == "path1")
        surroundings.userID = 0
        surroundings.environment["PRWLOCK_DAEMON"] = nil
        for place in ["path2", "libexec", "bin"] { unlink(folder(place) + "/prwlockd") }
        #expect(throws: RendezvousError.self) { try DaemonProgram.find(in: surroundings) }
    }

    @Test(
        "in a folder such as /tmp, a program beside the running one is started only if root or the user put it there",
        .enabled(if: geteuid() == 0, "needs two users"))
    mutating func sharedFolder() throws {
        let program = folder("beside/prwlockd")
        chmod(folder("beside"), 0o1777)
        #expect(try found() == "beside")
        chown(program, 4242, 4242)
        #expect(try found() == "path1")
        surroundings.environment["PATH"] = nil
        surroundings.packageDirectories = []
        let refusal = RendezvousError.untrustedProgram(program, part: "\(program) belongs to user 4242")
        #expect(throws: refusal) { try DaemonProgram.find(in: surroundings) }
        // A link of another user leads where that user likes, also if it leads to a program of root now.
        unlink(program)
        symlink(folder("path1/prwlockd"), program)
        lchown(program, 4242, 4242)
        #expect(throws: refusal) { try DaemonProgram.find(in: surroundings) }
        // Without the sticky bit, any user could replace root's own program.
        lchown(program, 0, 0)
        #expect(try found() == "beside")
        chmod(folder("beside"), 0o777)
        #expect(throws: RendezvousError.self) { try DaemonProgram.find(in: surroundings) }
    }

    private func install(in place: String) throws {
        close(creat(try folder.make(place) + "/prwlockd", 0o700))
    }

    /// The place where the search finds the daemon.
    private func found() throws -> String {
        let path = try DaemonProgram.find(in: surroundings).path
        return String(path.dropFirst(folder.path.count + 1).dropLast("/prwlockd".count))
    }
}
