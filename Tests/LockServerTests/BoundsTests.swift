import LockCore
import LockServer
import LockVocabulary
import Testing

@Suite("G12 and G13: bounds") struct BoundsTests {
    @Test(
        "a list of thousands of locks is made as its reader takes it, and others are served between (G12, G13)"
    )
    func longList() {
        let room = Room()
        for number in 0..<8_000 { room.send(Character("a"), "READ lock-\(number)\n") }
        room.say("b", "#l LIST\n")
        var most = 0
        var bytes: [UInt8] = []
        var turns = 0
        while room.owed("b") > 0 || room.server.hasUnfinishedWork {
            most = max(most, room.owed("b"))
            bytes += room.take("b", 10_000)
            turns += 1
            #expect(room.send("c", "WRITE between\n").first?.hasPrefix("GRANTED between") == true)
            room.send("c", "RELEASE between\n")
            room.server.resumeWork(at: room.now)
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 8_001 && lines.last == "#l END 8000")
        #expect(Set(lines).count == 8_001 && lines.dropLast().elementsEqual(lines.dropLast().sorted()))
        #expect(most < 70_000 && turns > 40)
    }

    @Test("two lists at once are told by turns, and rows of one session are never mixed (G13)")
    func twoLists() {
        let room = Room()
        for number in 0..<3_000 { room.send("a", "READ lock-\(number)\n") }
        room.say("b", "LIST\nSTATS\nLIST lock-1\nPING\n")
        room.say("c", "LIST\n")
        let lines = room.hear("b")
        let ends = lines.indices.filter { lines[$0].hasPrefix("END ") }
        #expect(ends.count == 3 && ends.first == 3_000 && lines.last == "PONG")
        #expect(room.hear("c").count == 3_001)
    }

    @Test("STATUS goes on where it was while holders and waiters vanish and come (G12)") func statusCursor() {
        let room = Room()
        for number in 0..<3_000 { room.send("a", "READ jobs owner=t\(number)\n") }
        for number in 0..<500 { room.send("b", "WRITE jobs owner=t\(number)\n") }
        room.say("c", "STATUS jobs\n")
        var bytes = room.take("c", 30_000)
        // The holder of the last row releases, as do many before and behind it; and others acquire.
        for number in stride(from: 0, to: 3_000, by: 2) { room.send("a", "RELEASE jobs owner=t\(number)\n") }
        for number in stride(from: 0, to: 500, by: 2) { room.send("b", "CANCEL jobs owner=t\(number)\n") }
        room.send("a", "READ jobs owner=t1\n")
        bytes += Array(room.hear("c").joined(separator: "\n").utf8)
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let tokens = lines.compactMap { line in
            line.split(separator: " ").first { $0.hasPrefix("token=") }.flatMap { Int($0.dropFirst(6)) }
        }
        #expect(tokens == tokens.sorted() && Set(tokens).count == tokens.count)
        #expect(Set(stride(from: 2, through: 3_000, by: 2)).isSubset(of: Set(tokens)))
        #expect(lines.filter { $0.hasPrefix("* waiter") }.count == 250)
        #expect(lines.last == "END \(lines.count - 1)")
    }

    @Test("what was missed is told as soon as no more is unread than may be (G12)") func missedAtLimit() {
        let room = Room { $0.limits.unread = 100 }
        room.send("w", "WATCH\n")
        for _ in 0..<10 { room.send("a", "WRITE jobs\nRELEASE jobs\n") }
        room.take("w", room.owed("w") - 100)
        #expect(room.owed("w") > 100)
        #expect(room.hear("w").last?.hasPrefix("! MISSED ") == true)
    }

    @Test("a list is told in turns of so many rows and bytes (G13)") func listTurns() {
        let room = Room()
        for number in 0..<3_000 { room.send("a", "READ jobs/\(number)\n") }
        room.open("c")
        room.say("c", "LIST\n")
        let first = room.owed("c")
        let rows = room.server.withOutput(of: room.session("c")) { $0.count { $0 == 10 } }
        #expect(rows == 128)
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        #expect(room.owed("c") > first && room.owed("c") < 16_384 + 300)
        #expect(room.hear("c").last == "END 3000")
    }

    @Test("what happened is counted") func counted() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs lease=20ms
            a< GRANTED jobs write token=1
            b> READ jobs wait=10ms
            + 10ms
            b< TIMEOUT jobs read waited=10ms held-by=1/write
            b> READ jobs wait=0
            b< BUSY jobs read held-by=1/write
            a> READ jobs
            a< DEADLOCK jobs read cycle=1:jobs
            + 10ms
            a< ! EXPIRED jobs token=1
            a> WRITE mail
            a< GRANTED mail write token=2
            a dies
            b> REVOKE mail token=2
            b< DENIED mail revoke reason=not-permitted
            """)
        let counts = [
            ("timeouts", 1), ("busy", 1), ("deadlocks", 1), ("expired-leases", 1), ("grants", 2),
            ("died-holding", 1),
            ("denied", 1), ("order-broken", 0),
        ]
        for (name, count) in counts { #expect(room.stat("total-\(name)") == count, "\(name)") }
    }

    @Test("a lock that vanishes while it is told ends its STATUS (G12)") func vanishingLock() {
        let room = Room()
        for number in 0..<3_000 { room.send("a", "READ jobs owner=t\(number)\n") }
        room.say("c", "STATUS jobs\n")
        room.take("c", 30_000)
        room.die("a")
        let lines = room.hear("c")
        #expect(lines.last?.hasPrefix("END ") == true)
        #expect(room.send("c", "STATUS jobs\n") == ["END 0"])
    }

    @Test("a client that does not read is no longer read from, until it has read (G12)")
    func unread() {
        let room = Room { $0.limits.unread = 1_000 }
        room.say("a", String(repeating: "PING\n", count: 150))
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        #expect(room.interest(in: "a") == .open(reads: true, writes: true))
        room.say("a", String(repeating: "PING\n", count: 100))
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        #expect(room.interest(in: "a") == .open(reads: false, writes: true))
        room.take("a", 300)
        // Lines that were left have their turn first.
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        #expect(room.interest(in: "a") == .open(reads: true, writes: true))
        #expect(room.hear("a").count == 250 - 60)
    }

    @Test("notices that a watcher is too slow for are counted, and told when there is room (G12)")
    func missed() {
        let room = Room { $0.limits.unread = 1_000 }
        room.send("w", "WATCH\n")
        for _ in 0..<100 { room.send("a", "WRITE jobs\nRELEASE jobs\n") }
        #expect(room.owed("w") < 1_200)
        let lines = room.hear("w")
        #expect(lines.last?.hasPrefix("! MISSED ") == true)
        let missed = lines.last.flatMap { Int($0.split(separator: " ").last ?? "") } ?? 0
        #expect(lines.count - 1 + missed == 200)
        room.send("a", "WRITE jobs\n")
        #expect(room.hear("w").count == 1)
    }

    @Test("over the hard limit a session is cut off, and what it held is free (G12)") func cutOff() {
        let room = Room {
            $0.limits.unread = 1_000
            $0.limits.unreadAtMost = 2_000
        }
        room.send("a", "WRITE mine\n")
        // Replies that other sessions caused count as well.
        for number in 0..<100 { room.send("b", "WRITE lock-\(number)\n") }
        for number in 0..<100 { room.say("a", "READ lock-\(number)\n") }
        for number in 0..<100 { room.send("b", "RELEASE lock-\(number)\n") }
        #expect(room.interest(in: "a") == .close)
        #expect(room.owed("a") < 3_000)
        #expect(room.hear("a").last?.hasPrefix("ERROR limit-buffers ") == true)
        #expect(room.server.takeEvents().map(\.kind).contains(.limitHit("limit-buffers")))
        #expect(room.send("c", "WRITE mine wait=0\n").first?.hasPrefix("GRANTED mine write") == true)
        #expect(room.send("b", "PING\n") == ["PONG"])
    }

    @Test("over the limit of all buffers the one who keeps most is cut off, not the one who comes next (G12)")
    func allBuffers() {
        let room = Room { $0.limits.buffers = 10_000 }
        room.say("a", String(repeating: "PING\n", count: 600))
        room.say("b", String(repeating: "PING\n", count: 1_300))
        room.send("c", "WRITE jobs\n")
        #expect(room.interest(in: "c") == .open(reads: true, writes: false))
        room.say("c", String(repeating: "PING\n", count: 200))
        #expect(room.interest(in: "b") == .close)
        #expect(room.interest(in: "a") == .open(reads: true, writes: true))
        #expect(room.hear("c").count == 200 && room.hear("a").count == 600)
        room.close("b")
        #expect(room.stat("buffered-bytes") == 0)
    }

    @Test("half lines of many sessions count, and are given back (G12)") func halfLines() {
        let room = Room()
        for letter in "abcdefgh" { room.say(letter, String(repeating: "x", count: 1_000)) }
        #expect(room.stat("buffered-bytes") == 8_000)
        for letter in "abcd" { room.close(letter) }
        for letter in "efgh" { room.send(letter, "\n") }
        #expect(room.stat("buffered-bytes") == 0)
    }

    @Test("limits have their codes: sessions, grants, waiters, locks (G12)") func codes() {
        let room = Room {
            $0.limits.rules.sessions = 2
            $0.limits.rules.sessionGrants = 2
            $0.limits.rules.sessionWaiters = 1
            $0.limits.rules.locks = 2
        }
        room.open("a")
        room.open("b")
        #expect(room.server.open(Peer(processID: 9, userID: 0, groupID: 0), at: room.now) == nil)
        #expect(String(decoding: Server.refusal, as: UTF8.self).hasPrefix("ERROR limit-sessions "))
        room.send("a", "WRITE one\nWRITE two\n")
        #expect(room.send("a", "WRITE one wait=0\n").first?.hasPrefix("ERROR limit-grants ") == true)
        #expect(room.send("b", "WRITE three\n").first?.hasPrefix("ERROR limit-locks ") == true)
        #expect(room.send("b", "WRITE one\nREAD two\n").first?.hasPrefix("ERROR limit-waiters ") == true)
        #expect(
            room.server.takeEvents().map(\.kind) == [
                .limitHit("limit-sessions"), .limitHit("limit-grants"), .limitHit("limit-locks"),
                .limitHit("limit-waiters"),
            ])
    }

    @Test("of a flood of events a few are told, and the rest counted") func events() {
        let room = Room()
        for _ in 0..<100 { room.send("a", "WRITE jobs\nWRITE jobs\nRELEASE jobs\n") }
        let events = room.server.takeEvents()
        #expect(events.count == 65 && events.last?.kind == .more(36))
        #expect(room.server.takeEvents().isEmpty)
    }

    @Test("the session of a granted request is sent to before the one that released the lock") func handOver()
    {
        let room = Room()
        room.say("a", "WRITE jobs\n")
        room.say("b", "WRITE jobs\n")
        room.hear("a")
        while room.server.nextReadySession() != nil {}
        room.say("a", "RELEASE jobs\n")
        #expect(room.server.nextReadySession() == room.session("b"))
        #expect(room.server.nextReadySession() == room.session("a"))
    }

    @Test("each session that has something to be sent is told of once") func readySessions() {
        let room = Room()
        room.say("a", "WRITE jobs\nPING\n")
        room.say("b", "#w WRITE jobs\n")
        room.say("a", "RELEASE jobs\n")
        var ready: [SessionID] = []
        while let session = room.server.nextReadySession() { ready.append(session) }
        #expect(Set(ready) == [room.session("a"), room.session("b")] && ready.count == 2)
        room.hear("a")
        room.say("a", "PING\n")
        #expect(room.server.nextReadySession() == room.session("a"))
    }

    @Test(
        "the buffers of an ended session do not count when its end fills another's buffer (G12, G13)")
    func endAtTheLimitOfBuffers() {
        let room = Room { $0.limits.buffers = 300 }
        room.say("a", "WRITE jobs\n")
        room.say("b", "WRITE jobs\n")
        for _ in 0..<53 { room.say("a", "PING\n") }
        #expect(room.owed("a") > 290)
        // The reply to `b` fits only because the buffers of `a` no longer count.
        room.die("a")
        #expect(room.hear("b") == ["GRANTED jobs write token=2 ownerdied=1"])
        #expect(room.interest(in: "a") == .close)
    }
}
