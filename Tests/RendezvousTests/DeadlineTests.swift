import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

/// A connector's deadline while a program hangs, a lock file is held, or a daemon is stopped.
@Suite(.serialized, .timeLimit(.minutes(1))) struct DeadlineTests {
    private let directory: TemporaryDirectory
    private let surroundings: Surroundings

    /// A time in nanoseconds that is far longer than a call with a deadline, and shorter than one without.
    private static let bound: Int64 = 8_000_000_000

    init() throws {
        directory = try TemporaryDirectory()
        try directory.make("tmp")
        try directory.make("run")
        surroundings = Surroundings(
            environment: [
                "HOME": directory("home"), "PRWLOCK_TEST_ROOT": directory.path,
                "PRWLOCK_DAEMON": directory("daemon"),
            ], userID: geteuid())
    }

    /// Makes clients start a program that records its process id and hangs.
    private func setHangingDaemon() throws {
        let file = open(directory("daemon"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o700)
        let script = "#!/bin/sh\necho $$ > '\(directory("pid"))'\nexec sleep 1000\n"
        try FileContents.write(Array(script.utf8), to: OwnedDescriptor(owning: file))
    }

    /// Kills the program that hangs.
    private func endHangingDaemon() throws {
        for _ in 0..<30_000 where ((try? FileContents.read(directory("pid"))) ?? []).isEmpty { usleep(1_000) }
        let text = String(decoding: try FileContents.read(directory("pid")), as: UTF8.self)
        if let process = Int32(text.dropLast()) { kill(process, SIGKILL) }
    }

    /// The error of a connector with a short deadline.
    private func refusal(within time: Duration? = .milliseconds(100)) -> RendezvousError? {
        let start = BootClock.now()
        defer { #expect(BootClock.now() - start < Self.bound) }
        do throws(RendezvousError) {
            let deadline = time.map(Deadline.init(after:)) ?? .never
            _ = try DaemonConnector(in: surroundings).connect(by: deadline)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "neither the client that started a hanging program nor the next one waits for it beyond the deadline")
    func hangingProgram() throws {
        try setHangingDaemon()
        guard case .slowStart(_, let output)? = refusal() else {
            Issue.record("it hangs")
            return
        }
        #expect(output.hasSuffix("/prwlockd.log"))
        if case .noAnswer? = refusal() {} else { Issue.record("it hangs still") }
        try endHangingDaemon()
    }

    @Test("both clients end in time if the program that they started hangs")
    func hangingProgramUnderClients() throws {
        try setHangingDaemon()
        let client = DaemonProcess.executable.replacing("prwlockd", with: "test-client")
        let output = OwnedDescriptor(owning: open(directory("output"), O_RDWR | O_CREAT | O_CLOEXEC, 0o600))
        let process = try ChildProcess(
            executable: client, arguments: ["test-client", "timed", "jobs"],
            environment: surroundings.environment.map { "\($0.key)=\($0.value)" },
            descriptors: [output.rawValue, output.rawValue, output.rawValue]
        ).spawn()
        let status = ChildProcess.status(of: process, by: Deadline(after: .seconds(16)))
        #expect(status == 0)
        let lines = String(decoding: try FileContents.read(directory("output")), as: UTF8.self)
        #expect(lines == "blocking: in time\nasync: in time\n")
        try endHangingDaemon()
    }

    @Test("the wait for a lock file that another process holds ends at the deadline")
    func lockFileHeld() throws {
        let location = SocketLocation.writableUserOwn(in: surroundings)
        try location.makeFolder(in: surroundings)
        let lock = try StartLock.tryAcquire(for: location.path)
        if case .startLockHeld? = refusal() {} else { Issue.record("the lock file is held") }
        _ = consume lock
    }

    @Test("a stopped daemon is detected and named, even without a deadline")
    func stopped() throws {
        symlink(DaemonProcess.executable, directory("daemon"))
        let connection = try DaemonConnector(in: surroundings).connect()
        // The kernel must name the process that serves, not the client that bound the socket.
        let daemon = try PeerCredentials(of: try DaemonConnector(in: surroundings).connect()).processID
        #expect(daemon != getpid())
        kill(daemon, SIGSTOP)
        for time in [Duration.milliseconds(100), nil] {
            guard case .noAnswer(let silent)? = refusal(within: time) else {
                Issue.record("it is stopped")
                continue
            }
            #expect(silent.processID == daemon)
            #expect(silent.isStopped)
        }
        kill(daemon, SIGKILL)
        kill(daemon, SIGCONT)
        _ = consume connection
    }
}
