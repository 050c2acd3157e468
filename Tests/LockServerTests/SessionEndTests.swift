import LockServer
import LockVocabulary
import Testing

@Suite("What is released at the end of a session") struct SessionEndTests {
    private func room() -> Room {
        let room = Room()
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            a> RELEASE jobs at=end
            a< OK
            """)
        return room
    }

    @Test("a process that ended by itself released; one that was killed died") func killed() {
        for (wasKilled, mark) in [(false, ""), (true, " ownerdied=1")] {
            let room = room()
            room.server.endOfInput(room.session("a"), wasKilled: { wasKilled }, at: room.now)
            #expect(room.send("b", "READ jobs\n") == ["GRANTED jobs read token=2\(mark)"])
        }
    }

    @Test("BYE comes last, after a lease and a wait that ended by then")
    func afterBye() {
        let room = Room()
        room.play(
            """
            b> WRITE mail
            b< GRANTED mail write token=1
            a> WRITE jobs lease=20ms
            a< GRANTED jobs write token=2
            a> READ mail wait=20ms
            """)
        room.passUnnoticed(.milliseconds(20))
        #expect(
            room.send("a", "QUIT\n") == [
                "! EXPIRED jobs token=2", "TIMEOUT mail read waited=20ms held-by=2/write", "BYE",
            ])
        #expect(room.send("b", "WRITE jobs\n") == ["GRANTED jobs write token=3 ownerdied=1"])
    }

    @Test("after `limit-buffers` nothing more is told, though more happened in the same instant")
    func afterLimit() {
        let room = Room { $0.limits.unreadAtMost = 100 }
        room.play(
            """
            a> WRITE jobs lease=20ms
            a< GRANTED jobs write token=1
            a> WRITE mail lease=20ms
            a< GRANTED mail write token=2
            a> WRITE post lease=20ms
            a< GRANTED post write token=3
            b> WRITE logs
            b< GRANTED logs write token=4
            a> READ logs wait=20ms
            a> WRITE logs wait=20ms owner=t
            """)
        room.say("a", String(repeating: "PING\n", count: 18))
        room.pass(.milliseconds(20))
        let told = room.hear("a")
        #expect(told.last?.hasPrefix("ERROR limit-buffers ") == true, "\(told)")
        #expect(told.count { !$0.hasPrefix("PONG") && !$0.hasPrefix("ERROR") } == 1, "\(told)")
    }

    @Test("how a process ended is not asked where it makes no difference") func notAsked() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        var isAsked = false
        func ask() -> Bool {
            isAsked = true
            return true
        }
        room.server.endOfInput(room.session("a"), wasKilled: ask, at: room.now)
        #expect(!isAsked)
    }
}
