import Glibc
import Posix
import TestSupport
import Testing

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
        #expect(
            try session.ask("STATUS jobs")?.hasPrefix(
                "* holder pid=\(holders.first ?? 0) mode=write owner=hold.\(script.processID) token=1 ")
                == true)
        #expect(try session.nextLine() == "OK 1")
        script.enter()
        #expect(try script.nextLine() == "0")
        #expect(try session.ask("WRITE jobs wait=0") == "GRANTED jobs write token=2")
    }

    @Test(
        "a lock ends with the script that it is held for, as an orderly end (G6)",
        arguments: [SIGTERM, SIGKILL])
    func endOfScript(signal: Int32) throws {
        let script = try ToolProcess(shell: "prwlock hold -s jobs; echo $?; read a", at: daemon)
        #expect(try script.nextLine() == "0")
        try session.send("WRITE jobs")
        script.signal(signal)
        #expect(try session.nextLine() == "GRANTED jobs write token=2")
    }

    @Test("a holder has nothing of the script open")
    func descriptors() throws {
        let script = try ToolProcess(
            shell: "exec 5>&1; prwlock hold jobs; echo $?; exec 5>&- >&-; read a", at: daemon)
        #expect(try script.nextLine() == "0")
        #expect(try script.nextLine() == nil)
    }

    @Test("a lock that is not to be had is told by flock's exit codes")
    func conflict() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let script = try ToolProcess(
            shell:
                "prwlock hold -n jobs; echo $?; prwlock hold -w .05 -E 9 jobs; echo $?; prwlock hold; echo $?",
            at: daemon)
        #expect(try script.rest() == "1\n9\n64\n")
        #expect(try daemon.processes(named: "prwlock-holder") == [])
    }

    @Test("a process that holds a lock is told so, rather than to wait for itself (G8)")
    func circle() throws {
        let script = try ToolProcess(
            shell:
                "prwlock hold jobs; prwlock hold jobs; echo $?; prwlock hold -s other; prwlock hold -s other; echo $?",
            at: daemon)
        #expect(try script.rest() == "1\n0\n")
        #expect(try script.complaints().contains("holds it already"))
    }

    @Test("a release of what is not held, and a process that is not there, are errors")
    func misuse() throws {
        let script = try ToolProcess(
            shell: "prwlock release jobs; echo $?; sh -c : & wait; prwlock hold --pid $! jobs; echo $?",
            at: daemon)
        #expect(try script.rest() == "1\n66\n")
    }

    @Test("who no longer waits leaves nobody behind that does")
    func abandoned() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WATCH") == "OK 0")
        let command = try ToolProcess(["hold", "jobs"], at: daemon)
        #expect(try session.nextLine()?.hasPrefix("! CHANGED jobs waiting") == true)
        command.signal(SIGKILL)
        #expect(try session.nextLine()?.hasPrefix("! CHANGED jobs cancelled") == true)
    }

    @Test(
        "a process whose grant is lost gets TERM, unless it is to be left alone (G13)",
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
        let script = try ToolProcess(shell: "prwlock hold --lease 2s jobs; echo up; read a", at: daemon)
        #expect(try script.nextLine() == "up")
        #expect(try session.ask("READ jobs wait=3s")?.hasPrefix("TIMEOUT") == true)
    }
}
