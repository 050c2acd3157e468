import Glibc
import Posix
import TestSupport
import Testing

/// The settings that a daemon inherits from the process that starts it.
@Suite struct InheritanceTests {
    /// Settings that a client may have, each by a command of the shell or a program.
    private static let burden =
        "trap '' TERM INT HUP USR1 PIPE; umask 0; ulimit -S -t 100; ulimit -S -n 300; ulimit -S -v 4000000; "
        + "ulimit -S -f 4000; exec 77</dev/null; mkdir gone; cd gone; rmdir ../gone; "
    private static let priorities = "exec nice -n 5 chrt --idle 0 taskset --cpu-list 0 choom --adjust 500 -- "

    @Test(
        "a daemon that a client starts keeps no limit, priority, signal, folder or descriptor of that client")
    func client() throws {
        let daemon = try ShellDaemon(Self.burden + Self.priorities)
        let process = daemon.processID
        for limit in ["Max cpu time", "Max open files", "Max address space", "Max file size"] {
            let values = try ProcFile(process, "limits").values(of: limit)
            #expect(values.count >= 2 && values[0] == values[1], "\(limit): \(values)")
        }
        let status = try ProcFile(process, "status")
        // The C library uses two signals itself and does not let programs change them.
        let ignored = status["SigIgn"].flatMap { UInt64($0, radix: 16) }.map { $0 & ~Self.bits([32, 33]) }
        #expect(ignored == Self.bits([SIGPIPE, SIGXFSZ]))
        #expect(status["Umask"] == "0077")
        #expect(try ProcFile.link(process, "cwd") == "/")
        #expect(throws: SystemError.self) { try ProcFile.link(process, "fd/77") }
        let own = try ProcFile(getpid(), "status")
        #expect(status["Cpus_allowed_list"] == own["Cpus_allowed_list"])
        if geteuid() == 0 {
            let stat = try ProcFile(process, "stat").fieldsBehindName
            #expect(stat[16] == "0", "nice")
            #expect(stat[38] == "0", "policy")
            #expect(try ProcFile(process, "oom_score_adj").text == "0\n")
        } else {
            try daemon.waitForLog("keeps nice 5, its scheduling policy")
        }
        // A signal that its starter ignored ends the daemon.
        kill(process, SIGTERM)
        #expect(try daemon.exitStatus() == 0)
    }

    @Test("a daemon that a service manager starts keeps what its unit says")
    func serviceManager() throws {
        let daemon = try ShellDaemon(Self.burden + "export NOTIFY_SOCKET=/nowhere; " + Self.priorities)
        let process = daemon.processID
        let limits = try ProcFile(process, "limits")
        #expect(limits.values(of: "Max cpu time").first == "100")
        let stat = try ProcFile(process, "stat").fieldsBehindName
        #expect(stat[16] == "5", "nice")
        #expect(try ProcFile(process, "oom_score_adj").text == "500\n")
        #expect(try ProcFile(process, "status")["Cpus_allowed_list"] == "0")
        #expect(try ProcFile(process, "status")["Umask"] == "0077")
        kill(process, SIGTERM)
        #expect(try daemon.exitStatus() == 0)
    }

    @Test(
        "a daemon that a person starts keeps the priority that the person chose, and no descriptor or folder")
    func person() throws {
        let daemon = try ShellDaemon(Self.burden + "exec nice -n 5 ", arguments: ["--listen-fd", "3"])
        let process = daemon.processID
        #expect(try ProcFile(process, "stat").fieldsBehindName[16] == "5")
        #expect(try ProcFile.link(process, "cwd") == "/")
        #expect(throws: SystemError.self) { try ProcFile.link(process, "fd/77") }
    }

    @Test("descriptors 0, 1 and 2 that are closed are /dev/null, and no file or socket of the daemon's")
    func closedStandardDescriptors() throws {
        let daemon = try ShellDaemon("exec 0<&- 1>&- 2>&-; exec ")
        for number in 0...2 {
            #expect(try ProcFile.link(daemon.processID, "fd/\(number)") == "/dev/null")
        }
    }

    @Test("where the kernel refuses to close descriptors in one call, they are closed one by one")
    func closeRangeRefused() throws {
        let daemon = try ShellDaemon(
            "exec 77</dev/null 250</dev/null; exec ", sandbox: Sandbox(.closeRange, error: ENOSYS))
        for number in [77, 250] {
            #expect(throws: SystemError.self) { try ProcFile.link(daemon.processID, "fd/\(number)") }
        }
    }

    private static func bits(_ signals: [Int32]) -> UInt64 {
        signals.reduce(0) { $0 | 1 << UInt64($1 - 1) }
    }
}

/// A daemon that a shell starts as a client does: on a listener that exists already.
private final class ShellDaemon {
    private let directory: TemporaryDirectory
    let processID: Int32
    private var hasEnded = false

    /// - Parameter script: the commands of the shell, before the program and its arguments.
    init(
        _ script: String, arguments: [String] = ["--listen-fd", "3", "--exit-when-idle"],
        sandbox: Sandbox? = nil
    ) throws {
        directory = try TemporaryDirectory()
        let path = directory("s")
        let listener = try UnixSocket.listen(at: path, mode: 0o600)
        let null = OwnedDescriptor(owning: open("/dev/null", O_RDWR | O_CLOEXEC))
        let log = OwnedDescriptor(
            owning: open(directory("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600))
        let command = script + "\"$@\""
        var program = ChildProcess(
            executable: "/bin/bash",
            arguments: ["bash", "--norc", "-c", command, "bash", DaemonProcess.executable, "--grace", "0"]
                + ["--state-directory", directory("state")] + arguments,
            environment: ["PATH=/usr/bin:/bin"],
            descriptors: [null.rawValue, log.rawValue, log.rawValue, listener.rawValue],
            directory: directory.path)
        if let sandbox {
            // The sandbox passes three descriptors, and the shell makes the first of them the fourth.
            program.descriptors = [listener.rawValue, log.rawValue, log.rawValue]
            program.arguments[3] = "exec 3<&0 0</dev/null; " + command
            processID = try sandbox.spawn(program)
        } else {
            processID = try program.spawn()
        }
        _ = consume listener
        let session = try RawSession(connectingTo: path)
        try session.send("PING")
        // At idle priority, on one processor that others keep busy, a start may take minutes.
        session.wait(seconds: 300)
        guard try session.nextLine() == "PONG" else {
            throw RawSession.TimedOut(description: "no PONG")
        }
    }

    deinit {
        guard !hasEnded else { return }
        kill(processID, SIGKILL)
        waitpid(processID, nil, 0)
    }

    func exitStatus() throws -> Int32 {
        var status: Int32 = 0
        waitpid(processID, &status, 0)
        hasEnded = true
        return status
    }

    func waitForLog(_ words: String) throws {
        for _ in 0..<30_000 {
            let log = (try? FileContents.read(directory("log"))).map { String(decoding: $0, as: UTF8.self) }
            if log?.contains(words) ?? false { return }
            usleep(1_000)
        }
        throw RawSession.TimedOut(description: "it did not say `\(words)`")
    }
}

/// A file of `/proc/PID`.
private struct ProcFile {
    let text: String

    init(_ process: Int32, _ name: String) throws {
        text = String(decoding: try FileContents.read("/proc/\(process)/\(name)"), as: UTF8.self)
    }

    /// The value in a line of `Name: value`.
    subscript(name: String) -> String? {
        text.split(separator: "\n").first { $0.hasPrefix(name + ":") }?
            .split(separator: "\t").last.map(String.init)
    }

    /// The soft and the hard limit.
    func values(of limit: String) -> [String] {
        let line = text.split(separator: "\n").first { $0.hasPrefix(limit) }
        return line?.dropFirst(limit.count).split(separator: " ").map(String.init) ?? []
    }

    /// The fields of `stat` behind the program's name: the first is number 3 of proc(5).
    var fieldsBehindName: [String] {
        text.split(separator: ")").last?.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
            ?? []
    }

    static func link(_ process: Int32, _ name: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/\(process)/\(name)", &buffer, buffer.count)
        guard count >= 0 else { throw SystemError.last("readlink", name) }
        return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
