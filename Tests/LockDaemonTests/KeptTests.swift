import Glibc
import Posix
import TestSupport
import Testing

/// A daemon with a keeper, of which the process that serves is killed (G14).
@Suite struct KeptTests {
    @Test("grants, waiting requests, half lines and HELLO survive the process that serves (G14)")
    func everything() throws {
        let daemon = try DaemonProcess("--keep")
        let holder = try daemon.connect()
        let waiter = try daemon.connect()
        let watcher = try daemon.connect()
        #expect(try watcher.ask("WATCH jobs") == "OK")
        #expect(try holder.ask("HELLO client=holder recall=1")?.hasPrefix("HELLO") == true)
        #expect(try holder.ask("WRITE jobs owner=o lease=1h note=mine") == "GRANTED jobs write token=1")
        try waiter.send("#w READ jobs wait=1h", "PING")
        #expect(try waiter.nextLine() == "PONG")
        #expect(try holder.nextLine() == "! RECALL jobs token=1")
        try holder.send(bytes: "RELEASE jo".utf8)
        #expect(try waiter.ask("PING") == "PONG")
        for _ in 0..<5 {
            try daemon.killWorker()
            let rows = try waiter.rows("STATUS jobs")
            #expect(rows.first?.contains("mode=write owner=o token=1") == true)
            #expect(rows.first?.contains("note=mine") == true)
            #expect(rows.dropFirst().first?.contains("timeout=3600000ms") == true || rows.count == 3)
            let sessions = try waiter.rows("SESSIONS")
            #expect(sessions.contains { $0.contains("client=holder") })
        }
        #expect(try waiter.rows("STATS").contains("* restarts 5"))
        try holder.send(bytes: "bs\n".utf8)
        #expect(try holder.nextLine() == "RELEASED jobs token=1")
        #expect(try waiter.nextLine() == "#w GRANTED jobs read token=2")
        let changes = try (0..<4).map { _ in try watcher.nextLine()?.split(separator: " ")[3] }
        #expect(changes.contains("released") && changes.contains("granted"), "\(changes)")
    }

    @Test("a client that dies while no process serves is found dead before any request is granted (G6, G14)")
    func deathMeanwhile() throws {
        let daemon = try DaemonProcess("--keep")
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try holder.ask("WRITE other") == "GRANTED other write token=2")
        let waiter = try PeerProcess(of: daemon)
        try waiter.session.send("WRITE jobs", "PING")
        #expect(try waiter.session.nextLine() == "PONG")
        let next = try daemon.connect()
        try next.send("WRITE jobs", "PING")
        #expect(try next.nextLine() == "PONG")
        // While the keeper is stopped, no worker follows.
        daemon.signal(SIGSTOP)
        try daemon.killWorker()
        try holder.send("RELEASE jobs")
        waiter.kill()
        try next.send("WRITE other wait=0")
        holder.end()
        daemon.signal(SIGCONT)
        #expect(try next.nextLine() == "GRANTED jobs write token=3")
        #expect(try next.nextLine() == "GRANTED other write token=4 ownerdied=1")
    }

    @Test(
        "a deadline that passes while no process serves counts, though the lock is released before the next one (G5, G14)"
    )
    func deadlineMeanwhile() throws {
        let daemon = try DaemonProcess("--keep")
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiter = try daemon.connect()
        try waiter.send(bytes: "WRITE jobs wait=20ms\nPING\n".utf8)
        #expect(try waiter.nextLine() == "PONG")
        daemon.signal(SIGSTOP)
        try daemon.killWorker()
        try holder.send("RELEASE jobs")
        // An event that comes after the deadline: the end of another daemon's wait.
        let clock = try DaemonProcess()
        let other = try clock.connect()
        #expect(try other.ask("WRITE a") == "GRANTED a write token=1")
        let third = try clock.connect()
        #expect(try third.ask("WRITE a wait=40ms")?.hasPrefix("TIMEOUT") == true)
        daemon.signal(SIGCONT)
        let answer = try waiter.nextLine()
        #expect(answer?.hasPrefix("TIMEOUT jobs write") == true, "\(answer ?? "nothing")")
        #expect(try holder.nextLine() == "RELEASED jobs token=1")
    }

    @Test("USR2 has the program on disk go on, and TERM ends both processes with status 0")
    func upgrade() throws {
        let daemon = try DaemonProcess("--keep")
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let first = daemon.worker
        daemon.signal(SIGUSR2)
        #expect(try session.ask("RENEW jobs lease=1h")?.hasPrefix("RENEWED jobs token=1") == true)
        while daemon.worker == first || daemon.worker == nil { usleep(1_000) }
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try daemon.stop() == 0)
    }

    @Test("tokens go on without a gap over any number of kills, though no start waits for the disk (G7, G14)")
    func tokens() throws {
        let daemon = try DaemonProcess("--keep", environment: ["PRWLOCK_TEST_TOKEN_BLOCK": "8"])
        let session = try daemon.connect()
        for token in 1...120 {
            var reply = try session.ask("WRITE jobs")
            // The disk may be too slow for such small blocks.
            while reply?.hasPrefix("ERROR no-token") == true { reply = try session.ask("WRITE jobs") }
            #expect(reply == "GRANTED jobs write token=\(token)")
            #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=\(token)")
            if token % 11 == 0 { try daemon.killWorker() }
        }
    }

    @Test("a socket that is removed is made again by any worker, also if none served at that moment")
    func removedSocket() throws {
        let daemon = try DaemonProcess("--keep")
        let session = try daemon.connect()
        for round in 1...3 {
            daemon.signal(SIGSTOP)
            try daemon.killWorker()
            if round < 3 { unlink(daemon.socketPath) }
            daemon.signal(SIGCONT)
            #expect(try session.ask("PING") == "PONG")
            if round == 3 { unlink(daemon.socketPath) }
            var other: RawSession?
            while other == nil { other = try? daemon.connect() }
            #expect(try other?.ask("PING") == "PONG")
        }
    }

    @Test("five crashes in ten seconds end in an empty start, and the journal says so")
    func crashes() throws {
        let daemon = try DaemonProcess("--keep")
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        for _ in 0..<4 {
            let crashed = try daemon.killWorker(with: SIGABRT)
            while daemon.worker == crashed || daemon.worker == nil { usleep(1_000) }
            #expect(try session.ask("VALIDATE jobs token=1")?.hasPrefix("VALID") == true)
        }
        try daemon.killWorker(with: SIGABRT)
        #expect(try session.nextLine() == nil)
        let next = try daemon.connect()
        #expect(try next.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
        #expect(daemon.log.contains("started without the former sessions and locks"))
    }

    @Test("a ledger with a bit that has changed is not believed: the start is empty")
    func changedBit() throws {
        let daemon = try DaemonProcess("--keep")
        let session = try daemon.connect()
        #expect(
            try session.ask("WRITE a-name-that-is-in-the-ledger")
                == "GRANTED a-name-that-is-in-the-ledger write token=1")
        daemon.signal(SIGSTOP)
        try daemon.killWorker()
        try changeLedger(of: daemon, "a-name-that-is-in-the-ledger")
        daemon.signal(SIGCONT)
        #expect(try session.nextLine() == nil)
        let next = try daemon.connect()
        #expect(try next.rows("LIST") == ["END 0"])
        #expect(daemon.log.contains("started without the former sessions and locks: the ledger"))
    }

    @Test("the end of the keeper ends the worker in order")
    func keeperKilled() throws {
        let daemon = try DaemonProcess("--keep", "--drain", "0s")
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        daemon.kill()
        #expect(try session.nextLine() == "! DRAIN")
        #expect(try session.nextLine() == nil)
    }

    @Test("a session that does not read is cut off before its output has no room in the ledger (G12)")
    func unread() throws {
        let daemon = try DaemonProcess("--keep")
        let worker = daemon.worker
        let session = try daemon.connect()
        let name = String(repeating: "n", count: 240)
        for number in 0..<8_000 {
            try session.send("READ \(name)\(number) lease=1h")
            #expect(try session.nextLine()?.hasPrefix("GRANTED") == true)
        }
        // Each of these grants is revoked, which the session is told and does not read.
        let other = try daemon.connect()
        for token in 1...8_000 { try other.ask("REVOKE \(name)\(token - 1) token=\(token)") }
        try daemon.waitForLog("limit-buffers")
        #expect(try other.ask("PING") != nil)
        #expect(daemon.worker == worker)
    }

    @Test("half lines end no process while the ledger cannot grow (G12, G14)")
    func halfLinesWithoutMemory() throws {
        let daemon = try DaemonProcess("--keep", "--max-session-grants", "100000", "--max-grants", "1000000")
        let session = try daemon.connect()
        let others = try (0..<100).map { _ in try daemon.connect() }
        for other in others { #expect(try other.ask("PING") == "PONG") }
        #expect(try session.ask("WRITE held") == "GRANTED held write token=1")
        let worker = daemon.worker
        daemon.limitFileSize(to: 2 << 20, of: worker)
        let name = String(repeating: "n", count: 240)
        var number = 0
        while try session.ask("READ \(name)\(number)")?.hasPrefix("GRANTED") == true { number += 1 }
        let half = [UInt8](repeating: UInt8(ascii: "x"), count: 16_000)
        for other in others { try? other.send(bytes: half) }
        // The sessions that keep the most are cut off.
        try daemon.waitForLog("limit-buffers")
        #expect(try session.ask("RELEASE held") == "RELEASED held token=1")
        #expect(daemon.worker == worker)
    }

    @Test("when the ledger cannot grow, requests are refused, and releases go on (G14)")
    func fullMemory() throws {
        let daemon = try DaemonProcess("--keep", "--max-session-grants", "100000", "--max-grants", "1000000")
        let session = try daemon.connect()
        let waiter = try daemon.connect()
        #expect(try session.ask("WRITE held") == "GRANTED held write token=1")
        try waiter.send("WRITE held", "PING")
        #expect(try waiter.nextLine() == "PONG")
        daemon.limitFileSize(to: 2 << 20, of: daemon.worker)
        let name = String(repeating: "n", count: 240)
        var answer: String?
        for number in 0..<20_000 where answer?.contains("no-memory") != true {
            answer = try session.ask("READ \(name)\(number)")
        }
        #expect(answer?.hasPrefix("ERROR no-memory lock=\(name)") == true, "\(answer ?? "the end")")
        #expect(try session.ask("RELEASE held") == "RELEASED held token=1")
        #expect(try waiter.nextLine()?.hasPrefix("GRANTED held write") == true)
        // The next process finds what this one had, and has the memory that this one could not get.
        try daemon.killWorker()
        #expect(try waiter.ask("RELEASE held")?.hasPrefix("RELEASED held") == true)
        #expect(try session.ask("READ \(name)").map { $0.hasPrefix("GRANTED") } == true)
    }

    @Test("a session that has ended leaves nothing that keeps the process awake")
    func rest() throws {
        let daemon = try DaemonProcess("--keep")
        let session = try daemon.connect()
        for _ in 0..<3 {
            let other = try daemon.connect()
            #expect(try other.ask("WRITE jobs") != nil)
            other.close()
            try session.send("WRITE jobs wait=1h", "RELEASE jobs")
            #expect(try session.nextLine()?.hasPrefix("GRANTED") == true)
            #expect(try session.nextLine()?.hasPrefix("RELEASED") == true)
        }
        let worker = try #require(daemon.worker)
        let isAtRest = (0..<10_000).contains { _ in
            let text = (try? FileContents.read("/proc/\(worker)/stat", limit: 4_096)) ?? []
            return String(decoding: text, as: UTF8.self).contains(") S ")
        }
        #expect(isAtRest)
    }

    @Test("two thousand sessions that hold and wait go on")
    func many() throws {
        let daemon = try DaemonProcess("--keep")
        let sessions = try (0..<2_000).map { _ in try daemon.connect() }
        for (number, session) in sessions.enumerated() {
            try session.send("WRITE lock/\(number / 2)", "PING")
            if number % 2 == 0 { #expect(try session.nextLine()?.hasPrefix("GRANTED") == true) }
            #expect(try session.nextLine() == "PONG")
        }
        try daemon.killWorker()
        for (number, session) in sessions.enumerated() where number % 2 == 0 {
            #expect(try session.ask("RELEASE lock/\(number / 2)")?.hasPrefix("RELEASED") == true)
            #expect(
                try sessions[number + 1].nextLine()?.hasPrefix("GRANTED lock/\(number / 2) write") == true)
        }
    }
}

/// Changes one bit of a text that stands in the ledger.
private func changeLedger(of daemon: DaemonProcess, _ text: String) throws {
    let folder = "/proc/\(daemon.processID)/fd/"
    for number in 3..<64 {
        guard let status = try? FileStatus(at: folder + "\(number)"), !status.isSocket,
            let content = try? FileContents.read(folder + "\(number)", limit: 1 << 26),
            let start = content.indices.first(where: { content[$0...].starts(with: text.utf8) })
        else { continue }
        let file = OwnedDescriptor(owning: open(folder + "\(number)", O_RDWR | O_CLOEXEC))
        var changed = content[start] ^ 1
        #expect(pwrite(file.rawValue, &changed, 1, off_t(start)) == 1)
        return
    }
    throw DaemonProcess.Failure(description: "no ledger has this text")
}

extension RawSession {
    /// The lines of a reply of rows, the last one with it.
    func rows(_ request: String) throws -> [String] {
        try send(request)
        return try lines(through: "END")
    }
}
