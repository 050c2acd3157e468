import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

/// A user has one lock space, even if files are removed or appear, or other processes see other files (G1).
@Suite(.serialized, .timeLimit(.minutes(2))) struct OneSpaceTests {
    private let home: UserHome

    init() throws { home = try UserHome() }

    private func connect(_ surroundings: Surroundings? = nil) throws -> RawSession {
        RawSession(try DaemonConnector(in: surroundings ?? home.surroundings).connect())
    }

    @Test(
        "if the folder is removed while a lock is held, the daemon makes it again, and no second writer is granted"
    )
    func removedFolder() throws {
        let holder = try connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        for _ in 0..<20 {
            home.removeOwnFolder()
            #expect(try connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY jobs write held-by=") == true)
        }
        #expect(home.daemons().count == 1)
        #expect(try FileStatus(at: home.socketPath).permissions == 0o600)
        #expect(try holder.ask("RELEASE jobs")?.hasPrefix("RELEASED jobs") == true)
    }

    @Test(
        "this also holds with another HOME, and with a home that cannot be written",
        arguments: ["other", "none"])
    func removedFolderWithAnotherHome(kind: String) throws {
        if kind == "none" { try home.spoilHome() }
        let holder = try connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        var other = home.surroundings
        other.environment["HOME"] = kind == "none" ? "/dev/null" : try home.directory.make("elsewhere")
        other.environment["XDG_STATE_HOME"] = try home.directory.make("state")
        home.removeOwnFolder()
        #expect(try connect(other).ask("WRITE jobs wait=0")?.hasPrefix("BUSY jobs write held-by=") == true)
        #expect(home.daemons().count == 1)
    }

    @Test("the daemon also makes a new socket if the old one was moved away, with its folder or without")
    func movedAway() throws {
        let holder = try connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        rename(home.socketPath, home.socketPath + ".old")
        #expect(try connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        rename(home.ownFolder, home.ownFolder + ".old")
        #expect(try connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
    }

    @Test(
        "a process that sees no guard, in another network, starts no second daemon even if the folder is gone",
        .enabled(if: geteuid() == 0, "only root may make a network namespace"))
    func anotherNetwork() throws {
        let holder = try connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        let daemon = try #require(home.daemons().first)
        // A stopped daemon cannot make the folder again.
        kill(daemon, SIGSTOP)
        home.removeOwnFolder()
        let said = try home.run(after: "set -- unshare --net \"$@\"")
        #expect(said.contains("ended before it answered"), "\(said)")
        kill(daemon, SIGCONT)
        #expect(try connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY jobs write held-by=") == true)
        // The refused daemon closes its socket, which its client sees, a moment before its process is gone.
        while home.daemons().count > 1 { sched_yield() }
        #expect(home.daemons() == [daemon])
    }

    @Test("a client in the backlog of a removed socket is served")
    func queueOfRemovedSocket() throws {
        let holder = try connect()
        let daemon = try #require(home.daemons().first)
        // The daemon is stopped: the connection must still be in the backlog when the daemon sees the removal.
        kill(daemon, SIGSTOP)
        let early = try RawSession(connectingTo: home.socketPath)
        try early.send("PING")
        home.removeOwnFolder()
        kill(daemon, SIGCONT)
        #expect(try early.nextLine() == "PONG")
        holder.close()
    }

    @Test(
        "when the system's daemon appears, the user's own serves old and new sessions, and leaves with the last"
    )
    func systemAppears() throws {
        let holder = try connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        let daemon = try #require(home.daemons().first)
        try home.directory.make("run/prwlock")
        // The same if the daemon's folder is removed meanwhile.
        for removes in [false, true, false] {
            if removes { home.removeOwnFolder() }
            let late = try connect()
            #expect(try late.ask("WRITE jobs wait=0")?.hasPrefix("BUSY jobs write held-by=") == true)
        }
        #expect(!holder.hasSomething, "no drain")
        #expect(try holder.ask("RELEASE jobs")?.hasPrefix("RELEASED jobs") == true)
        holder.close()
        try home.waitForEnd(of: daemon)
        #expect(home.daemons().isEmpty)
        #expect(refusal().contains("systemctl start prwlockd.socket"))
    }

    @Test("a daemon that starts where the system's folder exists ends without an answer")
    func startsTooLate() throws {
        try home.directory.make("run/prwlock")
        let listener = try home.listen()
        let waiting = try RawSession(connectingTo: home.socketPath)
        try waiting.send("PING")
        let daemon = try home.startDaemon(on: listener)
        close(listener)
        #expect(try waiting.nextLine() == nil)
        #expect(home.status(of: daemon) == 75)
    }

    @Test("a second daemon of one user ends, and names the first")
    func secondDaemon() throws {
        let holder = try connect()
        let first = try #require(home.daemons().first)
        // A client with another /tmp would do the same.
        kill(first, SIGSTOP)
        home.removeOwnFolder()
        let listener = try home.listen()
        let second = try home.startDaemon(on: listener)
        close(listener)
        #expect(home.status(of: second) == 75)
        kill(first, SIGCONT)
        let said = String(decoding: try FileContents.read(home.directory("said")), as: UTF8.self)
        #expect(said.contains("process \(first)"))
        #expect(try connect().ask("PING") == "PONG")
        holder.close()
    }

    @Test("a client that cannot reach its user's daemon reports its process and path, and starts none")
    func elsewhere() throws {
        guard case .taken(let occupation) = try PlaceGuard.take(in: home.surroundings) else {
            Issue.record("the name is free")
            return
        }
        let descriptor = occupation.rawValue
        let words = refusal()
        #expect(words.contains("process \(getpid())"))
        #expect(words.contains("PRWLOCK_SOCKET"))
        #expect(home.daemons().isEmpty)
        #expect(descriptor >= 0)
        _ = consume occupation
        #expect(try connect().ask("PING") == "PONG")
    }

    @Test("the guard answers with the path of the daemon's socket")
    func answer() throws {
        let session = try connect()
        guard case .held(let holder) = PlaceGuard.occupation(in: home.surroundings) else {
            Issue.record("a daemon runs")
            return
        }
        #expect(holder.path == home.socketPath)
        #expect(holder.processID == home.daemons().first)
        session.close()
    }

    @Test(
        "if another user has the guard's name, clients still get a daemon, which reports this",
        .enabled("needs root, to be another user") { geteuid() == 0 })
    func squatted() throws {
        let squatter = try home.squat()
        defer { kill(squatter, SIGKILL) }
        guard case .squatted(by: 65_534) = PlaceGuard.occupation(in: home.surroundings) else {
            Issue.record("no process has the name")
            return
        }
        let holder = try connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        #expect(try connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        #expect(try home.log().contains("user 65534 has its name"))
        // Only the lock of the state folder prevents a second daemon.
        home.removeOwnFolder()
        let listener = try? home.listen()
        if let listener {
            let second = try home.startDaemon(on: listener)
            close(listener)
            #expect(home.status(of: second) == 75)
        }
        #expect(try connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        holder.close()
    }

    @Test(
        "a listener bound under another path is served at the usual path, and its tokens do not fall (G7)")
    func boundByAnotherName() throws {
        let first = try home.runTogether(count: 1)
        home.endDaemons()
        let folder = open(home.ownFolder, O_RDONLY | O_DIRECTORY)
        defer { close(folder) }
        unlink(home.socketPath)
        let listener = try UnixSocket.listen(at: "/proc/self/fd/\(folder)/prwlock.sock", mode: 0o600)
        let daemon = try home.startDaemon(on: listener.rawValue)
        let second = try home.runTogether(count: 1)
        #expect(second[0] > first[0])
        kill(daemon, SIGKILL)
        #expect(home.status(of: daemon) == -SIGKILL)
    }

    @Test("a listener that no path leads to is refused with a message")
    func boundToNothing() throws {
        let listener = try UnixSocket.listen(at: home.directory("s"), mode: 0o600)
        unlink(home.directory("s"))
        let daemon = try home.startDaemon(on: listener.rawValue)
        #expect(home.status(of: daemon) == 64)
        let said = String(decoding: try FileContents.read(home.directory("said")), as: UTF8.self)
        #expect(said.contains("does not lead to the socket"))
    }

    @Test(
        "even without a writable home a clean end is remembered: the next client has the lock at once (G1)"
    )
    func cleanEndWithoutHome() throws {
        try home.spoilHome()
        var last: UInt64 = 0
        for _ in 0..<3 {
            let session = try connect()
            let reply = try #require(try session.ask("WRITE jobs wait=0"))
            #expect(reply.hasPrefix("GRANTED jobs write token="))
            let token = try #require(reply.split(separator: "=").last.flatMap { UInt64($0) })
            #expect(token > last)
            last = token
            #expect(try session.ask("STATS") != nil)
            #expect(try session.lines(through: "END").contains("* token-files 1"))
            #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
            session.close()
            home.endDaemons()
        }
        #expect(try home.log().contains("tokens are remembered beside the socket alone"))
    }

    @Test("after a crash without a home nothing is granted for the grace time (G1)")
    func crashWithoutHome() throws {
        try home.spoilHome()
        // Longer than the slowest start.
        try home.setDaemon("#!/bin/sh\nexec '\(DaemonProcess.executable)' \"$@\" --grace=1h\n")
        let session = try connect()
        #expect(try session.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
        for daemon in home.daemons() {
            kill(daemon, SIGKILL)
            try home.waitForEnd(of: daemon)
        }
        #expect(try connect().ask("WRITE jobs wait=0") == "BUSY jobs write held-by=?")
    }

    @Test("after a crash the tokens rise even if the socket's folder or the home's folder was removed (G7)")
    func tokensOutliveEither() throws {
        var last: UInt64 = 0
        for round in 0..<4 {
            let token = try #require(try home.runTogether(count: 1).first)
            #expect(token > last)
            last = token
            for daemon in home.daemons() {
                kill(daemon, SIGKILL)
                try home.waitForEnd(of: daemon)
            }
            if round % 2 == 0 { home.removeOwnFolder() } else { home.removeHomeState() }
        }
    }

    private func refusal() -> String {
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: home.surroundings).connect()
            return "connected"
        } catch {
            return error.description
        }
    }
}

extension UserHome {
    /// The socket's folder.
    var ownFolder: String { folder(of: socketPath) ?? "/" }

    func removeOwnFolder() { remove(ownFolder) }

    func removeHomeState() { remove(directory("home/.local")) }

    private func remove(_ path: String) {
        let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(nothing) }
        let command = try? ChildProcess(
            executable: "/bin/rm", arguments: ["rm", "-rf", path], environment: [],
            descriptors: [nothing, nothing, nothing]
        ).spawn()
        if let command { _ = status(of: command) }
    }

    /// Replaces the home with a file.
    func spoilHome() throws {
        remove(directory("home"))
        close(creat(directory("home"), 0o600))
    }

    /// The log of the daemons that clients started.
    func log() throws -> String { String(decoding: try FileContents.read(logPath), as: UTF8.self) }

    /// Ends the daemons with SIGTERM, and waits for their exit.
    func endDaemons() {
        for daemon in daemons() {
            kill(daemon, SIGTERM)
            try? waitForEnd(of: daemon)
        }
    }

    /// Makes a listener at the user's own place, as a client does.
    func listen() throws -> Int32 {
        try SocketLocation.writableUserOwn(in: surroundings).makeFolder(in: surroundings)
        return try StartLock.acquire(for: socketPath).listen().release()
    }

    /// Starts a daemon that serves the listener, with its log in the file `said`.
    func startDaemon(on listener: Int32) throws -> Int32 {
        let said = open(directory("said"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(said) }
        return try ChildProcess(
            executable: DaemonProcess.executable,
            arguments: ["prwlockd", "--listen-fd", "3", "--exit-when-idle"],
            environment: surroundings.environment.map { "\($0.key)=\($0.value)" },
            descriptors: [said, said, said, listener]
        ).spawn()
    }

    /// Waits for a child's end; returns its exit status, or the negated number of the signal that ended it.
    func status(of child: Int32) -> Int32 {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    /// Starts a process of an unprivileged user that takes the guard's name; returns its id once the name is taken.
    func squat() throws -> Int32 {
        let pair = try UnixSocket.pair()
        let script = """
            use Socket; $( = $) = 65534; $< = $> = 65534; socket(my $s, AF_UNIX, SOCK_STREAM, 0);
            bind($s, pack_sockaddr_un("\\0$ARGV[0]")) or die; listen($s, 10) or die; syswrite(STDOUT, "x"); sleep(1000);
            """
        let squatter = try ChildProcess(
            executable: "/usr/bin/perl",
            arguments: ["perl", "-e", script, "prwlock-\(surroundings.userID)\(surroundings.root)"],
            environment: [], descriptors: [pair.second.rawValue, pair.second.rawValue, 2]
        ).spawn()
        var byte: UInt8 = 0
        guard read(pair.first.rawValue, &byte, 1) == 1 else { throw SystemError.last("read") }
        return squatter
    }
}
