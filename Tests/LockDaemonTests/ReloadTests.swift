import Glibc
import LockDaemon
import Posix
import TestSupport
import Testing

/// Options and rules that change, are slow to read, or have a fault.
@Suite("Options and rules that change") struct ReloadTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ text: String, to name: String) throws {
        unlink(directory(name))
        let file = OwnedDescriptor(
            owning: open(directory(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
        try FileContents.write(Array(text.utf8), to: file)
    }

    private func writeAll(options: String = "", rules: String = "") throws {
        try write("rules = \(directory("rules"))\n\(options)\n", to: "options")
        try write("\(rules)\n", to: "rules")
    }

    private func daemon(environment: [String: String] = [:], waits: Bool = true) throws -> DaemonProcess {
        try DaemonProcess(
            "--config", directory("options"), environment: environment, in: directory, waits: waits)
    }

    /// Runs `prwlockd` with these arguments. Returns its status and its output.
    private func run(_ arguments: String...) throws -> (status: Int32, said: String) {
        let command = try DaemonProcess(onlyArguments: arguments)
        let status = try command.exitStatus() ?? -1
        return (status, command.log)
    }

    private func isDenied(_ daemon: DaemonProcess, _ name: String) throws -> Bool {
        try daemon.connect().ask("WRITE \(name) wait=0")?.hasPrefix("DENIED") == true
    }

    @Test("a file that is slow to read delays no client, and all requests for a reload get one answer")
    func slowFile() throws {
        try writeAll()
        let manager = try DatagramReceiver()
        let daemon = try daemon(environment: ["NOTIFY_SOCKET": manager.path])
        let session = try daemon.connect()
        // To open a pipe waits until another process opens the other end.
        unlink(directory("options"))
        try #require(mkfifo(directory("options"), 0o600) == 0)
        daemon.signal(SIGHUP)
        try manager.waitFor("RELOADING=1")
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("RELEASE a")?.hasPrefix("RELEASED") == true)
        do {
            // This call waits until the first reading has opened the other end.
            let pipe = OwnedDescriptor(owning: open(directory("options"), O_WRONLY | O_CLOEXEC))
            daemon.signal(SIGHUP)
            try manager.waitFor("RELOADING=1")
            // The first reading ends with the pipe. The second reads the file in its place.
            try writeAll(rules: "deny everyone write *")
            try FileContents.write(Array("max-session-grants = 1\n".utf8), to: pipe)
        }
        try daemon.waitForLog("limits, rules and log level are read again")
        let answer = try session.ask("WRITE a") ?? ""
        #expect(answer.hasPrefix("DENIED"), "\(answer), \(daemon.log)")
        try session.send("STATS")
        let rows = try session.lines(through: "END")
        #expect(rows.contains("* total-reloads 1"), "\(rows)")
    }

    @Test("a start with rules or options that have a fault takes the last good ones, both, and says so")
    func lastGood() throws {
        try writeAll(options: "max-session-grants = 1", rules: "deny user=root,\(getuid()) write secret")
        var daemon = try daemon()
        #expect(try isDenied(daemon, "secret"))
        #expect(try daemon.stop() == 0)

        try writeAll(options: "max-session-grants = 2", rules: "deny everyone fly *")
        daemon = try self.daemon()
        try daemon.waitForLog("started with the last good options and rules: ")
        #expect(daemon.log.contains("rules:1:15: `fly` is not a right"))
        #expect(try isDenied(daemon, "secret"))
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE b")?.hasPrefix("ERROR limit-grants") == true)
        #expect(try daemon.stop() == 0)

        try writeAll(options: "  max-session-grants =  many", rules: "")
        daemon = try self.daemon()
        try daemon.waitForLog("options:2:25: max-session-grants: `many` is not a number")
        #expect(try isDenied(daemon, "secret"))

        // A reload uses the corrected files.
        try writeAll()
        daemon.signal(SIGHUP)
        try daemon.waitForLog("limits, rules and log level are read again")
        #expect(try !isDenied(daemon, "secret"))
        #expect(try daemon.stop() == 0)
    }

    @Test("without good ones to remember, a daemon does not start with a fault")
    func noLastGood() throws {
        try writeAll(rules: "nonsense")
        let daemon = try daemon(waits: false)
        #expect(try daemon.exitStatus() == 64)
        #expect(daemon.log.contains("rules:1:1: "))
    }

    @Test("what is remembered is read as it was written, and no part of it is taken for the whole")
    func remembered() throws {
        var good = LastGood()
        good.options = Array("max-locks = 7\n".utf8)
        good.rules = Array("deny everyone write *\nend\n".utf8)
        #expect(LastGood(good.contents) == good)
        for count in 0..<good.contents.count { #expect(LastGood(Array(good.contents.prefix(count))) == nil) }
        #expect(LastGood(good.contents + Array("x".utf8)) == nil)
        #expect(LastGood(LastGood().contents) == LastGood())
    }

    @Test("--check-config says where a fault is, and starts nothing")
    func check() throws {
        try writeAll()
        let arguments = ["--config", directory("options"), "--socket", directory("s"), "--check-config"]
        func check() throws -> (status: Int32, said: String) {
            let command = try DaemonProcess(onlyArguments: arguments)
            return (try command.exitStatus() ?? -1, command.log)
        }
        #expect(try check() == (0, ""))
        try write("allow group=no-group-of-this-name read *\n", to: "rules")
        var result = try check()
        #expect(result.status == 64)
        #expect(result.said.contains("rules:1:13: there is no group `no-group-of-this-name`"))
        try write("max-locks = 0", to: "options")
        result = try check()
        #expect(result.status == 64)
        #expect(result.said.contains("options:1:13: max-locks: `0` is not a number"))
        #expect(access(directory("s"), F_OK) != 0)
        #expect(try run("--check-config", "--fly").status == 64)
        let group = try run("--check-config", "--socket-group", "no-group-of-this-name")
        #expect(group.status == 64)
        #expect(group.said.contains("there is no group `no-group-of-this-name`"))
    }

    @Test(
        "the rules that README and protocol.md show can be used on a new Debian",
        arguments: ["README.md", "protocol.md"])
    func examples(document: String) throws {
        let package = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let text = try FileContents.read("\(package)/\(document)")
        // The lines of the first example, from the first rule to the last.
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
        func isRule(_ line: String) -> Bool {
            ["allow ", "deny ", "limit ", "order ", "# "].contains { line.hasPrefix($0) }
        }
        let start = try #require(lines.firstIndex { $0.hasPrefix("allow ") })
        let rules = lines[start...].prefix(while: isRule)
        #expect(rules.count >= 4)
        try writeAll(rules: rules.joined(separator: "\n"))
        let result = try run("--config", directory("options"), "--check-config")
        #expect(result == (0, ""))
    }

    @Test("--reload returns when the daemon has read its files, and fails if nothing has changed")
    func reload() throws {
        try writeAll()
        let daemon = try daemon()
        #expect(try !isDenied(daemon, "jobs"))
        try write("deny everyone write *\n", to: "rules")
        var result = try run("--reload", "\(daemon.processID)")
        #expect(result == (0, ""))
        #expect(try isDenied(daemon, "jobs"))

        try write("allow everyone fly *\n", to: "rules")
        result = try run("--reload", "\(daemon.processID)")
        #expect(result.status == 64)
        #expect(result.said.contains("rules:1:16: `fly` is not a right"))
        #expect(try isDenied(daemon, "jobs"))
        #expect(!daemon.log.contains("fly"), "the daemon was not even asked")

        result = try run("--reload", "\(getpid())")
        #expect(result.status == 64)
        #expect(result.said.contains("is no prwlockd"))
    }
}
