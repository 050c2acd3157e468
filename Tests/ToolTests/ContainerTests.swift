import Glibc
import Posix
import TestSupport
import Testing

/// Whether this user may create a namespace of process ids.
private let canIsolate: Bool = {
    guard
        let child = try? ChildProcess(
            executable: "/usr/bin/unshare", arguments: ["unshare", "-pf", "--mount-proc", "true"],
            environment: [], descriptors: [STDIN_FILENO, STDOUT_FILENO]
        ).spawn()
    else { return false }
    var status: Int32 = 0
    return waitpid(child, &status, 0) == child && status == 0
}()

/// `prwlock` in its own namespace of process ids, as in a container that shares the daemon's socket.
@Suite(.enabled("needs the right to make a namespace of process ids") { canIsolate })
struct ContainerTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
    }

    private func container(_ command: String...) throws -> ToolProcess {
        try ToolProcess(
            "/usr/bin/unshare", ["unshare", "-pf", "--kill-child", "--mount-proc"] + command,
            socket: daemon.socketPath)
    }

    /// The process that holds the lock, by the daemon's process id.
    private func holder() throws -> Int32 {
        let row = try session.ask("STATUS jobs") ?? ""
        _ = try session.lines(through: "END")
        let field = row.split(separator: " ").first { $0.hasPrefix("pid=") }
        return try #require(field.flatMap { Int32($0.dropFirst(4)) }, "\(row)")
    }

    @Test("as process 1 it reaps orphans, and ends with the exit status of the command")
    func processOne() throws {
        let script = """
            echo $PPID; (sleep 0.01 &); (sh -c 'exit 3' &)
            until [ "$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') [ZS] 1 ')" = 1 ]; do sleep 0.01; done
            echo alone; exit 5
            """
        let command = try container("prwlock", "run", "jobs", "sh", "-c", script)
        #expect(try command.nextLine() == "1")
        #expect(try command.nextLine() == "alone")
        #expect(try command.status() == 5)
        #expect(
            try container("prwlock", "run", "jobs", "sh", "-c", "kill -TERM $$").status() == 128 + SIGTERM)
    }

    @Test("as process 1 it forwards signals, and ends a command that lost its lock (G13)")
    func signals() throws {
        let script = "trap 'echo got; exit 4' TERM; echo up; while :; do sleep 0.05; done"
        for isLost in [false, true] {
            let command = try container("prwlock", "run", "jobs", "sh", "-c", script)
            #expect(try command.nextLine() == "up")
            if isLost {
                let row = try session.ask("STATUS jobs") ?? ""
                _ = try session.nextLine()
                let token = try #require(row.split(separator: " ").first { $0.hasPrefix("token=") })
                #expect(try session.ask("REVOKE jobs \(token)") == "REVOKED jobs \(token)")
            } else {
                kill(try #require(Ancestors.parent(of: try holder())), SIGTERM)
            }
            #expect(try command.nextLine() == "got")
            #expect(try command.status() == (isLost ? 79 : 4))
        }
    }

    @Test("processes 1 of two containers are different owners, and each releases its own hold")
    func holds() throws {
        let script = "prwlock hold -s jobs; echo $?; read a; prwlock release jobs; echo $?; read a; exit 0"
        let first = try container("sh", "-c", script)
        #expect(try first.nextLine() == "0")
        let second = try container("sh", "-c", script)
        #expect(try second.nextLine() == "0")
        let other = try ToolProcess(["release", "--pid", "1", "jobs"], at: daemon)
        #expect(try other.status() == 1)
        #expect(try session.ask("STATUS jobs")?.contains("owner=hold.1.") == true)
        #expect(try session.lines(through: "END 2").count == 2)
        let firstHolder = try holder()
        first.enter()
        #expect(try first.nextLine() == "0")
        #expect(try holder() != firstHolder)
        second.enter()
        #expect(try second.nextLine() == "0")
        #expect(try session.ask("STATUS jobs") == "END 0")
    }

    @Test("without /proc no program takes its command line for an empty one")
    func unreadableCommandLine() throws {
        for program in ["prwlock list", "\(DaemonProcess.executable) --version"] {
            let script = "mount -t tmpfs none /proc && exec \(program)"
            let shell = try ToolProcess(
                "/usr/bin/unshare", ["unshare", "-m", "sh", "-c", script], socket: daemon.socketPath)
            #expect(try shell.rest().isEmpty)
            #expect(try shell.complaints().contains("the command line cannot be read: mount /proc here"))
            #expect([64, 71].contains(try shell.status()))
        }
    }

    @Test("a process is described only if the daemon is in the same namespace of process ids")
    func facts() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        for command in ["status", "sessions"] {
            let arguments = command == "status" ? [command, "--json", "jobs"] : [command, "--json"]
            let here = try ToolProcess(arguments, at: daemon).rest()
            #expect(here.contains("\"pid\":\(getpid())") && !here.contains("\"command\":null"))
            let script = "prwlock \(arguments.joined(separator: " "))"
            let there = try container("sh", "-c", script + "; true").rest()
            #expect(there.contains("\"pid\":\(getpid())") && there.contains("\"command\":null"))
            #expect(!there.contains("\"command\":\""))
        }
    }

    @Test(
        "the daemon notices the death of a process in a foreign namespace, even if children keep its descriptors (G6)"
    )
    func unseenDeath() throws {
        // The daemon runs in its own namespace. This test and its child processes run outside that namespace.
        let path = daemon.directory("inner")
        let inner = try container(
            DaemonProcess.executable, "--socket", path, "--state-directory", daemon.directory("inner-state"),
            "--grace", "0")
        defer { inner.signal(SIGKILL) }
        var watcher: RawSession?
        while watcher == nil {
            watcher = try? RawSession(connectingTo: path)
            usleep(10_000)
        }
        let peer = try PeerProcess(connectingTo: path)
        #expect(try peer.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try watcher?.ask("STATUS jobs")?.hasPrefix("* holder pid=? ") == true)
        #expect(try watcher?.nextLine() == "END 1")
        let child = peer.forkChild()
        peer.kill()
        #expect(kill(child, 0) == 0)
        #expect(try watcher?.ask("WRITE jobs wait=20s")?.hasPrefix("GRANTED jobs write token=2") == true)
    }
}
