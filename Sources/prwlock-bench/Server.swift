import CBench
import Glibc

/// A program that can be started and measured: it serves lines on a Unix socket.
protocol Service {
    /// The name in the table.
    var name: String { get }
    /// The program and its arguments; `directory` is for the program's state.
    func command(socket: String, directory: String) -> [String]
    /// A request that the server always answers with one line, and the beginning of this answer.
    var greeting: (request: String, answer: String) { get }
    /// Adds two requests, to acquire and to release a lock, each answered by one line.
    func addPair(_ lock: String, lease: Bool, to script: Script) throws
    /// Adds a request that acquires a lock and keeps it.
    func addHold(_ lock: String, to script: Script) throws
}

/// The daemon under test.
struct LockDaemon: Service {
    let program: String
    /// More options than those that every daemon here gets.
    var more: [String] = []
    /// The limit of its address space, in MiB.
    var addressSpace: Int?
    let name = "prwlockd"
    let greeting = (request: "PING\n", answer: "PONG")

    func command(socket: String, directory: String) -> [String] {
        // `prlimit` becomes the daemon, and so keeps the process id.
        let limit = addressSpace.map { ["/usr/bin/prlimit", "--as=\($0 << 20)"] } ?? []
        return limit + [program, "--socket", socket, "--state-directory", directory] + more
    }

    func addPair(_ lock: String, lease: Bool, to script: Script) throws {
        try script.add("WRITE \(lock) wait=0\(lease ? " lease=30s" : "")\n", answered: "G")
        try script.add("RELEASE \(lock)\n", answered: "R")
    }

    func addHold(_ lock: String, to script: Script) throws {
        try script.add("WRITE \(lock) wait=0\n", answered: "G")
    }
}

/// The daemon's program: the one that was named, or `prwlockd` beside this program.
func daemonPath(_ named: String?) throws -> String {
    if let named { return named }
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard readlink("/proc/self/exe", &buffer, buffer.count - 1) > 0 else {
        throw Failure("/proc/self/exe", errno: errno)
    }
    let path =
        text(buffer).split(separator: "/", omittingEmptySubsequences: false).dropLast()
        .joined(separator: "/") + "/prwlockd"
    if access(path, X_OK) != 0 {
        throw Failure("no \(path): build it (swift build -c release), or name one with --daemon")
    }
    return path
}

/// A C program that sends back the daemon's own requests, as the baseline: a socket, epoll and a copy.
struct EchoServer: Service {
    static let argument = "--serve-echo"
    let name: String
    let greeting = (request: "PING\n", answer: "PING")
    private let backlog: Int

    init(_ name: String = "echo in C", backlog: Int = Int(SOMAXCONN)) {
        self.name = name
        self.backlog = backlog
    }

    func command(socket: String, directory: String) -> [String] {
        ["/proc/self/exe", Self.argument, socket, "\(backlog)"]
    }

    func addPair(_ lock: String, lease: Bool, to script: Script) throws {
        try script.add("WRITE \(lock) wait=0\(lease ? " lease=30s" : "")\n", answered: "W")
        try script.add("RELEASE \(lock)\n", answered: "R")
    }

    func addHold(_ lock: String, to script: Script) throws {
        try script.add("WRITE \(lock) wait=0\n", answered: "W")
    }
}

/// Redis in its use for locks: a key that is set if it is absent, with a time to live, and deleted.
struct Redis: Service {
    let program: String
    let name = "redis-server"
    let greeting = (request: "PING\r\n", answer: "+PONG")

    /// Returns nil if Redis is not installed.
    init?() {
        guard let program = installedProgram("redis-server") else { return nil }
        self.program = program
    }

    func command(socket: String, directory: String) -> [String] {
        [
            program, "--unixsocket", socket, "--port", "0", "--save", "", "--appendonly", "no",
            "--maxclients", "15000", "--dir", directory,
        ]
    }

    func addPair(_ lock: String, lease: Bool, to script: Script) throws {
        let expiry = lease ? ["PX", "30000"] : []
        try script.add(request(["SET", lock, "v", "NX"] + expiry), answered: "+")
        try script.add(request(["DEL", lock]), answered: ":")
    }

    func addHold(_ lock: String, to script: Script) throws {
        try script.add(request(["SET", lock, "v", "NX"]), answered: "+")
    }

    private func request(_ words: [String]) -> String {
        words.reduce(into: "*\(words.count)\r\n") { $0 += "$\($1.utf8.count)\r\n\($1)\r\n" }
    }
}

/// A running server, on a socket of its own. It ends with the benchmark.
final class Server {
    let service: any Service
    let socket: String
    let process: pid_t
    /// The time from before the start of the program until its first answer.
    let startUp: Duration

    var name: String { service.name }

    /// Starts the service and waits until it answers.
    init(_ service: any Service, in workplace: Workplace, named label: String) throws {
        self.service = service
        socket = workplace.file("\(label).sock")
        let directory = workplace.file("\(label).state")
        let log = workplace.file("\(label).log")
        mkdir(directory, 0o700)

        let command = service.command(socket: socket, directory: directory)
        let environment = ["PATH=/usr/bin:/bin", "HOME=\(directory)"]
        let begin = Duration.now()
        process = withCStrings(command) { arguments in
            withCStrings(environment) { bench_spawn(arguments[0], arguments, $0, log) }
        }
        if process < 0 { throw Failure("start \(command[0])", errno: -process) }
        do {
            startUp = try Self.awaitAnswer(of: service, at: socket, process, since: begin)
        } catch {
            let printed = contents(of: log)
            throw Failure("\(error)\(printed.isEmpty ? "" : "\n\(printed)")")
        }
    }

    deinit { end() }

    private var hasEnded = false

    /// Ends the server with TERM, and after five seconds with KILL.
    func end() {
        if hasEnded { return }
        hasEnded = true
        bench_end(process, Duration.seconds(5).nanoseconds)
        unlink(socket)
    }

    /// The memory in RAM, in bytes.
    var resident: Double { Double(bench_resident(process)) }

    /// The most memory in RAM so far, in bytes.
    var peakResident: Double { Double(bench_peak_resident(process)) }

    var processorTime: Duration { .nanoseconds(bench_processor_time(process)) }

    /// The number of switches to any of its threads.
    var switches: Int { Int(bench_switches(process)) }

    /// Tries to connect every 100 µs until it succeeds, and sends the greeting. Returns the time since `begin`.
    private static func awaitAnswer(
        of service: any Service, at socket: String, _ process: pid_t, since begin: Duration
    ) throws -> Duration {
        var descriptor = bench_connect(socket)
        while descriptor < 0 {
            if bench_has_ended(process) { throw Failure("\(service.name) ended at once") }
            if Duration.now() - begin > .seconds(10) {
                bench_end(process, 0)
                throw Failure("\(service.name): no socket after ten seconds")
            }
            usleep(100)
            descriptor = bench_connect(socket)
        }
        defer { close(descriptor) }
        try check(bench_send(descriptor, service.greeting.request), service.name)
        var line = [CChar](repeating: 0, count: 256)
        try check(bench_read_line(descriptor, &line, line.count), service.name)
        let took = Duration.now() - begin
        let answer = text(line)
        if !answer.hasPrefix(service.greeting.answer) {
            throw Failure("\(service.name) answered \"\(answer)\"")
        }
        return took
    }
}
