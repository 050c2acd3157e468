import CTestSupport
import Glibc
import Posix

/// A real `prwlockd` with its socket in a temporary directory; `deinit` kills it.
public final class DaemonProcess {
    public let directory: TemporaryDirectory
    public let socketPath: String
    public private(set) var processID: Int32
    private var arguments: [String]
    private var environment: [String: String]
    private let program: String
    private let sandbox: Sandbox?
    private var hasEnded = false
    /// The descriptor for its standard error; nil for the log.
    private var standardError: Int32?

    /// The program to test: `PRWLOCK_DAEMON`, or the one that was built with the tests.
    public static let executable: String = {
        if let chosen = getenv("PRWLOCK_DAEMON") { return String(cString: chosen) }
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes {
            $0.withMemoryRebound(to: CChar.self) { path in
                path.baseAddress.map { readlink("/proc/self/exe", $0, path.count) } ?? -1
            }
        }
        let own = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/prwlockd"
    }()

    /// Has all tests run with a keeper, if `PRWLOCK_TEST_KEEP` is set.
    private static let keep = getenv("PRWLOCK_TEST_KEEP") == nil ? [] : ["--keep"]

    /// The process that serves for a daemon with a keeper; nil while there is none.
    public var worker: Int32? {
        let path = "/proc/\(processID)/task/\(processID)/children"
        guard let text = try? FileContents.read(path, limit: 4_096) else { return nil }
        return String(decoding: text, as: UTF8.self).split(separator: " ").first.flatMap { Int32($0) }
    }

    /// Kills the process that serves. Returns its process id.
    @discardableResult
    public func killWorker(with signal: Int32 = 9) throws -> Int32 {
        for _ in 0..<30_000 {
            if let worker, Glibc.kill(worker, signal) == 0 { return worker }
            usleep(1_000)
        }
        throw Failure(description: "no worker serves: \(log)")
    }

    /// Starts a daemon, and returns once it accepts connections.
    ///
    /// - Parameters:
    ///   - arguments: options besides `--socket`, `--state-directory` and a grace of zero.
    ///   - sandbox: the system calls that the kernel refuses it; nil for none.
    ///   - waits: whether to wait until it accepts connections; false for a daemon that must not start.
    public convenience init(
        _ arguments: String..., environment: [String: String] = [:], in directory: TemporaryDirectory? = nil,
        sandbox: Sandbox? = nil, waits: Bool = true
    ) throws {
        try self.init(
            arguments: arguments, environment: environment, in: directory, sandbox: sandbox, waits: waits)
    }

    /// Starts a daemon with its arguments in an array, and with a program other than the one to test if one is given.
    public init(
        arguments: [String], environment: [String: String] = [:], in directory: TemporaryDirectory? = nil,
        sandbox: Sandbox? = nil, waits: Bool = true, standardError: Int32? = nil,
        program: String = executable
    ) throws {
        let directory = try directory ?? TemporaryDirectory()
        self.directory = directory
        socketPath = directory("s")
        self.arguments =
            ["--socket", socketPath, "--state-directory", directory("state"), "--grace", "0"] + Self.keep
            + arguments
        self.environment = environment
        self.program = program
        self.sandbox = sandbox
        self.standardError = standardError
        processID = 0
        processID = try spawn()
        if waits { try waitUntilReady() }
    }

    /// Runs the program with exactly these arguments, for the actions that do not serve.
    public init(onlyArguments arguments: [String]) throws {
        directory = try TemporaryDirectory()
        socketPath = directory("s")
        self.arguments = arguments
        environment = [:]
        program = Self.executable
        sandbox = nil
        processID = 0
        processID = try spawn()
    }

    deinit {
        if !hasEnded {
            Glibc.kill(processID, SIGCONT)
            kill()
        }
    }

    private func spawn() throws -> Int32 {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        let output = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer {
            close(null)
            close(output)
        }
        let program = ChildProcess(
            executable: program, arguments: ["prwlockd"] + arguments,
            environment: environment.map { "\($0.key)=\($0.value)" },
            descriptors: [null, output, standardError ?? output])
        guard let sandbox else { return try program.spawn() }
        if let user = sandbox.user { chown(directory.path, user, user) }
        return try sandbox.spawn(program)
    }

    private func waitUntilReady() throws {
        for _ in 0..<30_000 {
            if let session = try? connect(), try session.ask("PING") == "PONG" {
                // Wait for the end of this session: it must not count in a test of limits.
                try session.send("QUIT")
                _ = try session.linesToEnd()
                return
            }
            if let status = try exitStatus(waiting: false) {
                throw Failure(description: "prwlockd ended with \(status): \(log)")
            }
            usleep(1_000)
        }
        throw Failure(description: "prwlockd takes no connections: \(log)")
    }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String

        public init(description: String) { self.description = description }
    }

    /// Starts it again after its end, with other arguments if some are given.
    public func restart(_ more: String..., waits: Bool = true) throws {
        arguments += more
        processID = try spawn()
        hasEnded = false
        if waits { try waitUntilReady() }
    }

    /// Opens a session of this process.
    public func connect() throws -> RawSession { try RawSession(connectingTo: socketPath) }

    /// Sends a signal. After SIGSTOP it has stopped.
    public func signal(_ number: Int32) {
        if number == SIGSTOP { stopProcess(processID) } else { Glibc.kill(processID, number) }
    }

    /// Kills it, and waits for its end.
    public func kill() {
        Glibc.kill(processID, SIGKILL)
        _ = try? exitStatus()
    }

    /// Ends it with SIGTERM; returns its exit status.
    @discardableResult
    public func stop() throws -> Int32 {
        signal(SIGTERM)
        return try exitStatus() ?? -1
    }

    /// Waits for its end; returns its exit status, or minus the signal that ended it, or nil if it still runs.
    public func exitStatus(waiting: Bool = true) throws -> Int32? {
        if hasEnded { return -SIGKILL }
        if waiting { try waitForEnd(of: processID) }
        var status: Int32 = 0
        guard waitpid(processID, &status, WNOHANG) == processID else { return nil }
        hasEnded = true
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    /// The number of its open descriptors.
    public var descriptorCount: Int {
        guard let folder = opendir("/proc/\(processID)/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // `.` and `..`
        return count - 2
    }

    /// Limits the number of its descriptors; nil for the hard limit.
    public func limitDescriptors(to count: Int?) {
        support_limit_descriptors(processID, count.map(UInt64.init) ?? .max)
    }

    /// Limits the size of files that it writes; nil for no limit.
    public func limitFileSize(to bytes: Int?, of process: Int32? = nil) {
        support_limit_file_size(process ?? processID, bytes.map(UInt64.init) ?? .max)
    }

    /// Blocks until its log contains these words.
    public func waitForLog(_ words: String) throws {
        for _ in 0..<30_000 {
            if log.contains(words) { return }
            usleep(1_000)
        }
        throw Failure(description: "prwlockd did not say `\(words)`: \(log)")
    }

    public var logPath: String { directory("log") }

    /// Its log.
    public var log: String {
        (try? FileContents.read(logPath)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}

/// Blocks until a process has ended, for at most half a minute.
func waitForEnd(of process: Int32) throws {
    let watch = try ProcessWatch(process: process)
    var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
    while poll(&request, 1, 30_000) != 1 {
        guard errno == EINTR else {
            throw RawSession.TimedOut(description: "process \(process) does not end")
        }
    }
}

/// Stops a process, and returns once it has stopped: the signal alone lets it go on for a moment.
public func stopProcess(_ process: Int32) {
    Glibc.kill(process, SIGSTOP)
    while !ProcessFacts.isStopped(process), Glibc.kill(process, 0) == 0 {
        usleep(200)
    }
}
