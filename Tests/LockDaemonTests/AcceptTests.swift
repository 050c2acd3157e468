import Glibc
import Posix
import TestSupport
import Testing

/// New connections: all are answered, however many come, and those that say nothing are few for each user.
@Suite struct AcceptTests {
    @Test(
        "three hundred clients that connect while the daemon is stopped, and speak last first, are all answered"
    )
    func burst() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        #expect(try session.ask("PING") == "PONG")
        daemon.signal(SIGSTOP)
        let clients = try (0..<300).map { _ in try daemon.connect() }
        daemon.signal(SIGCONT)
        for client in clients.reversed() { #expect(try client.ask("PING") == "PONG") }
        #expect(try session.ask("PING") == "PONG")
    }

    @Test(
        "connections that have said nothing are few for a user; one that speaks makes room for another (G12)",
        .enabled("needs root, to be another user") { geteuid() == 0 })
    func silent() throws {
        // A quarter for the user are 64 sessions, and a quarter of these, 16, may be silent.
        let daemon = try DaemonProcess("--max-sessions", "256", "--socket-mode", "0666")
        let folder = daemon.socketPath.split(separator: "/").dropLast().joined(separator: "/")
        #expect(chmod("/\(folder)", 0o711) == 0)
        let peer = try PeerProcess(connectingTo: daemon.socketPath, as: 65_534)
        #expect(try peer.session.ask("PING") == "PONG")
        let silent = try (0..<16).map { _ in try peer.connectAgain() }
        let refused = try peer.connectAgain()
        #expect(try refused.nextLine()?.hasPrefix("ERROR limit-sessions ") == true)
        // Another user is not affected, nor the same user's session that has spoken.
        #expect(try daemon.connect().ask("PING") == "PONG")
        #expect(try peer.session.ask("PING") == "PONG")
        #expect(try silent[0].ask("PING") == "PONG")
        let next = try peer.connectAgain()
        #expect(try next.ask("PING") == "PONG")
        for session in silent { #expect(try session.ask("PING") == "PONG") }
    }

    @Test(
        "a user may have a quarter of the connections that the others leave (G12)",
        .enabled("needs root, to be other users") { geteuid() == 0 })
    func shares() throws {
        let daemon = try DaemonProcess("--max-sessions", "16", "--socket-mode", "0666")
        let folder = daemon.socketPath.split(separator: "/").dropLast().joined(separator: "/")
        #expect(chmod("/\(folder)", 0o711) == 0)
        var peers: [PeerProcess] = []
        var sessions: [RawSession] = []
        for (user, most) in [(UInt32(65_534), 4), (65_533, 3), (65_532, 3), (65_531, 2)] {
            let peer = try PeerProcess(connectingTo: daemon.socketPath, as: user)
            peers.append(peer)
            #expect(try peer.session.ask("PING") == "PONG")
            for _ in 1..<most {
                let session = try peer.connectAgain()
                #expect(try session.ask("PING") == "PONG")
                sessions.append(session)
            }
            let refused = try peer.connectAgain()
            #expect(try refused.nextLine()?.hasPrefix("ERROR limit-sessions ") == true)
        }
        // Neither root nor a user who has something is affected.
        #expect(try daemon.connect().ask("PING") == "PONG")
        for peer in peers { #expect(try peer.session.ask("PING") == "PONG") }
        for session in sessions { #expect(try session.ask("PING") == "PONG") }
    }

    @Test("a silent session ends with its process, though a child keeps its socket (G6)")
    func silentDeath() throws {
        let daemon = try DaemonProcess()
        let peer = try PeerProcess(of: daemon)
        #expect(peer.forkChild() > 0)
        let other = try daemon.connect()
        #expect(try other.ask("PING") == "PONG")
        peer.kill()
        #expect(try peer.session.nextLine() == nil)
        #expect(try other.ask("PING") == "PONG")
    }

    @Test("a client that connects and leaves without a byte has had no session")
    func withoutAByte() throws {
        let daemon = try DaemonProcess()
        let first = try number(of: daemon.connect())
        daemon.signal(SIGSTOP)
        for _ in 0..<100 { try daemon.connect().end() }
        let next = try daemon.connect()
        daemon.signal(SIGCONT)
        #expect(try number(of: next) == first + 1)
    }

    /// The number of a session, as `HELLO` tells it.
    private func number(of session: RawSession) throws -> Int {
        let words = try #require(try session.ask("HELLO")).split(separator: " ")
        let word = try #require(words.first { $0.hasPrefix("session=") })
        return try #require(Int(word.dropFirst("session=".count)))
    }
}
