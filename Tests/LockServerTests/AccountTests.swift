import LockCore
import LockServer
import LockVocabulary
import Testing

@Suite("Users: what their sessions may have and do together") struct AccountTests {
    private func room(
        _ rules: String, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> Room {
        let policy = try Policy(parsing: rules, PolicyNames(user: { _ in nil }, group: { _ in nil }))
        return Room {
            change(&$0)
            $0.policy = policy
        }
    }

    @Test("sessions, grants, waiters and watchers are counted for a user, and freed again") func limits()
        throws
    {
        let room = try room("limit user=1000 sessions=2 grants=3 waiters=1 watchers=1")
        room.open("a", userID: 1_000)
        room.open("b", userID: 1_000)
        #expect(room.server.open(Peer(processID: 9, userID: 1_000, groupID: 1), at: room.now) == nil)
        room.open("x", userID: 1_001)
        room.play(
            """
            x> WRITE taken
            x< GRANTED taken write token=1
            a> READ one
            a< GRANTED one read token=2
            b> READ two
            b< GRANTED two read token=3
            a> #w READ taken
            """)
        #expect(room.send("b", "READ three\n").first?.hasPrefix("ERROR limit-grants") == true)
        room.send("b", "RELEASE two\n")
        #expect(room.send("b", "READ taken\n").first?.hasPrefix("ERROR limit-waiters") == true)
        #expect(room.send("b", "WATCH\n") == ["OK"])
        #expect(room.send("a", "WATCH\n").first?.hasPrefix("ERROR limit-watchers") == true)
        #expect(room.send("b", "WATCH o\n") == ["OK"])
        #expect(room.send("x", "READ three\n") == ["GRANTED three read token=4"])
        room.die("b")
        room.close("b")
        #expect(room.send("a", "WATCH\n") == ["OK"])
        #expect(room.send("a", "READ four\n").first == "GRANTED four read token=5")
        room.open("c", userID: 1_000)
        #expect(room.send("c", "READ five\n").first?.hasPrefix("ERROR limit-grants") == true)
    }

    @Test("where nothing is said others may have a quarter, the daemon's own user and root all")
    func quarter() throws {
        let room = try room("") { $0.limits.rules.sessions = 8 }
        for (user, most) in [(UInt32(1_000), 2), (1_001, 2), (500, 4)] {
            for number in 0..<5 {
                let peer = Peer(processID: 1, userID: user, groupID: 1)
                let isOpen = room.server.open(peer, at: room.now) != nil
                #expect(isOpen == (number < most), "\(user) \(number)")
            }
        }
        let others = try self.room("") {
            $0.limits.rules.grants = 8
            $0.limits.rules.waiters = 4
        }
        others.open("a", userID: 1_000)
        others.open("b", userID: 500)
        #expect(others.send("a", "READ 1\nREAD 2\nREAD 3\n").last?.hasPrefix("ERROR limit-grants") == true)
        #expect(others.send("b", "READ 1\nREAD 2\nREAD 3\n").last?.hasPrefix("GRANTED") == true)
    }

    @Test("a session's lines are carried out a turn at a time, and others' between them") func turns() throws
    {
        let room = try room("")
        room.open("a", userID: 1_000)
        room.open("b", userID: 1_000)
        room.say("a", String(repeating: "PING\n", count: 1_000))
        #expect(room.owed("a") == 32 * 5)
        #expect(room.interest(in: "a") == .open(reads: false, writes: true))
        room.say("b", "PING\n")
        #expect(room.owed("b") == 5)
        #expect(room.hear("a").count == 1_000)
        #expect(room.interest(in: "a") == .open(reads: true, writes: false))
    }

    @Test("a user with many sessions gets no more than one with one") func users() throws {
        let room = try room("")
        let many = "abcdefghij"
        for letter in many { room.open(letter, userID: 1_000) }
        room.open("x", userID: 1_001)
        for letter in many { room.say(letter, String(repeating: "PING\n", count: 100)) }
        func done() -> Int { many.reduce(0) { $0 + room.owed($1) / 5 } }
        #expect(done() == 32)
        room.say("x", String(repeating: "PING\n", count: 100))
        #expect(room.owed("x") == 32 * 5)
        room.server.resumeWork(at: room.now)
        #expect(done() == 64 && room.owed("x") == 64 * 5)
        room.server.resumeWork(at: room.now)
        #expect(done() == 96)
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        #expect(done() == 1_000)
    }

    @Test("of lines beyond so many a second the rest comes later, in order, and nothing is lost") func rate()
        throws
    {
        let room = try room("limit user=1000 requests=100")
        room.open("a", userID: 1_000)
        room.open("b", userID: 1_000)
        room.open("x", userID: 1_001)
        let lines = (0..<40).map { "#\($0) PING\n" }.joined()
        room.say("a", lines)
        // The lines of a tenth of a second may come at once.
        #expect(room.hear("a").count == 10)
        room.say("b", "PING\n")
        #expect(room.hear("b") == [])
        #expect(room.send("x", "PING\n") == ["PONG"])
        #expect(room.server.hasUnfinishedWork == false)
        var heard = 10
        while let due = room.server.nextDeadline {
            room.pass(room.now.duration(to: due))
            heard += room.hear("a").count + room.hear("b").count
            let most = 10 + room.now.nanoseconds / 10_000_000
            #expect(heard <= most, "at \(room.now)")
        }
        #expect(heard == 41)
        #expect(room.now.nanoseconds >= 300_000_000 && room.now.nanoseconds <= 320_000_000)
    }

    @Test("of two users who are held back each goes on in his own time") func twoRates() throws {
        let room = try room("limit user=1000 requests=1\nlimit user=1001 requests=100")
        for (letter, user) in [("a", UInt32(1_000)), ("b", 1_001)] as [(Character, UInt32)] {
            room.open(letter, userID: user)
            room.say(letter, String(repeating: "PING\n", count: 20))
            room.hear(letter)
        }
        let due = room.server.nextDeadline ?? room.now.advanced(by: .seconds(9))
        #expect(room.now.duration(to: due) <= .milliseconds(20))
        room.pass(.milliseconds(200))
        #expect(room.hear("b").count == 10 && room.hear("a").isEmpty)
    }

    @Test("the check of the lock order is charged to an owner with many grants") func orderCosts() throws {
        let room = try room("order a/ < b/ warn")
        room.open("a", userID: 1_000)
        room.open("x", userID: 1_001)
        for number in 0..<256 { room.send("a", "READ c/\(number)\n") }
        room.server.advance(to: room.now)
        // Each costs as much as 32 other lines, and the quota of a session is 32.
        room.say("a", (0..<10).map { "READ a/\($0)\n" }.joined())
        let answers = room.server.withOutput(of: room.session("a")) { $0.count { $0 == 10 } }
        #expect(answers == 1)
        #expect(room.hear("a").count == 10)
    }

    @Test("names that make the tree deep are charged for the way to them") func deepNames() throws {
        let room = try room("")
        room.open("a", userID: 1_000)
        room.open("x", userID: 1_001)
        for length in 1...250 { room.send("a", "WRITE \(String(repeating: "a", count: length))\n") }
        room.server.advance(to: room.now)
        let deepest = String(repeating: "a", count: 250)
        room.say("a", String(repeating: "RELEASE \(deepest)\nWRITE \(deepest)\n", count: 20))
        let answers = room.server.withOutput(of: room.session("a")) { $0.count { $0 == 10 } }
        // Lines about names that are not deep would all have their turn, which is 32.
        #expect((1..<20).contains(answers))
        #expect(room.hear("a").count == 40)
    }

    @Test("notices to watchers are charged to the user who watches") func notices() throws {
        let room = try room("")
        room.open("a", userID: 1_000)
        room.open("x", userID: 1_001)
        for letter in "bcdefghijklmnopq" {
            room.open(letter, userID: 1_000)
            room.send(letter, "WATCH\n")
        }
        room.server.advance(to: room.now)
        room.say("a", String(repeating: "WRITE jobs\nRELEASE jobs\n", count: 10))
        let answers = room.server.withOutput(of: room.session("a")) { $0.count { $0 == 10 } }
        // Two lines cause 32 notices, a turn.
        #expect(answers == 2)
        #expect(room.hear("a").count == 20)
    }

    @Test("bytes that make no request are charged: empty lines, and lines without an end") func blank() throws
    {
        for bytes in [String(repeating: "\n", count: 16_384), String(repeating: "x", count: 16_384)] {
            let room = try room("")
            room.open("a", userID: 1_000)
            room.open("x", userID: 1_001)
            let before = room.server.workDone.all
            room.send("a", bytes)
            #expect(room.server.workDone.all - before == 256)
            room.server.advance(to: room.now)
            // The account owes more than a turn.
            room.say("a", "\nPING\n")
            #expect(room.server.withOutput(of: room.session("a")) { $0.isEmpty })
        }
    }

    @Test("many lists of hidden locks are not one turn") func hiddenRows() throws {
        let room = try room("deny user=1000 look *")
        room.open("a", userID: 1_000)
        room.open("x", userID: 1_001)
        for number in 0..<120 { room.send("x", "READ jobs/\(number)\n") }
        room.server.advance(to: room.now)
        let before = room.server.workDone.all
        room.say("a", String(repeating: "LIST\n", count: 20))
        // The rows of one list are 30 units, and a turn is 32.
        #expect(room.server.workDone.all - before <= 2 * 31)
        #expect(room.hear("a").count == 20)
    }

    @Test("a list is one line, however many rows it has") func listIsOneLine() throws {
        let room = try room("limit user=1000 requests=100")
        room.open("a", userID: 1_000)
        room.open("x", userID: 1_001)
        for number in 0..<200 { room.send("x", "READ jobs owner=t\(number)\n") }
        room.say("a", String(repeating: "STATUS jobs\n", count: 10))
        #expect(room.hear("a").count == 10 * 201)
    }

    @Test("new rules hold at once for those who were held back by the old") func forgiven() throws {
        let room = try room("limit user=1000 requests=1")
        room.open("a", userID: 1_000)
        room.say("a", String(repeating: "PING\n", count: 50))
        #expect(room.hear("a").count == 1)
        room.server.setPolicy(Policy())
        #expect(room.hear("a").count == 49)
    }

    @Test("to come again does not pay what is owed, and what is sent before the end is carried out")
    func debt() throws {
        let room = try room("limit user=1000 requests=10")
        room.open("a", userID: 1_000)
        room.say("a", "WRITE jobs\n" + String(repeating: "PING\n", count: 99))
        room.endOfInput("a")
        #expect(room.hear("a").count == 100)
        room.close("a")
        room.open("b", userID: 1_000)
        room.say("b", "PING\n")
        #expect(room.hear("b") == [])
        room.pass(.seconds(10))
        #expect(room.hear("b") == ["PONG"])
    }

    @Test("the session with the most buffered bytes, of the user with the most, is cut off") func hungriest()
        throws
    {
        let room = try room("") {
            $0.limits.buffers = 20_000
            $0.limits.unread = 9_000
        }
        // One session keeps more than any other, but the other user keeps more in total.
        room.open("x", userID: 1_001)
        room.say("x", String(repeating: "PING\n", count: 1_300))
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        for letter in "abcdefgh" {
            room.open(letter, userID: 1_000)
            room.say(letter, String(repeating: "PING\n", count: 400))
            while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        }
        #expect(room.interest(in: "x") == .open(reads: true, writes: true))
        #expect("abcdefgh".contains { room.interest(in: $0) == .close })
    }
}
