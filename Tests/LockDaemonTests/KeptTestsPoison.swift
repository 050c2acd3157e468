import Glibc
import Posix
import TestSupport
import Testing

/// A line that ends the process that carries it out, again and again (G14). `PlantedFaults` has what the tests plant.
@Suite struct KeptTestsPoison {
    private static let faults = "line=poison hang=stuck lease=late"

    private func start(_ arguments: String..., environment: [String: String] = [:]) throws -> DaemonProcess {
        try DaemonProcess(
            arguments: ["--keep"] + arguments,
            environment: environment.merging(["PRWLOCK_TEST_CRASH": Self.faults]) { $1 })
    }

    /// Ten sessions that hold a lock each, and ten that wait for these.
    private struct Others {
        let holders: [RawSession]
        let waiters: [RawSession]

        init(of daemon: DaemonProcess) throws {
            holders = try (0..<10).map { number in
                let session = try daemon.connect()
                #expect(try session.ask("WRITE held/\(number)")?.hasPrefix("GRANTED") == true)
                return session
            }
            waiters = try (0..<10).map { number in
                let session = try daemon.connect()
                try session.send("#w WRITE held/\(number) wait=1h", "PING")
                #expect(try session.nextLine() == "PONG")
                return session
            }
        }

        /// Expects that all hold and wait as they did.
        func expectAll() throws {
            for (number, holder) in holders.enumerated() {
                #expect(try holder.ask("RELEASE held/\(number)")?.hasPrefix("RELEASED") == true)
                #expect(try waiters[number].nextLine()?.hasPrefix("#w GRANTED held/\(number) write") == true)
            }
        }
    }

    private func fatalLines(_ daemon: DaemonProcess) throws -> [String] {
        try daemon.waitForLog("a line of it has ended the process that serves")
        return daemon.log.split(separator: "\n").map(String.init)
            .filter { $0.contains("a line of it has ended the process that serves") }
    }

    private func counts(_ session: RawSession) throws -> [String] {
        try session.send("STATS")
        return try session.lines(through: "END").filter {
            $0.hasPrefix("* restarts ") || $0.hasPrefix("* total-fatal-lines ")
        }
    }

    @Test("a line that ends two processes costs only its session, and the journal and STATS say so")
    func oneLine() throws {
        let daemon = try start()
        let others = try Others(of: daemon)
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        try session.send("WRITE poison")
        #expect(try session.nextLine() == nil)
        let other = try daemon.connect()
        #expect(try counts(other) == ["* total-fatal-lines 1", "* restarts 2"])
        let entries = try fatalLines(daemon)
        #expect(entries.count == 1)
        for field in ["SESSION=", "CLIENT_PID=\(getpid())", "CLIENT_UID=\(getuid())", "CLIENT_EXE=/"] {
            #expect(entries.first?.contains(field) == true, "\(field)")
        }
        try others.expectAll()
        // The counts outlive a kill.
        try daemon.killWorker()
        #expect(try counts(other) == ["* total-fatal-lines 1", "* restarts 3"])
    }

    @Test("lines that stand before the fatal one in the same read are carried out and answered once")
    func behindGoodLines() throws {
        let daemon = try start()
        let others = try Others(of: daemon)
        let watcher = try daemon.connect()
        #expect(try watcher.ask("WATCH good") == "OK")
        let session = try daemon.connect()
        try session.send(
            bytes: "#1 WRITE good\n#2 RELEASE good\n#3 READ good note=n\n#4 WRITE poison\n#5 PING\n".utf8)
        let token = try #require(try session.nextLine()?.split(separator: "=").last)
        #expect(try session.nextLine() == "#2 RELEASED good token=\(token)")
        #expect(try session.nextLine()?.hasPrefix("#3 GRANTED good read") == true)
        #expect(try session.nextLine() == nil)
        let changes = try (0..<4).map { _ in try watcher.nextLine()?.split(separator: " ")[3] }
        #expect(changes == ["granted", "released", "granted", "died"])
        try others.expectAll()
        #expect(try fatalLines(daemon).count == 1)
    }

    @Test("the locks of a session with a fatal line go to those that wait, as after its death (G6, G11)")
    func holder() throws {
        let daemon = try start()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("READ mail")?.hasPrefix("GRANTED") == true)
        let waiter = try daemon.connect()
        try waiter.send("#1 WRITE jobs", "#2 WRITE mail", "PING")
        #expect(try waiter.nextLine() == "PONG")
        try session.send("RENEW poison lease=1h")
        let answers = try [waiter.nextLine(), waiter.nextLine()].compactMap(\.self).sorted()
        #expect(answers.count == 2)
        #expect(answers.first?.hasPrefix("#1 GRANTED jobs write token=") == true)
        #expect(answers.first?.hasSuffix(" ownerdied=1") == true)
        #expect(answers.last?.hasPrefix("#2 GRANTED mail write token=") == true)
        #expect(try session.nextLine() == nil)
        try daemon.waitForLog("a session ended while it held")
    }

    @Test("of the sessions of one batch only that with the fatal line ends")
    func oneBatch() throws {
        let daemon = try start()
        let sessions = try (0..<20).map { _ in try daemon.connect() }
        for session in sessions { #expect(try session.ask("PING") == "PONG") }
        let worker = try #require(daemon.worker)
        stopProcess(worker)
        for (number, session) in sessions.enumerated() {
            try session.send("#1 WRITE lock/\(number)", number == 7 ? "#2 WRITE poison" : "#2 PING")
        }
        kill(worker, SIGCONT)
        for (number, session) in sessions.enumerated() {
            #expect(try session.nextLine()?.hasPrefix("#1 GRANTED lock/\(number) write") == true)
            #expect(try session.nextLine() == (number == 7 ? nil : "#2 PONG"))
        }
        #expect(try counts(sessions[0]) == ["* total-fatal-lines 1", "* restarts 2"])
    }

    @Test("a line that never ends is as one that crashes, if the keeper watches")
    func hang() throws {
        // A worker that is only slow must not look like one that hangs.
        let daemon = try start(environment: ["WATCHDOG_USEC": "8000000"])
        let others = try Others(of: daemon)
        let session = try daemon.connect()
        try session.send("PING", "WRITE stuck")
        #expect(try session.nextLine() == "PONG")
        #expect(try session.nextLine() == nil)
        try others.expectAll()
        #expect(try counts(others.holders[0]) == ["* total-fatal-lines 1", "* restarts 2"])
    }

    @Test("two sessions with fatal lines in one batch both end, and no other one")
    func twoAtOnce() throws {
        let daemon = try start()
        let others = try Others(of: daemon)
        let sessions = try (0..<2).map { _ in try daemon.connect() }
        for session in sessions { #expect(try session.ask("PING") == "PONG") }
        let worker = try #require(daemon.worker)
        stopProcess(worker)
        for session in sessions { try session.send("WRITE poison") }
        kill(worker, SIGCONT)
        for session in sessions { #expect(try session.nextLine() == nil) }
        try others.expectAll()
        #expect(try counts(others.holders[0]) == ["* total-fatal-lines 2", "* restarts 3"])
    }

    @Test("a client that comes again and again with a fatal line ends no session but its own")
    func manyInARow() throws {
        let daemon = try start()
        let others = try Others(of: daemon)
        for _ in 0..<6 {
            let session = try daemon.connect()
            try session.send("WRITE poison")
            #expect(try session.nextLine() == nil)
        }
        #expect(try counts(others.holders[0]) == ["* total-fatal-lines 6", "* restarts 12"])
        try others.expectAll()
        #expect(!daemon.log.contains("started without"))
    }

    @Test("a kill from outside while a worker is careful blames no session, and does not end the care")
    func killBetween() throws {
        let daemon = try start()
        let others = try Others(of: daemon)
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        // While the keeper is stopped, no worker follows.
        daemon.signal(SIGSTOP)
        let first = try #require(daemon.worker)
        try session.send("#1 PING", "#2 WRITE poison")
        while try state(of: first) != "Z" { usleep(1_000) }
        daemon.signal(SIGCONT)
        for _ in 0..<3 { try daemon.killWorker() }
        _ = try session.linesToEnd()
        try others.expectAll()
        #expect(try fatalLines(daemon).count == 1)
        #expect(!daemon.log.contains("started without"))
    }

    @Test("a kill from outside amid a line that is carried out alone is not blamed on its session")
    func killWithin() throws {
        let daemon = try start()
        let others = try Others(of: daemon)
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        try session.send("WRITE stuck")
        var last: Int32?
        for signal in [SIGABRT, SIGKILL, SIGABRT] {
            last = try busyWorker(of: daemon, after: last)
            try daemon.killWorker(with: signal)
        }
        #expect(try session.nextLine() == nil)
        try others.expectAll()
        #expect(try counts(others.holders[0]) == ["* total-fatal-lines 1", "* restarts 3"])
    }

    /// Waits until a worker that follows another has computed for half a second, as its start does not.
    private func busyWorker(of daemon: DaemonProcess, after last: Int32?) throws -> Int32 {
        for _ in 0..<30_000 {
            if let worker = daemon.worker, worker != last,
                let bytes = try? FileContents.read("/proc/\(worker)/stat", limit: 4_096)
            {
                let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
                if fields.count > 14, let ticks = Int(fields[13]), ticks >= 50 { return worker }
            }
            usleep(1_000)
        }
        throw DaemonProcess.Failure(description: "no worker hangs: \(daemon.log)")
    }

    @Test("the last lines of a client that dies meanwhile come before a line about its lock (G6, G14)")
    func deathMeanwhile() throws {
        let daemon = try start()
        let next = try daemon.connect()
        #expect(try next.ask("PING") == "PONG")
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let fatal = try daemon.connect()
        #expect(try fatal.ask("PING") == "PONG")
        let worker = try #require(daemon.worker)
        stopProcess(worker)
        // More than is read at once.
        try holder.session.send(bytes: String(repeating: "PING\n", count: 5_000).utf8)
        try holder.session.send("RELEASE jobs", "WRITE mail")
        try next.send("WRITE jobs wait=0", "WRITE mail wait=0")
        try fatal.send("WRITE poison")
        // While the keeper is stopped, no worker follows.
        daemon.signal(SIGSTOP)
        kill(worker, SIGCONT)
        while try state(of: worker) != "Z" { usleep(1_000) }
        holder.kill()
        daemon.signal(SIGCONT)
        let answers = try [next.nextLine(), next.nextLine()]
        #expect(answers == ["GRANTED jobs write token=3", "GRANTED mail write token=4 ownerdied=1"])
        #expect(try fatal.nextLine() == nil)
        #expect(try counts(next) == ["* total-fatal-lines 1", "* restarts 2"])
    }

    @Test("five crashes that no line has caused end in an empty start with grace, and the journal says so")
    func timer() throws {
        let daemon = try start("--grace", "1h")
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WRITE late lease=20ms")?.hasPrefix("GRANTED") == true)
        #expect(try session.nextLine() == nil)
        try daemon.waitForLog("the former sessions and locks: the process that serves crashed five times")
        let next = try daemon.connect()
        #expect(try next.ask("WRITE jobs wait=0")?.contains("held-by=?") == true)
        #expect(try counts(next) == ["* total-fatal-lines 0", "* restarts 5"])
        #expect(!daemon.log.contains("a line of it"))
    }

    @Test("a crash between two lines of a session that are carried out with care is not blamed on it")
    func betweenLines() throws {
        let daemon = try start()
        let sessions = try (0..<2).map { _ in try daemon.connect() }
        for session in sessions { #expect(try session.ask("PING") == "PONG") }
        let worker = try #require(daemon.worker)
        stopProcess(worker)
        // Carried out with care, these lines take longer than the lease.
        let pings = String(repeating: "PING\n", count: 1_000)
        try sessions[0].send(bytes: "WRITE late lease=1ms\n\(pings)".utf8)
        try sessions[1].send("WRITE poison")
        kill(worker, SIGCONT)
        try daemon.waitForLog("the former sessions and locks: the process that serves crashed five times")
        #expect(!daemon.log.contains("a line of it"))
    }

    /// The letter of a process's state.
    private func state(of process: Int32) throws -> Substring {
        let bytes = try FileContents.read("/proc/\(process)/stat", limit: 4_096)
        return String(decoding: bytes, as: UTF8.self).split(separator: ") ").last?.prefix(1) ?? ""
    }
}
