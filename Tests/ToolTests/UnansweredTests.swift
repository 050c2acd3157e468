import Glibc
import Posix
import TestSupport
import Testing

/// Runs each subcommand while the daemon does not answer, in each such state. The subcommand must end while the state
/// lasts.
///
/// The limit of its time is `bound`, plus three times the time that as many commands take now without a query. So the
/// test does not fail on a busy machine.
@Suite(.timeLimit(.minutes(2)), .serialized) struct UnansweredTests {
    /// Far longer than a command may take, and less than the ten seconds that a command without a deadline waits for a
    /// daemon.
    private static let bound: Int64 = 8_000_000_000

    /// The exit status if the daemon does not answer: a later attempt may succeed.
    private static let temporary: Int32 = 75
    private static let unavailable: Int32 = 69

    private static let timed = [
        ["run", "-n", "jobs", "echo", "ran"], ["run", "-w", ".2", "jobs", "echo", "ran"],
        ["run", "-Fsw", "0", "jobs", "echo", "ran"], ["hold", "-n", "--pid", "PID", "jobs"],
        ["hold", "-w", ".2", "--pid", "PID", "jobs"],
    ]
    private static let untimed = [
        ["ping"], ["status", "jobs"], ["list"], ["sessions"], ["stats"], ["validate", "jobs", "1"],
        ["revoke", "jobs", "1"], ["watch"], ["release", "--pid", "PID", "jobs"],
        ["run", "jobs", "echo", "ran"],
    ]

    /// Runs all commands at once, and checks the exit status and the message of each.
    private func expect(
        _ commands: [[String]], socket: String, environment: [String] = [], status: Int32, words: String,
        whileTrue isSo: () -> Bool = { true }
    ) throws {
        let bound = Self.bound + 3 * (try timeToRun(commands.count))
        let start = BootClock.now()
        let running = try commands.map { words in
            let words = words.map { $0 == "PID" ? String(getpid()) : $0 }
            return (
                words,
                try ToolProcess(
                    ToolProcess.programs + "/prwlock", ["prwlock"] + words, socket: socket,
                    environment: environment)
            )
        }
        for (command, process) in running {
            #expect(try process.status() == status, "\(command)")
            #expect(BootClock.now() - start < bound, "\(command)")
            let complaints = try process.complaints()
            #expect(complaints.contains(words), "\(command): \(complaints)")
            #expect(try process.rest() == "", "\(command)")
        }
        #expect(isSo())
    }

    /// How long this number of commands takes now if they query no daemon.
    private func timeToRun(_ count: Int) throws -> Int64 {
        let start = BootClock.now()
        let running = try (0..<count).map { _ in
            try ToolProcess(ToolProcess.programs + "/prwlock", ["prwlock", "--version"], socket: "")
        }
        for process in running { _ = try process.status() }
        return BootClock.now() - start
    }

    @Test("a stopped daemon is an error that names it, at the deadline or soon (G13)") func stopped() throws {
        let daemon = try DaemonProcess()
        daemon.signal(SIGSTOP)
        try expect(
            Self.timed + Self.untimed, socket: daemon.socketPath, status: Self.temporary,
            words: "(pid \(daemon.processID)) does not answer")
        daemon.signal(SIGCONT)
        // Each command cancelled its request, so none of them left the mark of a dead writer.
        #expect(try daemon.connect().ask("WRITE jobs wait=30s")?.contains("ownerdied") == false)
    }

    @Test("a daemon that is stopped while a request waits is an error at the deadline")
    func stoppedWhileWaiting() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        #expect(try holder.ask("READ jobs") == "GRANTED jobs read token=1")
        let waiting = try ToolProcess(["run", "-w", "1", "jobs", "echo", "ran"], at: daemon)
        while try holder.ask("LIST")?.contains("waiters=1") != true { _ = try holder.nextLine() }
        #expect(try holder.nextLine() == "END 1")
        daemon.signal(SIGSTOP)
        #expect(try waiting.status() == Self.temporary)
        #expect(try waiting.complaints().contains("is stopped"))
        daemon.signal(SIGCONT)
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        let end = try daemon.connect().ask("WRITE jobs wait=30s")
        #expect(end?.hasPrefix("GRANTED") == true)
        #expect(end?.contains("ownerdied") == false)
    }

    @Test("a command waits for a draining daemon only until its deadline, and then does not run")
    func draining() throws {
        let daemon = try DaemonProcess("--drain", "1h")
        let holder = try daemon.connect()
        #expect(try holder.ask("READ other") == "GRANTED other read token=1")
        daemon.signal(SIGTERM)
        #expect(try holder.nextLine() == "! DRAIN")
        try expect(
            Self.timed, socket: daemon.socketPath, status: Self.temporary, words: "does not answer",
            whileTrue: { kill(daemon.processID, 0) == 0 && !holder.hasSomething })
    }

    @Test("a command waits for a socket with a full backlog only until its deadline") func fullBacklog()
        throws
    {
        let directory = try TemporaryDirectory()
        let listener = try UnixSocket.listen(at: directory("s"), mode: 0o600, backlog: 0)
        var others: [RawSession] = []
        while let connection = try? UnixSocket.connect(to: directory("s"), by: Deadline(after: .zero)) {
            others.append(RawSession(connection))
        }
        try expect(
            Self.timed, socket: directory("s"), status: Self.temporary, words: "does not answer",
            whileTrue: { UnixSocket.isListening(listener.rawValue) })
    }

    @Test("a command waits for a daemon that hangs at its start only until its deadline, and names its log")
    func starting() throws {
        let directory = try TemporaryDirectory()
        mkdir(directory("tmp"), 0o700)
        mkdir(directory("run"), 0o700)
        let script = open(directory("daemon"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o700)
        let text = "#!/bin/sh\necho $$ > '\(directory("pid"))'\nexec sleep 1000\n"
        try FileContents.write(Array(text.utf8), to: OwnedDescriptor(owning: script))
        for (index, command) in Self.timed.enumerated() {
            try expect(
                [command], socket: "",
                environment: [
                    "PRWLOCK_TEST_ROOT=\(directory.path)", "PRWLOCK_DAEMON=\(directory("daemon"))",
                ], status: Self.temporary,
                // Only the first command starts the daemon; the others find its socket.
                words: index == 0 ? "prwlockd.log" : "does not answer")
        }
        let hung = String(decoding: try FileContents.read(directory("pid")), as: UTF8.self)
        if let process = Int32(hung.dropLast()) { kill(process, SIGKILL) }
    }

    @Test("a daemon that is gone is an error at once; one that comes back in time serves the request")
    func killed() throws {
        let daemon = try DaemonProcess()
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiting = try ToolProcess(["run", "-w", "30", "jobs", "echo", "ran"], at: daemon)
        while try daemon.connect().ask("LIST")?.contains("waiters=1") != true {}
        daemon.kill()
        try daemon.restart()
        #expect(try waiting.nextLine() == "ran")
        #expect(try waiting.status() == 0)
        daemon.kill()
        try expect(
            Self.timed + Self.untimed, socket: daemon.socketPath, status: Self.unavailable,
            words: "no lock daemon listens")
    }

    @Test("-n waits for the end of a short grace period, and reports a long one")
    func grace() throws {
        let daemon = try DaemonProcess("--grace", "300ms")
        daemon.kill()
        try daemon.restart()
        let command = try ToolProcess(["run", "-n", "jobs", "echo", "ran"], at: daemon)
        #expect(try command.nextLine() == "ran")
        #expect(try command.status() == 0)
        daemon.kill()
        try daemon.restart("--grace", "1h")
        let late = try ToolProcess(["run", "-n", "--verbose", "-E", "9", "jobs", "echo", "ran"], at: daemon)
        #expect(try late.complaints().contains("has just started after an unclean end"))
        #expect(try late.status() == 9)
    }
}
