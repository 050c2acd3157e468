import Glibc
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

@Suite struct HoldTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
    }

    @Test("a script holds a lock until it releases it, and the lock is free when `release` returns")
    func release() throws {
        let script = try ToolProcess(
            shell:
                "token=$(prwlock hold --pid $$ --print-token jobs) && echo $token; read a; prwlock release jobs; echo $?; read b",
            at: daemon)
        #expect(try script.nextLine() == "1")
        let holders = try daemon.processes(named: "prwlock-holder")
        #expect(holders.count == 1)
        let namespace = try #require(ProcessNamespace.own)
        #expect(
            try session.ask("STATUS jobs")?.hasPrefix(
                "* holder pid=\(holders.first ?? 0) mode=write owner=hold.\(script.processID).\(namespace) token=1 "
            )
                == true)
        #expect(try session.nextLine() == "END 1")
        script.enter()
        #expect(try script.nextLine() == "0")
        #expect(try session.ask("WRITE jobs wait=0") == "GRANTED jobs write token=2")
    }

    @Test(
        "a lock is released in an orderly way when the script that it is held for ends (G6)",
        arguments: [SIGTERM, SIGKILL])
    func endOfScript(signal: Int32) throws {
        let script = try ToolProcess(shell: "prwlock hold -s jobs; echo $?; read a", at: daemon)
        #expect(try script.nextLine() == "0")
        try session.send("WRITE jobs")
        script.signal(signal)
        #expect(try session.nextLine() == "GRANTED jobs write token=2")
    }

    @Test("a holder keeps none of the script's descriptors open")
    func descriptors() throws {
        let script = try ToolProcess(
            shell: "exec 5>&1; prwlock hold jobs; echo $?; exec 5>&- >&-; read a", at: daemon)
        #expect(try script.nextLine() == "0")
        #expect(try script.nextLine() == nil)
    }

    @Test("a conflict is reported by flock's exit codes")
    func conflict() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let script = try ToolProcess(
            shell:
                "prwlock hold -n jobs; echo $?; prwlock hold -w .05 -E 9 jobs; echo $?; prwlock hold; echo $?",
            at: daemon)
        #expect(try script.rest() == "1\n9\n64\n")
        #expect(try daemon.processes(named: "prwlock-holder") == [])
    }

    @Test(
        "a parent that is not a shell is refused, with advice",
        arguments: [
            "timeout 20 prwlock hold jobs", "echo jobs | xargs prwlock hold",
            "perl -e 'system @ARGV; exit $? >> 8' prwlock hold jobs",
        ])
    func noShell(call: String) throws {
        let script = try ToolProcess(shell: "\(call); echo $?", at: daemon)
        #expect(["64\n", "123\n"].contains(try script.rest()))
        #expect(try script.complaints().contains("`prwlock hold --pid $$ jobs`"))
        #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
    }

    @Test("process 1 is refused unless it is a shell, and so is every service manager")
    func managers() throws {
        #expect(Caller(1).isManager == !Caller(1).isShell)
        for (program, isShell) in [
            ("bash", true), ("bash-5.2", true), ("zsh5", true), ("ksh93", true), ("dash", true),
            ("systemd", false),
            ("make", false), ("ssh", false), ("python3.11", false), ("sh", true), ("su", false),
            ("flush", false),
        ] { #expect(Caller.isShell(program) == isShell, "\(program)") }
    }

    @Test("a shell that executes its last command in its own place releases what was held for it")
    func lastCommand() throws {
        for shell in ["sh", "bash"] {
            let script = try ToolProcess(
                "/bin/sh", ["sh", "-c", "\(shell) -c 'prwlock hold jobs; prwlock release jobs'; echo $?"],
                socket: daemon.socketPath)
            #expect(try script.rest() == "0\n")
            #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
            #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
        }
    }

    @Test("a lock that is held for a shell or a command is refused to their descendants, with a message (G4)")
    func nested() throws {
        let nested = try ToolProcess(
            shell: """
                prwlock hold a; prwlock run a true; echo $?; sh -c 'prwlock hold a; echo $?'
                prwlock run --inherit a sh -c 'echo in $PRWLOCK_TOKEN'
                prwlock run b sh -c 'prwlock run -w 9 b true; echo $?; prwlock hold b; echo $?; echo $PRWLOCK_HELD'
                prwlock run b sh -c 'prwlock run --inherit -s b echo inherited'
                prwlock run -s c sh -c 'prwlock run -s c echo beside; prwlock run --inherit c true; echo $?'
                PRWLOCK_HELD='d=write=1 junk =' prwlock run d echo stale
                """, at: daemon)
        #expect(
            try nested.rest() == """
                1
                1
                in 1
                1
                1
                b=write=2
                inherited
                beside
                1
                stale

                """)
        let complaints = try nested.complaints().split(separator: "\n")
        #expect(complaints.count == 5)
        #expect(complaints.allSatisfy { $0.contains("so this request would wait for itself") })
    }

    @Test("a reader below a reader is refused if it would wait behind a writer (G2)")
    func nestedReader() throws {
        let outer = try ToolProcess(
            ["run", "-s", "jobs", "sh", "-c", "echo up; read a; prwlock run -s jobs true; echo $?"],
            at: daemon)
        #expect(try outer.nextLine() == "up")
        try session.send("WRITE jobs")
        let other = try daemon.connect()
        while try other.ask("STATUS jobs") != nil,
            try !other.lines(through: "END").contains(where: { $0.hasPrefix("* waiter") })
        {}
        outer.enter()
        #expect(try outer.nextLine() == "1")
        #expect(try outer.complaints().contains("would wait for itself"))
        #expect(try session.nextLine()?.hasPrefix("GRANTED jobs write") == true)
    }

    @Test("the release of a lock that is not held, and a process that does not exist, are errors")
    func misuse() throws {
        let script = try ToolProcess(
            shell: "prwlock release jobs; echo $?; sh -c : & wait; prwlock hold --pid $! jobs; echo $?",
            at: daemon)
        #expect(try script.rest() == "1\n66\n")
    }

    @Test("a process that stops waiting leaves no waiting request behind")
    func abandoned() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WATCH") == "OK")
        let command = try ToolProcess(["hold", "--pid", "\(getpid())", "jobs"], at: daemon)
        #expect(try session.nextLine()?.hasPrefix("! CHANGED jobs waiting") == true)
        command.signal(SIGKILL)
        #expect(try session.nextLine()?.hasPrefix("! CHANGED jobs cancelled") == true)
    }

    @Test(
        "a process that loses its grant gets TERM, unless --no-signal is given (G13)",
        arguments: [true, false])
    func loss(signals: Bool) throws {
        let option = signals ? "" : "--no-signal"
        let script = try ToolProcess(
            shell: "prwlock hold \(option) jobs; echo up; read a; exit 3", at: daemon)
        #expect(try script.nextLine() == "up")
        let holder = try #require(try daemon.processes(named: "prwlock-holder").first)
        let watch = try ProcessWatch(process: holder)
        #expect(try session.ask("REVOKE jobs token=1") == "REVOKED jobs token=1")
        var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 30_000) == 1)
        script.enter()
        #expect(try script.status() == (signals ? -SIGTERM : 3))
    }

    @Test("a lease is renewed for as long as the process lives (G9)")
    func renewal() throws {
        let script = try ToolProcess(shell: "prwlock hold --lease 6s jobs; echo up; read a", at: daemon)
        #expect(try script.nextLine() == "up")
        #expect(try session.ask("READ jobs wait=8s")?.hasPrefix("TIMEOUT") == true)
    }
}
