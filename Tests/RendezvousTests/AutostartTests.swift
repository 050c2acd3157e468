import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

/// Daemons that clients start, and that leave by themselves: real processes, all at once.
@Suite(.serialized, .timeLimit(.minutes(2))) struct AutostartTests {
    private let home = try? UserHome()

    @Test("a hundred processes at once with no daemon: one daemon, all served")
    func hundredAtOnce() throws {
        let home = try #require(home)
        let tokens = try home.runTogether(count: 100)
        #expect(Set(tokens).count == 100)
        #expect(home.daemons().count == 1)
        // Nothing of the one that started it stays with it.
        let daemon = try #require(home.daemons().first)
        #expect(try home.link("cwd", of: daemon) == "/")
        #expect(getsid(daemon) != getsid(0))
        #expect(try home.parent(of: daemon) != getpid())
        let variables = try home.environment(of: daemon)
        #expect(
            variables.allSatisfy { $0.hasPrefix("PRWLOCK_") || $0.hasPrefix("XDG_") || $0.hasPrefix("HOME=") }
        )
    }

    @Test("an idle daemon that leaves turns nobody away")
    func arrivalsWhileLeaving() throws {
        let home = try #require(home)
        // It leaves after a moment, and clients come at every moment.
        try home.setIdleTime("5ms")
        var tokens: [UInt64] = []
        for round in 0..<40 {
            tokens += try home.runTogether(count: 3)
            usleep(UInt32(round % 10) * 1000)
        }
        #expect(tokens.count == 120)
        #expect(Set(tokens).count == 120)
        #expect(home.daemons().count <= 1)
    }

    @Test("a daemon that was killed is replaced by the next client")
    func killed() throws {
        let home = try #require(home)
        let before = try home.runTogether(count: 1)
        let first = try #require(home.daemons().first)
        kill(first, SIGKILL)
        try home.waitForEnd(of: first)
        let after = try home.runTogether(count: 10)
        #expect(home.daemons().count == 1)
        #expect(home.daemons().first != first)
        #expect(after.allSatisfy { $0 > before[0] }, "tokens rise over crashes (G7)")
    }

    @Test("who comes while a daemon drains waits for the next one, and starts none beside it (G1)")
    func arrivalWhileDraining() throws {
        let home = try #require(home)
        _ = try home.runTogether(count: 1)
        let first = try #require(home.daemons().first)
        let holder = try RawSession(connectingTo: home.socketPath)
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=2")
        kill(first, SIGTERM)
        #expect(try holder.nextLine() == "! DRAIN")

        let late = try home.startTogether(count: 3)
        for _ in 0..<20 {
            #expect(home.daemons() == [first])
            usleep(5_000)
        }
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=2")
        let tokens = try home.finish(late)
        #expect(tokens.count == 3)
        #expect(tokens.allSatisfy { $0 > 2 })
        #expect(home.daemons().count == 1)
        #expect(home.daemons() != [first])
    }

    @Test("a daemon that ends at once is an error that says where it has said why")
    func endsAtOnce() throws {
        let home = try #require(home)
        try home.setDaemon("#!/bin/sh\necho no luck today\nexit 3\n")
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: home.surroundings).connect()
            Issue.record("there is no daemon")
        } catch {
            #expect("\(error)".contains(home.logPath))
            let output = try FileContents.read(home.logPath)
            #expect(String(decoding: output, as: UTF8.self).contains("no luck today"))
        }
    }

    @Test(
        "a client whose hard limits are too low for a daemon says which, starts none, and uses one that is there",
        arguments: [
            ("ulimit -t 60", "CPU time, 60 s (`ulimit -H -t`)"),
            ("ulimit -n 255", "open descriptors, 255 (`ulimit -H -n`), where it needs 256"),
            ("ulimit -v 500000", "address space, 500000 KiB"),
            ("ulimit -d 200000", "data memory, 200000 KiB"),
            ("ulimit -s 200", "stack, 200 KiB"), ("ulimit -f 1000", "file size, "),
        ])
    func limited(limit: String, words: String) throws {
        let home = try #require(home)
        let refusal = try home.run(after: limit)
        #expect(refusal.contains("inherit its hard limit of \(words)"), "\(refusal)")
        #expect(refusal.hasPrefix("error: "))
        #expect(home.daemons().isEmpty)
        _ = try home.runTogether(count: 1)
        #expect(try home.run(after: limit).hasPrefix("token "))
    }

    @Test("soft limits of a client, and hard ones that are high enough, are no reason to start no daemon")
    func softLimits() throws {
        let home = try #require(home)
        let output = try home.run(after: "ulimit -S -t 60; ulimit -S -n 100; ulimit -n 256; ulimit -S -s 200")
        #expect(output.hasPrefix("token "), "\(output)")
        let daemon = try #require(home.daemons().first)
        let limits = try FileContents.read("/proc/\(daemon)/limits")
        let lines = String(decoding: limits, as: UTF8.self).split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("Max cpu time              unlimited") })
        #expect(lines.contains { $0.hasPrefix("Max open files            256 ") })
    }

    @Test("a program that cannot be executed says so in the same place")
    func notExecutable() throws {
        let home = try #require(home)
        try home.setDaemon("#!/nowhere/at/all\n")
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: home.surroundings).connect()
            Issue.record("there is no daemon")
        } catch {
            let output = try FileContents.read(home.logPath)
            #expect(String(decoding: output, as: UTF8.self).contains("No such file"))
        }
    }
}

/// A user's system of its own, with a daemon to start, and clients.
private final class UserHome {
    private let directory: TemporaryDirectory
    let surroundings: Surroundings
    var path: String { directory.path }
    var socketPath: String { SocketLocation.writableUserOwn(in: surroundings).path }
    var logPath: String { socketPath.replacing("prwlock.sock", with: "prwlockd.log") }

    /// What every process of this user has in its environment.
    private var environment: [String] { surroundings.environment.map { "\($0.key)=\($0.value)" } }

    init() throws {
        directory = try TemporaryDirectory()
        surroundings = try directory.surroundings([
            "HOME": directory.path, "PRWLOCK_DAEMON": directory("daemon"),
        ])
        symlink(DaemonProcess.executable, directory("daemon"))
    }

    deinit { for daemon in daemons() { kill(daemon, SIGKILL) } }

    /// Has clients start this as the daemon.
    func setDaemon(_ script: String) throws {
        unlink(directory("daemon"))
        let file = open(directory("daemon"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o700)
        try FileContents.write(Array(script.utf8), to: OwnedDescriptor(owning: file))
    }

    /// Has daemons that are started leave after another time without a session.
    func setIdleTime(_ time: String) throws {
        try setDaemon("#!/bin/sh\nexec '\(DaemonProcess.executable)' \"$@\" --exit-when-idle=\(time)\n")
    }

    /// Runs a client in a shell that does something first; what the client says.
    func run(after script: String) throws -> String {
        let client = DaemonProcess.executable.replacing("prwlockd", with: "test-client")
        let output = OwnedDescriptor(
            owning: open(directory("said"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
        let null = OwnedDescriptor(owning: open("/dev/null", O_RDWR | O_CLOEXEC))
        let process = try ChildProcess(
            executable: "/bin/bash",
            arguments: ["bash", "--norc", "-c", "\(script); exec \"$@\"", "bash", client, "turn", "jobs"],
            environment: environment, descriptors: [null.rawValue, output.rawValue, output.rawValue]
        ).spawn()
        waitpid(process, nil, 0)
        return String(decoding: try FileContents.read(directory("said")), as: UTF8.self)
    }

    /// Runs clients that are let go at one moment, each of which takes the lock for a turn; the tokens that they got.
    func runTogether(count: Int) throws -> [UInt64] { try finish(try startTogether(count: count)) }

    /// Starts clients that are let go at one moment.
    func startTogether(count: Int) throws -> [Int32] {
        let client = DaemonProcess.executable.replacing("prwlockd", with: "test-client")
        unlink(directory("output"))
        let output = OwnedDescriptor(
            owning: open(directory("output"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600))
        // They wait for its other end to be closed.
        let gate = try UnixSocket.pair()
        let (gateRead, outputWrite) = (gate.first.rawValue, output.rawValue)
        return try (0..<count).map { _ in
            try ChildProcess(
                executable: client, arguments: ["test-client", "turn", "jobs"], environment: environment,
                descriptors: [gateRead, outputWrite, outputWrite]
            ).spawn()
        }
    }

    /// Waits for clients, and returns the tokens that they got.
    func finish(_ clients: [Int32]) throws -> [UInt64] {
        for client in clients {
            var status: Int32 = 0
            waitpid(client, &status, 0)
        }
        let lines = String(decoding: try FileContents.read(directory("output")), as: UTF8.self).split(
            separator: "\n")
        for line in lines where !line.hasPrefix("token ") { Issue.record("a client said: \(line)") }
        return lines.compactMap { $0.hasPrefix("token ") ? UInt64($0.dropFirst(6)) : nil }
    }

    /// The daemons that run for this user.
    func daemons() -> [Int32] {
        guard let processes = opendir("/proc") else { return [] }
        defer { closedir(processes) }
        var found: [Int32] = []
        while let entry = readdir(processes) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let process = Int32(name),
                (try? environment(of: process))?.contains("HOME=\(path)") ?? false,
                (try? link("exe", of: process))?.hasSuffix("/prwlockd") ?? false
            else { continue }
            found.append(process)
        }
        return found
    }

    func environment(of process: Int32) throws -> [String] {
        let bytes = try FileContents.read("/proc/\(process)/environ")
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    func link(_ name: String, of process: Int32) throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard readlink("/proc/\(process)/\(name)", &buffer, buffer.count - 1) >= 0 else {
            throw SystemError.last("readlink")
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func parent(of process: Int32) throws -> Int32 {
        let status = String(decoding: try FileContents.read("/proc/\(process)/status"), as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix("PPid:") }
        return line.flatMap { $0.split(separator: "\t").last }.flatMap { Int32($0) } ?? -1
    }

    func waitForEnd(of process: Int32) throws {
        guard let watch = try? ProcessWatch(process: process) else { return }
        var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
        poll(&request, 1, 10_000)
    }
}
