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

    /// A command that holds the lock, reports that, and runs until the test ends it.
    private func hold(_ options: String..., script: String = "echo $PRWLOCK_TOKEN; read end") throws
        -> ToolProcess
    {
        let command = try ToolProcess(["run"] + options + ["jobs", "sh", "-c", script], at: daemon)
        #expect(try command.nextLine() == "1")
        return command
    }

    private func isHeld() throws -> Bool { try session.ask("READ jobs wait=0")?.hasPrefix("BUSY") == true }

    /// The process that holds the lock: the command.
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

    @Test("the command holds the lock itself, and `run` ends with its exit status")
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

    @Test("a command may be given in each form of flock(1), and after two dashes")
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

    @Test("a usage error has flock's exit code, and a failed execution the shells' codes")
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

    @Test("a conflict is reported by the exit code alone, at once or at the deadline (G5)")
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

    @Test("the command keeps its lock and continues if its parent is killed (G6)")
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

    @Test("signals to the parent reach the command, and act only there")
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

    @Test("a signal ends a process that waits for the lock, and its request")
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

    @Test("the command ignores the signals that the caller ignores, and no others (nohup)")
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

    @Test("the lock lives as long as a command that closes all inherited descriptors")
    func closedConnection() throws {
        let script =
            "for f in /proc/self/fd/*; do f=${f##*/}; [ $f -lt 3 ] || eval \"exec $f>&-\"; done 2>/dev/null;"
        // Descriptor numbers above 9 need bash.
        let command = try ToolProcess(
            ["run", "jobs", "bash", "-c", script + "echo $PRWLOCK_TOKEN; read end"], at: daemon)
        #expect(try command.nextLine() == "1")
        #expect(try isHeld())
    }

    @Test("with -o the command has no connection, and the lock stays held")
    func close() throws {
        let command = try hold("-o")
        #expect(access("/proc/\(try holder())/fd/200", F_OK) != 0)
        #expect(try isHeld())
        command.enter()
        #expect(try command.status() == 0)
    }

    @Test("with -F the command holds the lock without a parent")
    func noFork() throws {
        let command = try hold("-F")
        #expect(try holder() == command.processID)
        #expect(try isHeld())
        command.signal(SIGKILL)
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=2 ownerdied=1")
    }

    @Test("a command that exits leaves no mark on the lock; one that is killed does (G11)")
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

    @Test("a command that waits for all its children has no foreign ones")
    func waitingForAll() throws {
        #expect(try run("jobs", "perl", "-e", "1 while wait > 0; exit 9").status() == 9)
    }

    @Test("the parent keeps none of the command's inherited descriptors open")
    func endOfOutput() throws {
        let command = try hold(script: "echo $PRWLOCK_TOKEN; exec >&-; read end")
        #expect(try command.nextLine() == nil)
        #expect(try isHeld())
    }

    @Test("a command that lost its grant gets TERM, and `run` ends with status 79 (G13)")
    func revoked() throws {
        let command = try hold(
            script: "trap 'kill -KILL $!; echo ended; exit 5' TERM; sleep 1000 & echo $PRWLOCK_TOKEN; wait")
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

    @Test("without a terminal a waiting process prints nothing, and it waits on at the next daemon")
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

    @Test("if no daemon listens and none may be started, one line advises what to do")
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
