import Foundation
import Glibc
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

/// `prwlock doctor` beside real daemons.
@Suite struct DoctorTests {
    /// The findings by topic, and the exit status.
    private func examine(
        _ tool: ToolProcess
    ) throws -> (findings: [String: (severity: String, text: String, remedies: [String])], status: Int32) {
        let output = try tool.restInBytes()
        let object = try JSONSerialization.jsonObject(with: Data(output)) as? [String: Any]
        var findings: [String: (severity: String, text: String, remedies: [String])] = [:]
        for finding in try #require(object?["findings"] as? [[String: Any]]) {
            let topic = try #require(finding["topic"] as? String)
            findings[topic] = (
                try #require(finding["severity"] as? String), try #require(finding["text"] as? String),
                try #require(finding["do"] as? [String])
            )
        }
        return (findings, try tool.status())
    }

    private func examine(_ daemon: DaemonProcess) throws -> (
        findings: [String: (severity: String, text: String, remedies: [String])], status: Int32
    ) {
        try examine(try ToolProcess(["doctor", "--json"], at: daemon))
    }

    @Test("a daemon that serves is described, and nothing has to be done")
    func serving() throws {
        let daemon = try DaemonProcess(arguments: ["--keep"])
        let (findings, status) = try examine(daemon)
        #expect(status == 0, "\(findings)")
        #expect(findings["daemon"]?.text.contains("answers at \(daemon.socketPath)") == true)
        #expect(findings["keep"]?.severity == "ok")
        #expect(findings["death"]?.severity == "ok")
        #expect(findings["space"]?.text.hasPrefix("PRWLOCK_SOCKET names \(daemon.socketPath)") == true)
        let text = try ToolProcess(["doctor"], at: daemon).rest()
        #expect(text.hasSuffix("\nnothing to do\n"), "\(text)")
        // A single word stays whole, so that it can be copied: a path, or the name of a container's unit.
        for line in text.split(separator: "\n")
        where !line.contains("/") && line.split(separator: " ").count > 1 {
            #expect(line.count <= 80, "\(line)")
        }
    }

    @Test("a stopped daemon is found to be stopped, with the command that lets it go on")
    func stopped() throws {
        let daemon = try DaemonProcess()
        daemon.signal(SIGSTOP)
        let (findings, status) = try examine(daemon)
        #expect(status == 1)
        #expect(findings["daemon"]?.severity == "fault")
        #expect(findings["daemon"]?.remedies == ["kill -CONT \(daemon.processID)"])
    }

    @Test("a killed daemon is found to be missing, and the doctor starts none")
    func missing() throws {
        let daemon = try DaemonProcess()
        daemon.kill()
        let (findings, status) = try examine(daemon)
        #expect(status == 1)
        #expect(findings["daemon"]?.severity == "fault")
        #expect(
            findings["daemon"]?.remedies == [
                "prwlockd --socket \(daemon.socketPath)   # or: unset PRWLOCK_SOCKET"
            ])
    }

    @Test("the program on disk is compared with the one that serves")
    func replaced() throws {
        let directory = try TemporaryDirectory()
        let program = directory("prwlockd")
        _ = try ToolProcess("/bin/cp", ["cp", DaemonProcess.executable, program], socket: "").status()
        let daemon = try DaemonProcess(arguments: ["--keep"], in: directory, program: program)
        #expect(try examine(daemon).findings["upgrade"] == nil)
        let script = "cp \(program) \(program).new && mv \(program).new \(program)"
        #expect(try ToolProcess(shell: script, at: daemon).status() == 0)
        let upgrade = try examine(daemon).findings["upgrade"]
        #expect(upgrade?.severity == "warning")
        #expect(upgrade?.remedies.first?.hasPrefix("prwlock upgrade") == true)
    }

    @Test("a refused reload, and a kernel that lets no process be watched, are seen from outside")
    func refusals() throws {
        let directory = try TemporaryDirectory()
        let rules = directory("rules")
        try "".write(toFile: rules, atomically: false, encoding: .utf8)
        let daemon = try DaemonProcess("--rules", rules, in: directory)
        #expect(try examine(daemon).status == 0)
        try "nonsense\n".write(toFile: rules, atomically: false, encoding: .utf8)
        daemon.signal(SIGHUP)
        try daemon.waitForLog("rules:1:1")
        let (findings, status) = try examine(daemon)
        #expect(status == 1)
        #expect(findings["configuration"]?.severity == "warning")
    }

    /// A shell with a file system of its own, in which `PRWLOCK_TEST_ROOT` names a folder for `/run` and `/tmp`.
    private func doctor(in folder: borrowing TemporaryDirectory, _ environment: String...) throws
        -> ToolProcess
    {
        try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "doctor", "--json"], socket: "",
            environment: ["PRWLOCK_TEST_ROOT=\(folder.path)"] + environment)
    }

    @Test("where no daemon runs, the doctor says which one would start, and starts none")
    func nothingRuns() throws {
        let folder = try TemporaryDirectory()
        let roots = ["run", "tmp", "home"]
        for root in roots {
            try FileManager.default.createDirectory(atPath: folder(root), withIntermediateDirectories: false)
        }
        let (findings, status) = try examine(doctor(in: folder))
        #expect(status == 0, "\(findings)")
        #expect(
            findings["daemon"]?.text == "no daemon runs; the first request starts \(DaemonProcess.executable)"
        )
        #expect(findings["space"]?.text.contains("this host has no service") == true)
        for root in roots { #expect(try FileManager.default.contentsOfDirectory(atPath: folder(root)) == []) }

        let forbidden = try examine(doctor(in: folder, "PRWLOCK_AUTOSTART=0"))
        #expect(forbidden.status == 1)
        #expect(
            forbidden.findings["daemon"]?.remedies == ["unset PRWLOCK_AUTOSTART   # or start it: prwlockd"])

        try FileManager.default.createDirectory(
            atPath: folder("run/prwlock"), withIntermediateDirectories: false)
        let left = try examine(doctor(in: folder))
        #expect(left.status == 1)
        #expect(left.findings["daemon"]?.severity == "fault")
    }

    @Test("a socket that a killed daemon left, and a folder that is open to others, are found")
    func leftovers() throws {
        let folder = try TemporaryDirectory()
        let place = geteuid() == 0 ? "run/prwlock-0" : "tmp/prwlock-\(geteuid())"
        try FileManager.default.createDirectory(
            atPath: folder(place), withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try FileManager.default.createDirectory(atPath: folder("home"), withIntermediateDirectories: false)
        let daemon = try DaemonProcess(
            arguments: ["--socket", folder(place + "/prwlock.sock")],
            environment: ["PRWLOCK_TEST_ROOT": folder.path], waits: false)
        try daemon.waitForLog("serving")
        let own = try examine(doctor(in: folder))
        #expect(own.findings["space"]?.severity == "ok")
        #expect(own.findings["leftover"] == nil)

        // The service appears beside it. A session keeps the daemon.
        let session = try RawSession(connectingTo: folder(place + "/prwlock.sock"))
        #expect(try session.ask("PING") == "PONG")
        try FileManager.default.createDirectory(
            atPath: folder("run/prwlock"), withIntermediateDirectories: true)
        let both = try examine(doctor(in: folder))
        #expect(both.findings["space"]?.severity == "warning")
        #expect(both.findings["space"]?.text.contains("still serves") == true)
        try FileManager.default.removeItem(atPath: folder("run/prwlock"))

        #expect(try session.ask("PING") == "PONG")
        daemon.kill()
        let left = try examine(doctor(in: folder))
        #expect(left.findings["leftover"]?.text == "no process listens at \(folder(place))/prwlock.sock")
        chmod(folder(place), 0o755)
        let open = try examine(doctor(in: folder))
        #expect(open.findings["daemon"]?.remedies.first?.hasPrefix("as root: rm -r \(folder(place))") == true)
    }
}
