import Glibc
import Posix
import TestSupport
import Testing

/// The end of a daemon.
@Suite struct EndTests {
    @Test(
        "TERM drains the sessions, and ends the daemon at once if no session holds or waits",
        arguments: [SIGTERM, SIGINT])
    func idleEnd(signal: Int32) throws {
        let daemon = try DaemonProcess("--drain", "1h")
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        daemon.signal(signal)
        #expect(try session.linesToEnd() == ["! DRAIN"])
        #expect(try daemon.exitStatus() == 0)
        #expect(throws: SystemError.self) { try FileStatus(at: daemon.socketPath) }
    }

    @Test("after TERM holders and waiters go on, and no client comes in")
    func drain() throws {
        let daemon = try DaemonProcess("--drain", "1h")
        let holder = try daemon.connect()
        let waiter = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        try waiter.send("WRITE jobs", "PING")
        #expect(try waiter.nextLine() == "PONG")
        daemon.signal(SIGTERM)
        #expect(try holder.nextLine() == "! DRAIN")
        #expect(try waiter.nextLine() == "! DRAIN")
        let late = try daemon.connect()
        try late.send("PING")
        #expect(try holder.ask("READ other")?.hasPrefix("ERROR draining") == true)
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try waiter.nextLine() == "GRANTED jobs write token=2")
        #expect(!late.hasSomething)
        #expect(try waiter.ask("RELEASE jobs") == "RELEASED jobs token=2")
        #expect(try daemon.exitStatus() == 0)
        #expect(try late.nextLine() == nil)
    }

    @Test(
        "a drain ends when its time is over even if a lock is held, and the next daemon grants nothing for a while (G1)"
    )
    func drainTimeout() throws {
        let daemon = try DaemonProcess("--drain", "50ms")
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        daemon.signal(SIGTERM)
        #expect(try holder.linesToEnd() == ["! DRAIN"])
        #expect(try daemon.exitStatus() == 0)
        try daemon.restart("--grace", "1h")
        #expect(try daemon.connect().ask("WRITE jobs wait=0") == "BUSY jobs write held-by=?")
    }

    @Test("an idle daemon that was told so leaves, and takes socket and lock file with it")
    func idleExit() throws {
        let daemon = try DaemonProcess("--exit-when-idle=20ms", waits: false)
        #expect(try daemon.exitStatus() == 0)
        #expect(throws: SystemError.self) { try FileStatus(at: daemon.socketPath) }
        #expect(throws: SystemError.self) { try FileStatus(at: daemon.socketPath + ".lock") }
    }

    @Test("an idle daemon does not leave while a client connects, and serves it")
    func idleExitMeets() throws {
        // One may leave before its first client comes.
        let directory = try TemporaryDirectory()
        var started: DaemonProcess?
        for _ in 0..<50 where started == nil {
            do {
                started = try DaemonProcess("--exit-when-idle=1ms", in: directory)
            } catch let failure as DaemonProcess.Failure {
                #expect(failure.description.hasPrefix("prwlockd ended with 0:"), "\(failure)")
            } catch is SystemError {}
        }
        let daemon = try #require(started)
        for _ in 0..<200 {
            guard let session = try? daemon.connect() else { break }
            // A client gets an answer or, if it came too late, the end of its connection.
            let answer = try? session.ask("PING")
            #expect(answer == "PONG" || answer == nil)
            session.close()
            if try daemon.exitStatus(waiting: false) != nil { break }
        }
        #expect(try daemon.exitStatus() == 0)
    }

    @Test("a new client is let in, and a signal heeded, while sessions send without a pause")
    func traffic() throws {
        let daemon = try DaemonProcess("--drain", "1h")
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let traffic = try Traffic(on: daemon)
        let late = try daemon.connect()
        try late.send("PING")
        while !late.hasSomething { _ = try traffic.next() }
        #expect(try late.nextLine() == "PONG")
        daemon.signal(SIGTERM)
        while try traffic.next() != "! DRAIN" {}
        #expect(try holder.nextLine() == "! DRAIN")
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try daemon.exitStatus() == 0)
    }

    /// Two sessions that have always sent more than they have read: the daemon always has lines to read.
    private final class Traffic {
        private let sessions: [RawSession]
        private var count = 0
        private static let round = 500
        private static let lines = Array(String(repeating: "PING\n", count: round).utf8)

        init(on daemon: DaemonProcess) throws {
            sessions = try [daemon.connect(), daemon.connect()]
            for session in sessions { try session.send(bytes: Self.lines) }
        }

        /// The next line that one of the sessions reads.
        func next() throws -> String? {
            let session = sessions[count / Self.round % sessions.count]
            if count % Self.round == 0 { try session.send(bytes: Self.lines) }
            count += 1
            return try session.nextLine()
        }
    }
}
