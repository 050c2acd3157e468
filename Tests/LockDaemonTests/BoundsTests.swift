import Glibc
import Posix
import TestSupport
import Testing

/// Clients that send too much, read nothing, or are too many harm no other client (G12, G13).
@Suite struct BoundsTests {
    @Test(
        "out of descriptors, the daemon tells each new client so at once, keeps the sessions it has, and goes on later (G12)"
    )
    func outOfDescriptors() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        daemon.limitDescriptors(to: daemon.descriptorCount + 6)
        let crowd = try (0..<30).map { _ in try daemon.connect() }
        var served: [RawSession] = []
        for one in crowd {
            // A refused client may find its socket closed when it sends.
            try? one.send("PING")
            let answer = try one.nextLine()
            if answer == "PONG" {
                served.append(one)
            } else {
                #expect(answer?.hasPrefix("ERROR limit-sessions ") == true)
                #expect(try one.nextLine() == nil)
            }
        }
        #expect((1..<10).contains(served.count), "\(served.count)")
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(daemon.log.split(separator: "\n").count { $0.contains("no new sessions until") } == 1)
        // A session that ends makes room for another.
        for leaving in served {
            #expect(try leaving.ask("QUIT") == "BYE")
            #expect(try leaving.nextLine() == nil)
            #expect(try daemon.connect().ask("PING") == "PONG")
        }
    }

    @Test(
        "with the table of descriptors full to the last, the backlog is read on, and each client is told (G12)"
    )
    func fullTable() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        // The daemon then has not even the descriptors that it keeps for itself.
        daemon.limitDescriptors(to: daemon.descriptorCount)
        for _ in 0..<20 {
            let refused = try daemon.connect().linesToEnd()
            #expect(refused.count == 1)
            #expect(refused.first?.hasPrefix("ERROR limit-sessions ") == true)
        }
        #expect(try session.ask("PING") == "PONG")
        daemon.limitDescriptors(to: nil)
        #expect(try daemon.connect().ask("PING") == "PONG")
    }

    @Test(
        "over the limit of sessions a connection is told so and closed, and there is room again later (G12)")
    func sessionLimit() throws {
        let daemon = try DaemonProcess("--max-sessions", "2")
        let sessions = try [daemon.connect(), daemon.connect()]
        for session in sessions { #expect(try session.ask("PING") == "PONG") }
        let refused = try daemon.connect().linesToEnd()
        #expect(refused.count == 1)
        #expect(refused.first?.hasPrefix("ERROR limit-sessions") == true)
        #expect(try sessions.first?.ask("QUIT") == "BYE")
        #expect(try sessions.first?.nextLine() == nil)
        #expect(try daemon.connect().ask("PING") == "PONG")
    }

    @Test(
        "a client that never reads is no longer read from, delays no other, and gets every reply once it reads (G12, G13)"
    )
    func neverReads() throws {
        let daemon = try DaemonProcess()
        let silent = try daemon.connect()
        let flags = fcntl(silent.descriptor, F_GETFL)
        #expect(fcntl(silent.descriptor, F_SETFL, flags | O_NONBLOCK) == 0)
        let help = Array(String(repeating: "HELP\n", count: 1_000).utf8)
        var sent = 0
        // Stop once the daemon takes nothing during the round trips of another session.
        var rounds = 0
        let other = try daemon.connect()
        while rounds < 20 {
            let offset = sent % 5
            let count = help[offset...].withUnsafeBytes {
                send(silent.descriptor, $0.baseAddress, $0.count, 0)
            }
            if count > 0 { sent += count } else { rounds += 1 }
            #expect(try other.ask("PING") == "PONG")
        }
        #expect(fcntl(silent.descriptor, F_SETFL, flags) == 0)
        silent.endInput()
        let lines = try silent.linesToEnd()
        #expect(lines.count { $0.hasPrefix("END ") } == sent / 5)
        #expect(try other.ask("PING") == "PONG")
    }

    @Test("a stopped client keeps its locks, and delays no other client (G13)")
    func stoppedClient() throws {
        let daemon = try DaemonProcess()
        let peer = try PeerProcess(of: daemon)
        #expect(try peer.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        peer.signal(SIGSTOP)
        let other = try daemon.connect()
        #expect(try other.ask("WRITE jobs wait=0") == "BUSY jobs write held-by=\(peer.processID)/write")
        #expect(try other.ask("WRITE mail") == "GRANTED mail write token=2")
        peer.kill()
        peer.session.close()
        #expect(try other.ask("WRITE jobs wait=10s") == "GRANTED jobs write token=3 ownerdied=1")
    }

    @Test("a long list is told as its reader takes it, and others are served meanwhile (G13)")
    func longList() throws {
        let daemon = try DaemonProcess("--max-session-grants", "100000")
        let holder = try daemon.connect()
        let count = 20_000
        for batch in 0..<20 {
            let names = (0..<count / 20).map { "WRITE lock/\(batch * count / 20 + $0)\n" }
            try holder.send(bytes: Array(names.joined().utf8))
            for _ in names { #expect(try holder.nextLine()?.hasPrefix("GRANTED") == true) }
        }
        let reader = try daemon.connect()
        let other = try daemon.connect()
        try reader.send("LIST", "PING")
        var rows = 0
        while let line = try reader.nextLine(), line.hasPrefix("* lock ") {
            rows += 1
            if rows % 1_000 == 0 { #expect(try other.ask("PING") == "PONG") }
        }
        #expect(rows == count)
        #expect(try reader.nextLine() == "PONG")
    }

    @Test("a million empty lines are passed over in silence, and bytes come in any cut (G12)")
    func emptyLines() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        let empty = [UInt8](repeating: UInt8(ascii: "\n"), count: 100_000)
        for _ in 0..<10 { try session.send(bytes: empty) }
        for byte in "WRITE jobs\r\nPING\n".utf8 { try session.send(bytes: [byte]) }
        #expect(try session.nextLine() == "GRANTED jobs write token=1")
        #expect(try session.nextLine() == "PONG")
    }

    @Test(
        "a request is decided at its deadline, and a lease ends on time, though nothing else happens (G5, G9)"
    )
    func deadlines() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        let waiter = try daemon.connect()
        #expect(try holder.ask("WRITE jobs lease=5s") == "GRANTED jobs write token=1")
        try waiter.send("WRITE jobs wait=50ms", "WRITE jobs owner=t2")
        let timeout = try waiter.nextLine()
        #expect(timeout?.hasPrefix("TIMEOUT jobs write waited=") == true)
        #expect(timeout?.hasSuffix("held-by=\(getpid())/write") == true)
        #expect(try waiter.nextLine() == "GRANTED jobs write token=2 ownerdied=1")
        #expect(try holder.nextLine() == "! EXPIRED jobs token=1")
    }
}
