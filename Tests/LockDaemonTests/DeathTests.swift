import Glibc
import Posix
import TestSupport
import Testing

/// The death of holders and waiters (G6), on kernels with `SO_PEERPIDFD` and without.
@Suite struct DeathTests {
    static let kernels = [[:], ["PRWLOCK_TEST_NO_PEERPIDFD": "1"]]

    @Test(
        "a holder that is killed frees its lock at once, and the next writer hears of it (G6, G11)",
        arguments: kernels)
    func killedHolder(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let waiter = try daemon.connect()
        for round in 1...20 {
            let holder = try PeerProcess(of: daemon)
            #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=\(3 * round - 2)")
            holder.session.close()
            try waiter.send("#\(round) WRITE jobs")
            #expect(
                try waiter.ask("STATUS jobs")?.hasPrefix("* holder pid=\(holder.processID) mode=write")
                    == true)
            #expect(try waiter.lines(through: "END").count == 2)
            holder.kill()
            #expect(
                try waiter.nextLine() == "#\(round) GRANTED jobs write token=\(3 * round - 1) ownerdied=1")
            #expect(try waiter.ask("RELEASE jobs") == "RELEASED jobs token=\(3 * round - 1)")
            #expect(try waiter.ask("WRITE jobs") == "GRANTED jobs write token=\(3 * round)")
            #expect(try waiter.ask("RELEASE jobs") == "RELEASED jobs token=\(3 * round)")
        }
    }

    @Test("a holder's death counts though a child of its keeps the socket open (G6)", arguments: kernels)
    func childKeepsSocket(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(holder.forkChild() > 0)
        let waiter = try daemon.connect()
        try waiter.send("READ jobs")
        holder.kill()
        #expect(try waiter.nextLine() == "GRANTED jobs read token=2 ownerdied=1")
        // The daemon has closed its end, although another process has the other end open.
        #expect(try holder.session.nextLine() == nil)
    }

    @Test("a waiter that is killed leaves the queue, and the one behind it is next (G6)", arguments: kernels)
    func killedWaiter(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let first = try PeerProcess(of: daemon)
        try first.session.send("WRITE jobs", "PING")
        #expect(try first.session.nextLine() == "PONG")
        let second = try daemon.connect()
        try second.send("WRITE jobs", "PING")
        #expect(try second.nextLine() == "PONG")
        #expect(first.forkChild() > 0)
        first.kill()
        #expect(try first.session.nextLine() == nil)
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try second.nextLine() == "GRANTED jobs write token=2")
    }

    @Test(
        "no request gets BUSY for a holder that was dead when the request was sent (G6)", arguments: kernels)
    func deadWhenAsked(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        let asker = try daemon.connect()
        #expect(try asker.ask("PING") == "PONG")
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(holder.forkChild() > 0)
        // Both are in one batch, and the line comes first.
        daemon.signal(SIGSTOP)
        try asker.send("WRITE jobs wait=0")
        holder.kill()
        try asker.send("VALIDATE jobs token=1")
        daemon.signal(SIGCONT)
        #expect(try asker.nextLine() == "GRANTED jobs write token=2 ownerdied=1")
        #expect(try asker.nextLine() == "STALE jobs token=1")
    }

    @Test(
        "a release that was sent before the death counts, so the data is in order (G6, G11)",
        arguments: kernels)
    func releaseBeforeDeath(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        let waiter = try daemon.connect()
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        try waiter.send("WRITE jobs", "PING")
        #expect(try waiter.nextLine() == "PONG")
        daemon.signal(SIGSTOP)
        // More than one batch reads from one session.
        try holder.session.send(bytes: Array(String(repeating: "PING\n", count: 4_000).utf8))
        try holder.session.send("RELEASE jobs", "half a li")
        holder.kill()
        daemon.signal(SIGCONT)
        #expect(try waiter.nextLine() == "GRANTED jobs write token=2")
    }

    @Test(
        "who died before the daemon looked at his connection has his lines carried out, and is gone (G6)",
        arguments: kernels)
    func deadInBacklog(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let watcher = try daemon.connect()
        #expect(try watcher.ask("WATCH") == "OK")
        daemon.signal(SIGSTOP)
        let peer = try PeerProcess(of: daemon)
        #expect(peer.forkChild() > 0)
        try peer.session.send("READ mail", "WRITE jobs")
        peer.kill()
        daemon.signal(SIGCONT)
        let process = "pid=\(peer.processID)"
        let rest = " owner=- tag=- request=- upgrades=-"
        #expect(try watcher.nextLine() == "! CHANGED mail granted \(process) mode=read token=1\(rest)")
        #expect(try watcher.nextLine() == "! CHANGED jobs granted \(process) mode=write token=2\(rest)")
        let ends = try [watcher.nextLine(), watcher.nextLine()].compactMap { $0 }.sorted()
        #expect(ends.first == "! CHANGED jobs died \(process) mode=write token=2\(rest)")
        #expect(ends.last == "! CHANGED mail died \(process) mode=read token=1\(rest)")
    }

    @Test("the sessions of one process share one watch, and all end with it", arguments: kernels)
    func sharedWatch(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let first = try daemon.connect()
        #expect(try first.ask("PING") == "PONG")
        let before = daemon.descriptorCount
        let more = try (0..<10).map { _ in try daemon.connect() }
        for session in more { #expect(try session.ask("PING") == "PONG") }
        #expect(daemon.descriptorCount == before + 10)
        for session in more { session.end() }
        let peer = try PeerProcess(of: daemon)
        #expect(try peer.session.ask("PING") == "PONG")
        #expect(try first.ask("SESSIONS")?.hasPrefix("* session") == true)
        _ = try first.lines(through: "END")
        #expect(daemon.descriptorCount == before + 2)
    }

    @Test(
        "all sessions of a process end with it, though a child of its keeps all their sockets (G6)",
        arguments: kernels)
    func allSessionsOfOne(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE first") == "GRANTED first write token=1")
        let second = try holder.connectAgain()
        #expect(try second.ask("WRITE second") == "GRANTED second write token=2")
        let third = try holder.connectAgain()
        #expect(try third.ask("WRITE third") == "GRANTED third write token=3")
        #expect(holder.forkChild() > 0)
        let waiter = try daemon.connect()
        try waiter.send("WRITE first", "WRITE second", "WRITE third")
        holder.kill()
        let told = try (0..<3).map { _ in try waiter.nextLine() ?? "" }
        #expect(Set(told.map { $0.prefix(14) }) == ["GRANTED first ", "GRANTED second", "GRANTED third "])
        for session in [holder.session, second, third] { #expect(try session.nextLine() == nil) }
    }

    @Test(
        "more sessions of a dead process than a batch completes all end, each after its last lines (G6, G11)",
        arguments: kernels)
    func manySessionsOfOne(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        let count = 150
        let sessions = try [holder.session] + (1..<count).map { _ in try holder.connectAgain() }
        for (number, session) in sessions.enumerated() {
            #expect(
                try session.ask("WRITE jobs/\(number)")
                    == "GRANTED jobs/\(number) write token=\(number + 1)")
        }
        let waiter = try daemon.connect()
        try waiter.send("PING")
        #expect(try waiter.nextLine() == "PONG")
        daemon.signal(SIGSTOP)
        // More than one batch reads from one session, for the first session and for the last.
        for number in [0, count - 1] {
            try sessions[number].send(bytes: Array(String(repeating: "PING\n", count: 16_000).utf8))
            try sessions[number].send("RELEASE jobs/\(number)")
        }
        for number in 0..<count { try waiter.send("WRITE jobs/\(number)") }
        holder.kill()
        daemon.signal(SIGCONT)
        let told = try (0..<count).map { _ in try waiter.nextLine() ?? "" }
        #expect(told.count { $0.hasSuffix(" ownerdied=1") } == count - 2)
        let clean = told.filter { !$0.hasSuffix(" ownerdied=1") }
        #expect(Set(clean.map { $0.split(separator: " ")[1] }) == ["jobs/0", "jobs/\(count - 1)"])
        // The daemon has closed its ends, although the test has the others open.
        for session in sessions { #expect(try session.linesToEnd().allSatisfy { $0 == "PONG" }) }
    }

    @Test("of two sessions that close at once, none gets the other's lock (G6)")
    func closedTogether() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiters = try (0..<2).map { _ in try daemon.connect() }
        for waiter in waiters {
            try waiter.send("WRITE jobs", "PING")
            #expect(try waiter.nextLine() == "PONG")
        }
        daemon.signal(SIGSTOP)
        holder.end()
        waiters[0].end()
        daemon.signal(SIGCONT)
        #expect(try waiters[1].nextLine() == "GRANTED jobs write token=2 ownerdied=1")
    }

    @Test("the end of one session of a process leaves the others watched (G6)", arguments: kernels)
    func othersStayWatched(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        // The watch began with the first session, which ends while a second exists, and then a third comes.
        let second = try holder.connectAgain()
        #expect(try second.ask("WRITE second") == "GRANTED second write token=1")
        #expect(try holder.session.ask("QUIT") == "BYE")
        #expect(try holder.session.nextLine() == nil)
        let third = try holder.connectAgain()
        #expect(try third.ask("WRITE third") == "GRANTED third write token=2")
        #expect(holder.forkChild() > 0)
        let waiter = try daemon.connect()
        try waiter.send("WRITE second", "WRITE third")
        holder.kill()
        let told = try (0..<2).map { _ in try waiter.nextLine() ?? "" }
        #expect(Set(told.map { $0.prefix(14) }) == ["GRANTED second", "GRANTED third "])
    }

    @Test("a process is watched anew after its last session ended (G6)", arguments: kernels)
    func watchedAnew(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("QUIT") == "BYE")
        #expect(try holder.session.nextLine() == nil)
        let again = try holder.connectAgain()
        #expect(try again.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(holder.forkChild() > 0)
        let waiter = try daemon.connect()
        try waiter.send("WRITE jobs")
        holder.kill()
        #expect(try waiter.nextLine() == "GRANTED jobs write token=2 ownerdied=1")
    }

    @Test("the sessions of two processes end with their own process only (G6)", arguments: kernels)
    func eachWithItsOwn(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let (one, other) = (try PeerProcess(of: daemon), try PeerProcess(of: daemon))
        let (oneMore, otherMore) = (try one.connectAgain(), try other.connectAgain())
        #expect(try oneMore.ask("WRITE one") == "GRANTED one write token=1")
        #expect(try otherMore.ask("WRITE other") == "GRANTED other write token=2")
        #expect(one.forkChild() > 0 && other.forkChild() > 0)
        let waiter = try daemon.connect()
        try waiter.send("WRITE one")
        one.kill()
        #expect(try waiter.nextLine() == "GRANTED one write token=3 ownerdied=1")
        #expect(try oneMore.nextLine() == nil)
        #expect(try other.session.ask("VALIDATE other token=2") == "VALID other token=2")
        #expect(try otherMore.ask("RELEASE other") == "RELEASED other token=2")
    }

    @Test("end of input ends a session: what it holds is free, and what it is owed is sent (G6)")
    func endOfInput() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        let other = try daemon.connect()
        try session.send("WRITE jobs", "READ jobs owner=t2", "PING")
        try session.send(bytes: "RELEASE jo".utf8)
        session.endInput()
        #expect(try session.linesToEnd() == ["GRANTED jobs write token=1", "PONG"])
        #expect(try other.ask("WRITE jobs wait=0") == "GRANTED jobs write token=2 ownerdied=1")
    }
}
