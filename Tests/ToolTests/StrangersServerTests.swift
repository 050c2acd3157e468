import Glibc
import TestSupport
import Testing

@Suite("The command at another user's server", .enabled(if: geteuid() == 0, "needs two users"))
struct StrangersServerTests {
    private let daemon: DaemonProcess

    init() throws { daemon = try DaemonProcess(arguments: [], sandbox: Sandbox([], error: 0, user: 4242)) }

    @Test(
        "no subcommand believes it, and `run` runs nothing",
        arguments: ["run", "hold", "release", "status", "list", "watch", "ping"])
    func refused(subcommand: String) throws {
        let mark = daemon.directory("ran")
        let arguments =
            switch subcommand {
            case "run": ["run", "jobs", "touch", mark]
            case "hold": ["hold", "--pid", "\(getpid())", "jobs"]
            case "release", "status": [subcommand, "jobs"]
            default: [subcommand]
            }
        let tool = try ToolProcess(arguments, at: daemon)
        #expect(try tool.status() == 77)
        let complaint = try tool.complaints()
        #expect(complaint.contains("user 4242 serves at \(daemon.socketPath)"))
        #expect(complaint.contains("PRWLOCK_SERVER_UID=4242"))
        #expect(access(mark, F_OK) != 0)
    }

    @Test("PRWLOCK_SERVER_UID allows it") func allowed() throws {
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "run", "jobs", "true"], socket: daemon.socketPath,
            environment: ["PRWLOCK_SERVER_UID=4242"])
        #expect(try tool.status() == 0)
    }
}
