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
            a< OK 0
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
