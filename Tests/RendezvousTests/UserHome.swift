import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

/// A separate system for one user, with a daemon to start and clients.
final class UserHome {
    let directory: TemporaryDirectory
    let surroundings: Surroundings
    var path: String { directory.path }
    var socketPath: String { SocketLocation.writableUserOwn(in: surroundings).path }
    var logPath: String { socketPath.replacing("prwlock.sock", with: "prwlockd.log") }

    /// The environment of each process of this user.
    private var environment: [String] { surroundings.environment.map { "\($0.key)=\($0.value)" } }

    init() throws {
        directory = try TemporaryDirectory()
        surroundings = try directory.surroundings([
            "HOME": directory.path, "PRWLOCK_DAEMON": directory("daemon"),
            // This variable identifies the daemons of this test.
            "PRWLOCK_TEST_HOME": directory.path,
        ])
        symlink(DaemonProcess.executable, directory("daemon"))
    }

    deinit { for daemon in daemons() { kill(daemon, SIGKILL) } }

    /// Sets the program that clients start as the daemon.
    func setDaemon(_ script: String) throws {
        unlink(directory("daemon"))
        let file = open(directory("daemon"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o700)
        try FileContents.write(Array(script.utf8), to: OwnedDescriptor(owning: file))
    }

    /// Sets how long started daemons stay without a session.
    func setIdleTime(_ time: String) throws {
        try setDaemon("#!/bin/sh\nexec '\(DaemonProcess.executable)' \"$@\" --exit-when-idle=\(time)\n")
    }

    /// Runs a client in a shell after other commands; returns the client's output.
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

    /// Runs clients that start together and each take the lock once; returns their tokens.
    func runTogether(count: Int) throws -> [UInt64] { try finish(try startTogether(count: count)) }

    /// Starts clients that all wait for one signal.
    func startTogether(count: Int) throws -> [Int32] {
        let client = DaemonProcess.executable.replacing("prwlockd", with: "test-client")
        unlink(directory("output"))
        let output = OwnedDescriptor(
            owning: open(directory("output"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600))
        // The clients wait until the gate's other end is closed.
        let gate = try UnixSocket.pair()
        let (gateRead, outputWrite) = (gate.first.rawValue, output.rawValue)
        return try (0..<count).map { _ in
            try ChildProcess(
                executable: client, arguments: ["test-client", "turn", "jobs"], environment: environment,
                descriptors: [gateRead, outputWrite, outputWrite]
            ).spawn()
        }
    }

    /// Waits for clients; returns their tokens.
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

    /// The process ids of this user's daemons.
    func daemons() -> [Int32] {
        guard let processes = opendir("/proc") else { return [] }
        defer { closedir(processes) }
        var found: [Int32] = []
        while let entry = readdir(processes) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let process = Int32(name),
                (try? environment(of: process))?.contains("PRWLOCK_TEST_HOME=\(path)") ?? false,
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
