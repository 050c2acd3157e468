import LockServer
import LockVocabulary
import Testing

@Suite("G6 ends") struct EndTests {
    @Test("a death frees, marks and tells (G6, G11)") func death() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.send("b", "WRITE jobs\n")
        room.die("a")
        #expect(room.interest(in: "a") == .close)
        #expect(room.hear("b") == ["GRANTED jobs write token=2 ownerdied=1"])
        #expect(room.server.takeEvents().map(\.kind) == [.diedHolding(grants: 1)])
    }

    @Test(
        "at the end of input complete lines are carried out, what would wait is dropped, a half line is nothing (G6)"
    )
    func endOfInput() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.say("b", "PING\nREAD jobs wait=5s\nWRITE mail\nRELEASE ma")
        room.endOfInput("b")
        #expect(room.interest(in: "b") == .open(reads: false, writes: true))
        #expect(room.hear("b") == ["PONG", "GRANTED mail write token=2"])
        #expect(room.interest(in: "b") == .close)
        #expect(room.send("c", "STATUS jobs\n").count == 2)
        #expect(room.send("c", "WRITE mail wait=0\n") == ["GRANTED mail write token=3 ownerdied=1"])
        room.pass(.seconds(10))
        #expect(room.hear("b") == [])
    }

    @Test("a session whose input has ended takes nothing more, and dies but once (G6)") func afterTheEnd() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.endOfInput("a")
        room.say("a", "WRITE jobs\n")
        room.endOfInput("a")
        room.die("a")
        room.close("a")
        #expect(room.stat("sessions") == 1 && room.stat("grants") == 0)
    }

    @Test("lines behind a long list wait for it, and a release among them is not lost at the end (G6)")
    func parkedLines() {
        let room = Room()
        for number in 0..<5_000 { room.send("a", "READ lock-\(number)\n") }
        room.send("b", "WRITE mine\n")
        room.send("d", "WRITE other\n")
        room.say("d", "LIST\nRELEASE other\n#p PING\n")
        #expect(room.interest(in: "d") == .open(reads: false, writes: true))
        #expect(room.send("c", "WRITE other wait=0\n") == ["BUSY other write held-by=4/write"])
        room.endOfInput("d")
        #expect(room.send("c", "WRITE other wait=0\n") == ["BUSY other write held-by=4/write"])
        let lines = room.hear("d")
        #expect(room.send("c", "WRITE other wait=0\n") == ["GRANTED other write token=5003"])
        #expect(lines.filter { $0.hasPrefix("* lock ") }.count == 5_002)
        #expect(lines.suffix(3) == ["END 5002", "RELEASED other token=5002", "#p PONG"])
        #expect(room.interest(in: "d") == .close)
    }

    @Test("a release behind a list that was never read is carried out at a death (G6)") func unreadList() {
        let room = Room()
        for number in 0..<5_000 { room.send("a", "READ lock-\(number)\n") }
        room.send("d", "WRITE other\n")
        room.say("d", "LIST\nRELEASE other\nWRITE never\n")
        room.die("d")
        #expect(room.send("c", "WRITE other wait=0\n") == ["GRANTED other write token=5003"])
    }

    @Test("of a holder and a waiter that die together, the lock passes to the living, once marked (G6, G11)")
    func deadTogether() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.send("b", "WRITE jobs\n")
        room.send("c", "WRITE jobs\n")
        room.dieTogether("a", "b")
        #expect(room.hear("c") == ["GRANTED jobs write token=2 ownerdied=1"])
        #expect(room.server.takeEvents().map(\.kind) == [.diedHolding(grants: 1)])
    }

    @Test("a place that is free again is another session's, and nothing of the last one's comes to it (G6)")
    func anotherSession() {
        let room = Room()
        room.send("a", "HELLO client=first recall=1\n")
        room.send("a", "WATCH\n")
        room.say("a", "WRITE half")
        let first = room.session("a")
        room.die("a")
        room.close("a")
        let second = room.open("a")
        #expect(second?.slot == first.slot && second != first)
        #expect(room.send("a", "PING\n") == ["PONG"])
        room.send("b", "READ jobs\n")
        #expect(room.hear("a") == [])
        #expect(room.stat("watchers") == 0)
    }
}
