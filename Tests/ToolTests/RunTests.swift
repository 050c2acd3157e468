import CTestSupport
import Glibc
import Posix
import TestSupport
import Testing

@Suite struct RunTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
    }

    private func run(_ arguments: String...) throws -> ToolProcess {
        try ToolProcess(["run"] + arguments, at: daemon)
    }

    /// A command that holds the lock, says so, and goes on until it is told to end.
    private func hold(_ options: String..., script: String = "echo $PRWLOCK_TOKEN; read end") throws
        -> ToolProcess
    {
        let command = try ToolProcess(["run"] + options + ["jobs", "sh", "-c", script], at: daemon)
        #expect(try command.nextLine() == "1")
        return command
    }

    private func isHeld() throws -> Bool { try session.ask("READ jobs wait=0")?.hasPrefix("BUSY") == true }

    /// The process that holds the lock: the command itself.
    private func holder() throws -> Int32 {
        let row = try session.ask("STATUS jobs") ?? ""
        _ = try session.nextLine()
        let field = row.split(separator: " ").first { $0.hasPrefix("pid=") }
        return try #require(field.flatMap { Int32($0.dropFirst(4)) }, "\(row)")
    }

    private func awaitEnd(of process: Int32) throws {
        guard let watch = try? ProcessWatch(process: process) else { return }
        var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 30_000) == 1)
    }

    @Test("the command holds the lock itself, and its exit status is passed on")
    func transparency() throws {
        let command = try hold()
        let holder = try holder()
        #expect(holder != command.processID)
        let name = try FileContents.read("/proc/\(holder)/comm")
        #expect(String(decoding: name, as: UTF8.self) == "sh\n")
        command.enter()
        #expect(try command.status() == 0)
        #expect(try run("jobs", "sh", "-c", "exit 7").status() == 7)
        for signal in [SIGTERM, SIGKILL, SIGSEGV, SIGUSR1] {
            #expect(try run("jobs", "sh", "-c", "kill -\(signal) $$").status() == -signal)
        }
    }

    @Test("a command is given in each of the ways that flock(1) knows, and after a pair of dashes")
    func waysToSayIt() throws {
        let ways = [
            ["jobs", "echo", "-n", "a  b"], ["jobs", "--", "echo", "-n", "a  b"],
            ["-c", "echo -n 'a  b'", "jobs"],
            ["jobs", "-c", "echo -n 'a  b'"], ["-xnw5", "jobs", "echo", "-n", "a  b"],
            ["-s", "-w.5", "-E3", "--note", "of two words", "jobs", "echo", "-n", "a  b"],
        ]
        for way in ways {
            let command = try ToolProcess(["run"] + way, at: daemon)
            #expect(try command.rest() == "a  b", "\(way)")
            #expect(try command.status() == 0)
        }
    }

    @Test("what cannot be understood or executed has flock's code for usage and the shells' for execution")
    func failures() throws {
        let wrongs = [
            [], ["jobs"], ["-u", "jobs", "true"], ["-q", "jobs", "true"], ["-F", "-o", "jobs", "true"],
            ["-c", "true", "jobs", "true"], ["-w", "soon", "jobs", "true"],
        ]
        for wrong in wrongs {
            let command = try ToolProcess(["run"] + wrong, at: daemon)
            #expect(try command.complaints().hasPrefix("Error: "))
            #expect(try command.status() == 64, "\(wrong)")
        }
        #expect(try run("jobs", "/nowhere/nothing").status() == 127)
        #expect(try run("jobs", "/etc/passwd").status() == 126)
    }

    @Test("a lock that others hold is told by the exit code alone, at once or in time (G5)")
    func conflict() throws {
        #expect(try session.ask("READ jobs") == "GRANTED jobs read token=1")
        for (options, code) in [
            (["-n"], 1), (["-nE", "44"], 44), (["-w", "0"], 1), (["-w", ".05", "-E", "0"], 0),
        ] {
            let command = try ToolProcess(["run"] + options + ["jobs", "echo", "ran"], at: daemon)
            #expect(try command.rest() == "")
            #expect(try command.complaints() == "")
            #expect(try command.status() == Int32(code), "\(options)")
        }
        #expect(try run("-ns", "jobs", "true").status() == 0)
        let verbose = try run("-n", "--verbose", "jobs", "true")
        #expect(try verbose.complaints().hasSuffix("; held by \(getpid()) (read)\n"))
    }

    @Test("the command and its lock live on where its parent is killed (G6)")
    func killedMonitor() throws {
        let command = try hold(script: "echo $PRWLOCK_TOKEN; read end; echo on")
        let holder = try holder()
        command.signal(SIGKILL)
        #expect(try command.status() == -SIGKILL)
        #expect(try isHeld())
        command.enter()
        #expect(try command.nextLine() == "on")
        try awaitEnd(of: holder)
        #expect(try session.ask("READ jobs wait=10s")?.hasPrefix("GRANTED") == true)
    }

    @Test("signals that are sent to the parent reach the command, and only there they act")
    func signals() throws {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH] {
            let script = "trap 'echo got; exit 3' \(signal); echo up; while :; do sleep 0.05; done"
            let command = try run("jobs", "sh", "-c", script)
            #expect(try command.nextLine() == "up")
            command.signal(signal)
            #expect(try command.nextLine() == "got")
            #expect(try command.status() == 3)
        }
    }

    @Test("a signal ends who waits for the lock, and nothing is left behind that waits")
    func signalledWaiter() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        for signal in [SIGTERM, SIGINT, SIGKILL] {
            let watcher = try daemon.connect()
            #expect(try watcher.ask("WATCH") == "OK")
            let command = try run("jobs", "echo", "ran")
            #expect(try watcher.nextLine()?.hasPrefix("! CHANGED jobs waiting") == true)
            command.signal(signal)
            #expect(try command.status() == -signal)
            #expect(try watcher.nextLine()?.hasPrefix("! CHANGED jobs cancelled") == true)
            #expect(try command.rest() == "")
        }
    }

    @Test("what the caller ignores stays ignored in the command, and what it does not is not (nohup)")
    func ignoredSignals() throws {
        let script = "kill -HUP $$; kill -CHLD $$; echo alive; kill -USR1 $$; echo dead"
        let command = try ToolProcess(
            shell: "trap '' HUP CHLD; prwlock run jobs sh -c '\(script)'; echo $?", at: daemon)
        #expect(try command.rest() == "alive\n\(128 + SIGUSR1)\n")
    }

    @Test("a command that signals its own group does not get its signal back")
    func echo() throws {
        let script = "trap 'n=$((n+1))' TERM; kill 0; kill 0; read a; echo $n"
        let command = try ToolProcess(
            "/usr/bin/setsid", ["setsid", "-w", "prwlock", "run", "jobs", "sh", "-c", script],
            socket: daemon.socketPath)
        command.enter()
        command.enter()
        #expect(try command.nextLine() == "2")
    }

    @Test("the lock lives as long as a command that closes every descriptor it does not know")
    func closedConnection() throws {
        let script =
            "for f in /proc/self/fd/*; do f=${f##*/}; [ $f -lt 3 ] || eval \"exec $f>&-\"; done 2>/dev/null;"
        // bash, for numbers beyond 9.
        let command = try ToolProcess(
            ["run", "jobs", "bash", "-c", script + "echo $PRWLOCK_TOKEN; read end"], at: daemon)
        #expect(try command.nextLine() == "1")
        #expect(try isHeld())
    }

    @Test("-o leaves the command without the connection, and the lock where it is")
    func close() throws {
        let command = try hold("-o")
        #expect(access("/proc/\(try holder())/fd/200", F_OK) != 0)
        #expect(try isHeld())
        command.enter()
        #expect(try command.status() == 0)
    }

    @Test("-F leaves the command alone with the lock")
    func noFork() throws {
        let command = try hold("-F")
        #expect(try holder() == command.processID)
        #expect(try isHeld())
        command.signal(SIGKILL)
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=2 ownerdied=1")
    }

    @Test("the end of a command is an orderly end of its grant, a kill is not: only that leaves a mark (G11)")
    func end() throws {
        for (ending, isKilled) in [("exit 0", false), ("exit 1", false), ("kill -KILL $$", true)] {
            for option in ["-F", "-x"] {
                _ = try run(option, "jobs", "sh", "-c", ending).status()
                #expect(try session.ask("WRITE jobs wait=10s")?.contains("ownerdied") == isKilled)
                #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
            }
        }
        #expect(try session.ask("LIST") == "END 0")
    }

    @Test("children of the command keep neither the lock nor its parent (G6)")
    func children() throws {
        let command = try run("jobs", "sh", "-c", "sleep 1000 >&- & echo $!")
        let child = try #require(try command.nextLine().flatMap { Int32($0) })
        defer { kill(child, SIGKILL) }
        #expect(try command.status() == 0)
        #expect(access("/proc/\(child)/fd/200", F_OK) == 0)
        #expect(try session.ask("READ jobs wait=10s")?.hasPrefix("GRANTED") == true)
    }

    @Test("a command that waits for all its children has none that it did not make")
    func waitingForAll() throws {
        #expect(try run("jobs", "perl", "-e", "1 while wait > 0; exit 9").status() == 9)
    }

    @Test("nothing that the command was given is kept open by its parent")
    func endOfOutput() throws {
        let command = try hold(script: "echo $PRWLOCK_TOKEN; exec >&-; read end")
        #expect(try command.nextLine() == nil)
        #expect(try isHeld())
    }

    @Test("a command that lost its grant gets TERM, and the loss is an exit status of its own (G13)")
    func revoked() throws {
        let command = try hold(
            script: "trap 'kill $!; echo ended; exit 5' TERM; sleep 1000 & echo $PRWLOCK_TOKEN; wait")
        #expect(try session.ask("REVOKE jobs token=1") == "REVOKED jobs token=1")
        #expect(try command.nextLine() == "ended")
        #expect(try command.status() == 79)
        #expect(
            try command.complaints() == "prwlock: lost the lock jobs: it was revoked; the command gets TERM\n"
        )
    }

    @Test("a command that lost its grant and ignores TERM gets KILL")
    func killed() throws {
        let command = try hold("-k", "0.05", script: "trap '' TERM; echo $PRWLOCK_TOKEN; exec sleep 1000")
        #expect(try session.ask("REVOKE jobs token=1") == "REVOKED jobs token=1")
        #expect(try command.status() == 79)
    }

    @Test("a stopped command that lost its grant ends too")
    func stopped() throws {
        let command = try hold()
        kill(try holder(), SIGSTOP)
        #expect(try session.ask("REVOKE jobs token=1") == "REVOKED jobs token=1")
        #expect(try command.status() == 79)
    }

    @Test("a command whose daemon ends has lost its grant")
    func daemonGone() throws {
        let command = try hold()
        daemon.kill()
        #expect(try command.status() == 79)
    }

    @Test("a lease is renewed for as long as the command lives (G9)")
    func renewal() throws {
        let command = try hold("--lease", "2s")
        #expect(try session.ask("WRITE jobs wait=3s")?.hasPrefix("TIMEOUT jobs write") == true)
        command.enter()
        #expect(try command.status() == 0)
    }

    @Test("who waits on no terminal is silent, and waits on at the next daemon")
    func nextDaemon() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WATCH") == "OK")
        let command = try run("jobs", "echo", "ran")
        #expect(try session.nextLine()?.hasPrefix("! CHANGED jobs waiting pid=") == true)
        daemon.kill()
        try daemon.restart()
        #expect(try command.nextLine() == "ran")
        #expect(try command.status() == 0)
        #expect(try command.complaints() == "")
    }

    @Test("where no daemon listens and none may be started, one line says what to do")
    func noDaemon() throws {
        let command = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "run", "jobs", "true"],
            socket: daemon.directory("nobody"))
        let complaint = try command.complaints()
        #expect(complaint.hasPrefix("prwlock: no lock daemon listens at "))
        #expect(complaint.contains("run `prwlockd`"))
        #expect(complaint.filter { $0 == "\n" }.count == 1)
        #expect(try command.status() == 69)
    }
}
