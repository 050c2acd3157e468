import Glibc
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

/// `prwlock hold` for a process that holds the lock already, as `flock(1)` on a descriptor that is locked already.
@Suite struct HoldAgainTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
    }

    /// The holders and waiters of a lock, as `mode=… token=…` and the like.
    private func rows(_ name: String = "jobs") throws -> [String] {
        let first = try session.ask("STATUS \(name)") ?? ""
        let lines = first.hasPrefix("END") ? [] : [first] + (try session.lines(through: "END")).dropLast()
        return lines.map { line in
            line.split(separator: " ").filter { $0.hasPrefix("mode=") || $0.hasPrefix("token=") }
                .joined(separator: " ")
        }
    }

    @Test("flock(1) on a descriptor that is locked already succeeds at once, and so does hold")
    func likeFlock() throws {
        let calls = ["flock -n 4", "flock -n 4", "flock -n -s 4", "flock -n 4", "flock -u 4"]
        let same = ["hold -n jobs", "hold -n jobs", "hold -n -s jobs", "hold -n jobs", "release jobs"]
        let statuses = try [calls, same.map { "prwlock \($0)" }].map { calls in
            let line = calls.map { "\($0); echo $?" }.joined(separator: "; ")
            return try ToolProcess(shell: "exec 4</dev/null; \(line)", at: daemon).rest()
        }
        #expect(statuses == ["0\n0\n0\n0\n0\n", "0\n0\n0\n0\n0\n"])
    }

    @Test(
        "a second hold in the same mode is granted at once, and one release frees the lock, as with flock",
        arguments: ["sh", "bash", "zsh", "fish"], ["-n", "-n -s", "-w 9", ""])
    func sameMode(shell: String, options: String) throws {
        guard let path = ["/bin/", "/usr/bin/"].map({ $0 + shell }).first(where: { access($0, X_OK) == 0 })
        else {
            return
        }
        let status = shell == "fish" ? "$status" : "$?"
        let calls = Array(repeating: "prwlock hold --print-token \(options) jobs; echo \(status)", count: 3)
        let script = try ToolProcess(
            path, [shell, "-c", calls.joined(separator: "; ") + "; prwlock release jobs; echo \(status)"],
            socket: daemon.socketPath)
        #expect(try script.rest() == "1\n0\n1\n0\n1\n0\n0\n")
        #expect(try !script.complaints().contains("prwlock:"))
        #expect(try session.ask("WRITE jobs wait=0") == "GRANTED jobs write token=2")
    }

    @Test(
        "a hold in another mode changes the mode, and the lock is still held once (G10)",
        arguments: ["-s", "--update", "-x"], ["-s", "--update", "-x"])
    func otherMode(from: String, to: String) throws {
        let script = try ToolProcess(
            shell:
                "prwlock hold \(from) jobs; prwlock hold -n \(to) jobs; echo $?; read a; prwlock release jobs; echo $?",
            at: daemon)
        #expect(try script.nextLine() == "0")
        let modes = ["-s": "read", "--update": "update", "-x": "write"]
        let strength = ["-s": 0, "--update": 1, "-x": 2]
        let token = (strength[to] ?? 0) > (strength[from] ?? 0) ? 2 : 1
        #expect(try rows() == ["mode=\(modes[to] ?? "") token=\(token)"])
        #expect(try daemon.processes(named: BackgroundHolder.processName).count == 1)
        script.enter()
        #expect(try script.nextLine() == "0")
        #expect(try rows() == [])
        #expect(try session.ask("LIST") == "END 0")
    }

    @Test("a change that others prevent is a conflict, and the lock stays held in its mode")
    func conflict() throws {
        #expect(try session.ask("READ jobs") == "GRANTED jobs read token=1")
        let script = try ToolProcess(
            shell: """
                prwlock hold -s jobs; prwlock hold -n jobs; echo $?
                prwlock hold -w .05 -E 9 --verbose jobs; echo $?
                prwlock hold -n -s jobs; echo $?; read a
                """, at: daemon)
        #expect(try [1, 2, 3].map { _ in try script.nextLine() } == ["1", "9", "0"])
        #expect(try rows() == ["mode=read token=1", "mode=read token=2"])
        script.enter()
        #expect(try script.complaints().contains("held by \(getpid()) (read)"))
    }

    @Test(
        "a change waits for the other holders, no other writer comes first, and `release` finds the new grant"
    )
    func waits() throws {
        #expect(try session.ask("READ jobs") == "GRANTED jobs read token=1")
        let other = try daemon.connect()
        #expect(try other.ask("WATCH") == "OK")
        let script = try ToolProcess(
            shell:
                "prwlock hold -s jobs; prwlock hold --print-token jobs; read a; prwlock release jobs; echo $?",
            at: daemon)
        while let line = try other.nextLine(), !line.hasPrefix("! CHANGED jobs waiting") {}
        let writer = try daemon.connect()
        try writer.send("WRITE jobs")
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try script.nextLine() == "3")
        script.enter()
        #expect(try script.nextLine() == "0")
        #expect(try writer.nextLine() == "GRANTED jobs write token=4")
    }

    @Test("a caller that ends while it waits for the change leaves the grant as it was")
    func abandoned() throws {
        #expect(try session.ask("READ jobs") == "GRANTED jobs read token=1")
        let watcher = try daemon.connect()
        let script = try ToolProcess(
            shell: "prwlock hold -s jobs; echo up; read a; prwlock hold -n -s jobs; echo $?; read a",
            at: daemon)
        #expect(try script.nextLine() == "up")
        #expect(try watcher.ask("WATCH") == "OK")
        let command = try ToolProcess(["hold", "--pid", "\(script.processID)", "jobs"], at: daemon)
        #expect(try watcher.nextLine()?.hasPrefix("! CHANGED jobs waiting") == true)
        command.signal(SIGKILL)
        #expect(try watcher.nextLine()?.hasPrefix("! CHANGED jobs cancelled") == true)
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        script.enter()
        #expect(try script.nextLine() == "0")
        #expect(try rows() == ["mode=read token=2"])
    }

    @Test(
        "of two scripts that change from read to write, the second is refused, and both keep their grants (G8)"
    )
    func deadlock() throws {
        let watcher = try daemon.connect()
        let first = try ToolProcess(
            shell: "prwlock hold -s jobs; echo up; read a; prwlock hold jobs; echo $?; read a", at: daemon)
        #expect(try first.nextLine() == "up")
        let second = try ToolProcess(
            shell: "prwlock hold -s jobs; echo up; read a; prwlock hold jobs; echo $?; read a", at: daemon)
        #expect(try second.nextLine() == "up")
        #expect(try watcher.ask("WATCH") == "OK")
        first.enter()
        #expect(try watcher.nextLine()?.hasPrefix("! CHANGED jobs waiting") == true)
        second.enter()
        #expect(try second.nextLine() == "75")
        #expect(try rows().filter { $0.hasPrefix("mode=read") }.count == 2)
        second.enter()
        #expect(try first.nextLine() == "0")
        #expect(try second.complaints().contains("would be a deadlock"))
    }

    @Test("a holder that is stopped is an error in time (G13)", arguments: ["-n", "-w .1"])
    func stoppedHolder(option: String) throws {
        let script = try ToolProcess(
            shell: "prwlock hold -s jobs; echo up; read a; prwlock hold \(option) jobs; echo $?; read a",
            at: daemon)
        #expect(try script.nextLine() == "up")
        let holder = try #require(try daemon.processes(named: BackgroundHolder.processName).first)
        kill(holder, SIGSTOP)
        script.enter()
        #expect(try script.nextLine() == "75")
        kill(holder, SIGCONT)
        script.enter()
        #expect(try script.complaints().contains("is one of them stopped?"))
    }

    @Test("after a change, a loss ends the script, and the lease is renewed (G9, G13)")
    func upkeep() throws {
        let script = try ToolProcess(
            shell: "prwlock hold -s --lease 6s jobs; prwlock hold --print-token jobs; read a; exit 3",
            at: daemon)
        #expect(try script.nextLine() == "2")
        #expect(try session.ask("READ jobs wait=8s")?.hasPrefix("TIMEOUT") == true)
        #expect(try session.ask("REVOKE jobs token=2") == "REVOKED jobs token=2")
        #expect(try script.status() == -SIGTERM)
    }

    @Test("an owner of the same name that another program chose is not taken for the holder")
    func impostor() throws {
        let script = try ToolProcess(shell: "echo up; read a; prwlock hold -n jobs; echo $?", at: daemon)
        #expect(try script.nextLine() == "up")
        let owner = HoldOwner(process: script.processID).owner
        #expect(try session.ask("WRITE jobs owner=\(owner)") == "GRANTED jobs write token=1")
        script.enter()
        #expect(try script.nextLine() == "1")
        #expect(try script.complaints().contains("cannot be reached from here"))
    }

    @Test(
        "holds that run at the same time are all granted, and one release frees the lock",
        arguments: ["-s", "-x", "-w 20"])
    func parallel(options: String) throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WATCH jobs") == "OK")
        let script = try ToolProcess(
            shell: """
                for i in 1 2 3 4 5 6; do (prwlock hold --pid $$ \(options) jobs; echo $?) & done; wait
                prwlock release jobs; echo $?; prwlock release jobs; echo $?
                """, at: daemon)
        for _ in 1...6 { while try session.nextLine()?.hasPrefix("! CHANGED jobs waiting") != true {} }
        try session.send("RELEASE jobs")
        #expect(try script.rest() == String(repeating: "0\n", count: 7) + "1\n")
        #expect(try daemon.connect().ask("STATUS jobs") == "END 0")
    }

    @Test("a hold that cannot look for another one, as the daemon has no room, looks again and finds it")
    func laterLook() throws {
        let daemon = try DaemonProcess("--max-sessions", "3")
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try holder.ask("WATCH jobs") == "OK")
        let script = try ToolProcess(
            shell:
                "for i in 1 2; do (prwlock hold --pid $$ jobs; echo $?) & done; wait; prwlock release jobs",
            at: daemon)
        for _ in 1...2 { while try holder.nextLine()?.hasPrefix("! CHANGED jobs waiting") != true {} }
        // One of the two has looked at least twice.
        for _ in 0..<30_000 where daemon.log.matches(of: /a limit was hit: limit-sessions/).count < 3 {
            usleep(1_000)
        }
        holder.end()
        #expect(try script.rest() == "0\n0\n")
        #expect(try daemon.connect().ask("STATUS jobs") == "END 0")
    }

    @Test("a change that would wait for a shell above is refused (G4)")
    func ancestor() throws {
        let script = try ToolProcess(
            shell:
                "prwlock hold -s jobs; sh -c 'prwlock hold -s jobs; echo $?; prwlock hold jobs; echo $?; true'",
            at: daemon)
        #expect(try script.rest() == "0\n1\n")
        #expect(try script.complaints().contains("so this request would wait for itself"))
    }
}
