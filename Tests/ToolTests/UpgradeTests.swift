import Glibc
import Posix
import TestSupport
import Testing

/// `prwlock upgrade`, with the programs that it may find on disk.
@Suite struct UpgradeTests {
    /// A daemon with a keeper, and a program of its own that a test can replace.
    private let daemon: DaemonProcess
    private let session: RawSession
    private let program: String

    init() throws {
        let directory = try TemporaryDirectory()
        program = directory("prwlockd")
        _ = try ToolProcess("/bin/cp", ["cp", DaemonProcess.executable, program], socket: "").status()
        daemon = try DaemonProcess(arguments: ["--keep"], in: directory, program: program)
        session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
    }

    private func replaceProgram(by script: String) throws {
        let tool = try ToolProcess(shell: "rm '\(program)'; \(script)", at: daemon)
        #expect(try tool.status() == 0)
    }

    @Test("the program on disk serves, with all sessions and locks, and the command says which one did (G14)")
    func upgrade() throws {
        let waiter = try daemon.connect()
        try waiter.send("READ jobs wait=1h", "PING")
        #expect(try waiter.nextLine() == "PONG")
        for restart in 1...2 {
            let first = daemon.worker
            let tool = try ToolProcess(["upgrade"], at: daemon)
            let line = try tool.rest()
            let pattern =
                /prwlockd\/[0-9.]+ served, and prwlockd\/[0-9.]+ serves now: (.*) went over, in [0-9]+ ms\n/
            let match = line.wholeMatch(of: pattern)
            #expect(match?.1 == "2 sessions with 1 grant and 1 waiting request", "\(line)")
            #expect(try tool.status() == 0)
            #expect(daemon.worker != first)
            try session.send("STATS")
            #expect(try session.lines(through: "END").contains("* restarts \(restart)"))
        }
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try waiter.nextLine() == "GRANTED jobs read token=2")
        let json = try ToolProcess(["upgrade", "--json"], at: daemon).rest()
        #expect(json.contains(#""sessions":2,"grants":1,"waiters":0}"#), "\(json)")
        #expect(json.contains(#""restarts":3,"upgrade_ms":"#), "\(json)")
    }

    @Test(
        "without a program on disk that can be executed, nothing changes",
        arguments: ["true", #"echo text >"$PROGRAM""#, #"mkdir "$PROGRAM""#])
    func noProgram(script: String) throws {
        try replaceProgram(by: "PROGRAM='\(program)'; \(script)")
        let worker = daemon.worker
        let tool = try ToolProcess(["upgrade"], at: daemon)
        #expect(try tool.status() == 66)
        let said = try tool.complaints()
        #expect(said.contains("there is no program at \(program)"), "\(said)")
        #expect(daemon.worker == worker)
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
    }

    @Test("a ledger of another format ends in an empty start, which the command and the log report")
    func otherFormat() throws {
        try makeLedgerOfAnotherFormat()
        let tool = try ToolProcess(["upgrade"], at: daemon)
        #expect(try tool.status() == 79)
        #expect(try tool.complaints().contains("serves now, but without the former sessions and locks"))
        #expect(try session.nextLine() == nil)
        #expect(
            daemon.log.contains(
                "started without the former sessions and locks: the ledger: it is of format 2, and this program reads format 1"
            ))
        let next = try daemon.connect()
        #expect(try next.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write token=") == true)
    }

    /// Stores the version 2.0 in the ledger's header.
    private func makeLedgerOfAnotherFormat() throws {
        let folder = "/proc/\(daemon.processID)/fd/"
        for number in 3..<64 {
            let file = open(folder + "\(number)", O_RDWR | O_CLOEXEC)
            guard file >= 0 else { continue }
            defer { close(file) }
            var magic: UInt64 = 0
            guard pread(file, &magic, 8, 0) == 8, magic == 0x7267_6465_6C77_7270 else { continue }
            var version: UInt64 = 2 << 16 * 16_381
            #expect(pwrite(file, &version, 8, 8) == 8)
            return
        }
        Issue.record("the keeper has no ledger")
    }

    @Test("if the keeper does not take the program on disk, nothing changes, and the command says so")
    func refused() throws {
        try replaceProgram(by: "printf '#!/bin/sh\\nexit 3\\n' >'\(program)'; chmod 755 '\(program)'")
        let worker = daemon.worker
        let tool = try ToolProcess(["upgrade"], at: daemon)
        let status = try tool.status()
        let said = try tool.complaints()
        #expect(status == 66 && said.contains("does not take the program on disk"), "\(status): \(said)")
        #expect(
            said.contains("standard error of the keeper, or the journal under systemd, says why"), "\(said)")
        #expect(daemon.worker == worker)
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
    }

    @Test("a process that dies by itself while the program on disk is tried and refused is no upgrade")
    func deathDuringTrial() throws {
        // The trial kills the process that serves, and waits until another one does.
        let trial = """
            #!/bin/sh
            read children </proc/$PPID/task/$PPID/children
            for process in $children; do [ $process = $$ ] || kill -9 $process; done
            PRWLOCK_SOCKET='\(daemon.socketPath)' '\(ToolProcess.programs)/prwlock' ping >/dev/null
            exit 3
            """
        try replaceProgram(
            by: "cat >'\(program)' <<'END'\n\(trial)\nEND\nchmod 755 '\(program)'")
        let worker = daemon.worker
        let tool = try ToolProcess(["upgrade"], at: daemon)
        #expect(try tool.status() == 66)
        #expect(daemon.worker != worker)
        try session.send("STATS")
        #expect(try session.lines(through: "END").contains("* restarts 1"))
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
    }

    @Test("the keeper executes the path it was started from, also if its own file was renamed and removed")
    func renamed() throws {
        let move = try ToolProcess(
            shell:
                "mv '\(program)' '\(program).old' && cp '\(program).old' '\(program)' && rm '\(program).old'",
            at: daemon)
        #expect(try move.status() == 0)
        let worker = daemon.worker
        let tool = try ToolProcess(["upgrade"], at: daemon)
        let said = try tool.complaints()
        #expect(try tool.status() == 0, "\(said)")
        #expect(daemon.worker != worker)
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
    }

    @Test("a program that passes its check and then does not start ends all sessions, which the command says")
    func passesAndEnds() throws {
        let text = "#!/bin/sh\\ncase \"$*\" in *--check-config) exit 0;; esac\\nexit 3\\n"
        try replaceProgram(by: "printf '%b' '\(text)' >'\(program)'; chmod 755 '\(program)'")
        let tool = try ToolProcess(["upgrade"], at: daemon)
        let said = try tool.complaints()
        #expect(try tool.status() == 69)
        #expect(said.contains("all sessions and locks have ended"), "\(said)")
        #expect(try session.nextLine() == nil)
        #expect(try daemon.exitStatus() == 3)
    }

    @Test("a keeper that is stopped gets no signal, and the command says how it goes on")
    func stopped() throws {
        let worker = daemon.worker
        daemon.signal(SIGSTOP)
        var info = siginfo_t()
        #expect(waitid(P_PID, id_t(daemon.processID), &info, WSTOPPED | WNOWAIT) == 0)
        let tool = try ToolProcess(["upgrade"], at: daemon)
        let said = try tool.complaints()
        #expect(try tool.status() == 75)
        #expect(said.contains("`kill -CONT \(daemon.processID)` has it go on"), "\(said)")
        daemon.signal(SIGCONT)
        #expect(daemon.worker == worker)
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
    }

    @Test("for a daemon without --keep, and where none runs, the command says what to do, and starts none")
    func notKept() throws {
        let plain = try DaemonProcess()
        let tool = try ToolProcess(["upgrade"], at: plain)
        #expect(try tool.status() == 69)
        #expect(try tool.complaints().contains("runs without --keep"))
        let root = try TemporaryDirectory()
        let alone = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "upgrade"], socket: "",
            environment: ["PRWLOCK_TEST_ROOT=\(root.path)"])
        #expect(try alone.status() == 69)
        #expect(try alone.complaints().contains("there is none to upgrade"))
    }

    @Test(
        "another user may not upgrade the daemon", .enabled(if: geteuid() == 0, "only root can become a user")
    )
    func otherUser() throws {
        chmod(daemon.directory.path, 0o755)
        chmod(daemon.socketPath, 0o666)
        let worker = daemon.worker
        let tool = try ToolProcess(
            "/usr/bin/setpriv",
            ["setpriv", "--reuid=65534", "--clear-groups", "prwlock", "upgrade"],
            socket: daemon.socketPath)
        #expect(try tool.status() == 77)
        let said = try tool.complaints()
        #expect(
            said.contains("you may not signal the keeper, process \(daemon.processID) of user root"),
            "\(said)")
        #expect(daemon.worker == worker)
    }
}
