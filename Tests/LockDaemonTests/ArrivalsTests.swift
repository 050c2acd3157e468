import LockServer
import Posix
import TestSupport
import Testing

@testable import LockDaemon

/// Accepted connections that wait for a session: users in turns (G13), and a share for each (G12).
@Suite struct ArrivalsTests {
    /// Arrivals, with the clients' ends of all connections.
    private struct Door: ~Copyable {
        var arrivals = Arrivals()
        var clients: [RawSession] = []

        /// Connects as a user; returns what the daemon decided.
        @discardableResult
        mutating func connect(_ user: UInt32, atMost most: Int = .max) throws -> Arrivals.Welcome {
            var client: RawSession?
            let welcome = try UnixSocket.pair().split { ours, theirs in
                client = RawSession(theirs)
                return arrivals.welcome(
                    ClientSocket(ours), Peer(processID: nil, userID: user, groupID: user), atMost: most)
            }
            if let client { clients.append(client) }
            return welcome
        }
    }

    @Test("connections that still wait are closed with the arrivals") func closedWithTheArrivals() throws {
        func clients() throws -> [RawSession] {
            var door = Door()
            for user in UInt32(1)...3 { for _ in 0..<3 { try door.connect(user) } }
            return door.clients
        }
        for client in try clients() { #expect(try client.nextLine() == nil) }
    }

    @Test("a user's first connection goes before the hundredth of another user (G13)")
    func firstBeforeHundredth() throws {
        var door = Door()
        for _ in 0..<100 { try door.connect(1) }
        try door.connect(2)
        let turn = door.arrivals.takeTurn()
        #expect(turn.contains { $0.peer.userID == 2 })
        #expect(turn.count < 100)
    }

    @Test(
        "no user waits for more than one turn of each other user, and each is served in its own order (G13)")
    func turns() throws {
        var door = Door()
        let users = UInt32(1)...50
        for count in 0..<3 { for user in users where user % 3 != 0 || count == 0 { try door.connect(user) } }
        var seen: [UInt32] = []
        while door.arrivals.count > 0 {
            let turn = door.arrivals.takeTurn()
            #expect((1...20).contains(turn.count))
            seen += turn.map(\.peer.userID)
        }
        // Two of a user are one turn. The users come in their order, and once more with what did not fit.
        let first = users.flatMap { Array(repeating: $0, count: $0 % 3 == 0 ? 1 : 2) }
        #expect(seen == first + users.filter { $0 % 3 != 0 })
        #expect(door.arrivals.takeTurn().isEmpty)
    }

    @Test("a user who never stops to connect takes no turn of another user (G13)")
    func endlessUser() throws {
        var door = Door()
        for _ in 0..<10 {
            for _ in 0..<64 { try door.connect(1) }
            for user: UInt32 in 2...4 { try door.connect(user) }
            let turn = door.arrivals.takeTurn().map(\.peer.userID)
            #expect(Set(turn) == [1, 2, 3, 4])
        }
        #expect(door.arrivals.takeAll().map(\.peer.userID) == Array(repeating: 1, count: 620))
    }

    @Test(
        "a user with as many connections as allowed is refused until one of them ends, and no other user is (G12)"
    )
    func share() throws {
        var door = Door()
        for _ in 0..<5 { #expect(try door.connect(1, atMost: 5) == .waits) }
        #expect(try door.connect(1, atMost: 5) == .refused)
        #expect(try door.clients.last?.linesToEnd().first?.hasPrefix("ERROR limit-sessions ") == true)
        #expect(try door.connect(2, atMost: 5) == .waits)
        #expect(door.arrivals.countOfOthers(than: 1) == 1)
        #expect(door.arrivals.countOfOthers(than: 2) == 5)
        #expect(door.arrivals.countOfOthers(than: 3) == 6)
        // A connection keeps its seat while it has a session.
        var admitted = door.arrivals.takeAll()
        #expect(try door.connect(1, atMost: 5) == .refused)
        admitted.removeFirst()
        #expect(try door.connect(1, atMost: 5) == .waits)
        #expect(try door.connect(1, atMost: 5) == .refused)
        admitted = []
    }

    @Test("a limited user with hundreds of connections that wait is a crowd, and a trusted one is none")
    func crowd() throws {
        var door = Door()
        for count in 0..<600 {
            #expect(try door.connect(1, atMost: 1_000) == (count < 512 ? .waits : .crowds))
            #expect(try door.connect(2) == .waits)
        }
    }

    @Test("connections that have said nothing count apart, until they speak or end (G12)")
    func silence() throws {
        let user = UserConnections(of: ConnectionCount())
        var seats = (0..<4).compactMap { _ in user.takeSeat(atMost: 4) }
        #expect(seats.count == 4)
        #expect(seats[0].fallSilent(atMost: 2))
        #expect(seats[1].fallSilent(atMost: 2))
        #expect(!seats[2].fallSilent(atMost: 2))
        seats[0].speak()
        seats[0].speak()
        #expect(user.silentCount == 1)
        #expect(seats[2].fallSilent(atMost: 2))
        seats.removeAll()
        #expect(user.silentCount == 0)
        #expect(user.count == 0)
    }

    @Test("a connection with bytes, without any, and with its end is known as such, and keeps its bytes")
    func firstInput() throws {
        let pair = try UnixSocket.pair()
        #expect(FirstInput(of: pair.first) == .nothing)
        let client = RawSession(try pair.second.duplicate())
        try client.send("PING")
        #expect(FirstInput(of: pair.first) == .bytes)
        #expect(FirstInput(of: pair.first) == .bytes)
        let other = try UnixSocket.pair()
        RawSession(try other.second.duplicate()).endInput()
        #expect(FirstInput(of: other.first) == .end)
    }
}
