import Glibc
import Posix
import TestSupport
import Testing

/// The start of a daemon, and the reasons to refuse it.
@Suite struct StartTests {
    @Test("a second daemon on a live socket is refused with a clear message, and the first goes on")
    func secondDaemon() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let second = try DaemonProcess(in: daemon.directory, waits: false)
        #expect(try second.exitStatus() == 75)
        #expect(
            second.log.contains(
                "another lock daemon, process \(daemon.processID) (prwlockd), listens at \(daemon.socketPath)"
            ))
        #expect(try daemon.connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
    }

    @Test("a second daemon names the first one and ends, also if the first one is stopped")
    func stoppedDaemon() throws {
        let daemon = try DaemonProcess()
        daemon.signal(SIGSTOP)
        let second = try DaemonProcess(in: daemon.directory, waits: false)
        #expect(try second.exitStatus() == 75)
        #expect(second.log.contains("process \(daemon.processID) (prwlockd), which is stopped, listens at"))
    }

    @Test("two daemons on two sockets never share a state directory")
    func sharedState() throws {
        let daemon = try DaemonProcess()
        let second = try DaemonProcess(
            "--socket", daemon.directory("other"), in: daemon.directory, waits: false)
        #expect(try second.exitStatus() == 75)
        #expect(second.log.contains("has the state directory"))
        #expect(throws: SystemError.self) { try FileStatus(at: daemon.directory("other")) }
    }

    @Test("a socket that a killed daemon left is taken over")
    func staleSocket() throws {
        let daemon = try DaemonProcess()
        daemon.kill()
        #expect(throws: SystemError.self) { try daemon.connect() }
        try daemon.restart()
        #expect(try daemon.connect().ask("PING") == "PONG")
    }

    @Test("of ten daemons started at once on a stale socket, one serves")
    func crowd() throws {
        let first = try DaemonProcess()
        first.kill()
        let crowd = try (0..<10).map { _ in try DaemonProcess(in: first.directory, waits: false) }
        // Nine of them end by themselves.
        var left = crowd
        while left.count > 1 {
            left = try left.filter { try $0.exitStatus(waiting: false) == nil }
            usleep(1_000)
        }
        #expect(try left.first?.connect().ask("PING") == "PONG")
    }

    @Test("the socket has the mode that was asked for")
    func socketMode() throws {
        let own = try DaemonProcess()
        #expect(try FileStatus(at: own.socketPath).permissions == 0o600)
        let group = try DaemonProcess("--socket-group", "\(getgid())")
        #expect(try FileStatus(at: group.socketPath).permissions == 0o660)
        let open = try DaemonProcess("--socket-mode", "0666")
        #expect(try FileStatus(at: open.socketPath).permissions == 0o666)
    }

    @Test(
        "what cannot be followed is refused in one line, with status 64",
        arguments: [
            ["--frobnicate"], ["extra"], ["--drain"], ["--drain", "5"], ["--max-locks", "none"],
            ["--max-locks", "0"],
            ["--socket", "relative"], ["--socket-mode", "abc"], ["--socket-group", "no such group"],
            ["--log-level", "loud"], ["--hot-report", "weekly"],
            ["--listen-fd", "2"], ["--config", "/nonexistent"],
        ])
    func usage(arguments: [String]) throws {
        let daemon = try DaemonProcess(arguments: arguments, waits: false)
        #expect(try daemon.exitStatus() == 64)
        #expect(daemon.log.split(separator: "\n").count == 1)
        #expect(daemon.log.hasPrefix("prwlockd: error: "))
    }

    @Test("a path that is too long for a socket is refused with both lengths")
    func longPath() throws {
        let daemon = try DaemonProcess("--socket", "/tmp/" + String(repeating: "x", count: 120), waits: false)
        #expect(try daemon.exitStatus() == 71)
        #expect(daemon.log.contains("125 bytes, and at most 107"))
    }

    @Test("what stands at the path and is no socket is left alone")
    func notASocket() throws {
        let directory = try TemporaryDirectory()
        close(open(directory("s"), O_CREAT | O_WRONLY, 0o600))
        let daemon = try DaemonProcess(in: directory, waits: false)
        #expect(try daemon.exitStatus() == 71)
        #expect(try FileStatus(at: directory("s")).isSocket == false)
    }

    @Test("an environment variable says what an option says, and the option goes over it")
    func environment() throws {
        let daemon = try DaemonProcess(environment: ["PRWLOCKD_MAX_SESSIONS": "1"])
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        #expect(try daemon.connect().nextLine()?.hasPrefix("ERROR limit-sessions") == true)
        let other = try DaemonProcess("--max-sessions=2", environment: ["PRWLOCKD_MAX_SESSIONS": "1"])
        let sessions = try [other.connect(), other.connect()]
        for session in sessions { #expect(try session.ask("PING") == "PONG") }
    }

    @Test("a reload reads limits anew, and says what only a restart changes")
    func reload() throws {
        let directory = try TemporaryDirectory()
        func write(_ text: String) throws {
            let file = OwnedDescriptor(owning: open(directory("conf"), O_WRONLY | O_CREAT | O_TRUNC, 0o600))
            try FileContents.write(Array(text.utf8), to: file)
        }
        try write("# limits\nmax-sessions = 1\n\ndrain=2s\n")
        let daemon = try DaemonProcess("--config", directory("conf"), in: directory)
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        #expect(try daemon.connect().nextLine()?.hasPrefix("ERROR limit-sessions") == true)

        try write("max-sessions = 2\ndrain = 1s\n")
        daemon.signal(SIGHUP)
        try daemon.waitForLog("only a restart changes drain")
        #expect(try daemon.connect().ask("PING") == "PONG")

        try write("max-sessions = many\n")
        daemon.signal(SIGHUP)
        try daemon.waitForLog("conf:1:16: max-sessions: `many` is not a number")
        #expect(try session.ask("PING") == "PONG")
    }

    @Test("the daemon links Dispatch, and not Foundation")
    func libraries() throws {
        let program = try FileContents.read(DaemonProcess.executable, limit: 1 << 30)
        let linksDispatch = program.contains("_dispatch_main_queue_callback_4CF".utf8)
        #expect(linksDispatch)
        for library in ["libFoundation", "FoundationEssentials", "_FoundationICU"] {
            let links = program.contains(library.utf8)
            #expect(!links, "\(library)")
        }
    }
}
