import Glibc
import Posix
import TestSupport
import Testing

/// The command where the kernel or a sandbox refuses to open a pidfd.
@Suite struct SandboxTests {
    @Test(
        "`hold` and `release` work without pidfds, and `hold` ends with its process",
        arguments: [EPERM, ENOSYS])
    func hold(error: Int32) throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        let control = try UnixSocket.pair()
        let script = """
            prwlock=$1; export PRWLOCK_SOCKET=$2
            "$prwlock" hold jobs && echo "held $?"; read -r line
            "$prwlock" release jobs; echo "released $?"; read -r line
            "$prwlock" hold jobs; echo "held $?"; read -r line
            """
        let shell = try Sandbox(.processDescriptors, error: error).spawn(
            ChildProcess(
                executable: "/bin/bash",
                arguments: [
                    "bash", "-c", script, "bash", ToolProcess.programs + "/prwlock", daemon.socketPath,
                ],
                environment: ["PATH=/usr/bin:/bin"],
                descriptors: [control.second.rawValue, control.second.rawValue, STDERR_FILENO]))
        let lines = RawSession(try control.first.duplicate())
        #expect(try lines.nextLine() == "held 0")
        #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        #expect(try lines.ask("go on") == "released 0")
        #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
        #expect(try lines.ask("go on") == "held 0")
        try session.send("WRITE jobs")
        kill(shell, SIGKILL)
        waitpid(shell, nil, 0)
        #expect(try session.nextLine()?.hasPrefix("GRANTED") == true)
    }
}
