import LockServer
import LockVocabulary
import Testing

@Suite("What is read and told, to the letter") struct LetterTests {
    @Test("a watcher is told of a request that is refused when its turn comes") func refused() {
        let room = Room { $0.lastToken = Token(rawValue: 1) }
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> READ jobs
            w> WATCH
            w< OK
            a> RELEASE jobs
            a< RELEASED jobs token=1
            b< ERROR no-token lock=jobs mode=read no fencing token can be given out: the state directory cannot be written to
            w< ! CHANGED jobs released pid=1 mode=write token=1 owner=- tag=- request=- upgrades=-
            w< ! CHANGED jobs refused pid=2 mode=read token=- owner=- tag=- request=1 upgrades=-
            """)
    }

    @Test("an age is told to the millisecond, in seconds from the first on") func age() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.pass(.milliseconds(999))
        #expect(room.send("b", "STATUS jobs\n").first?.contains(" age=999ms ") == true)
        room.pass(.milliseconds(1))
        #expect(room.send("b", "STATUS jobs\n").first?.contains(" age=1s ") == true)
        for (pass, spelled) in [(1, "1.001s"), (11, "1.012s"), (113, "1.125s"), (875, "2s")] {
            room.pass(.milliseconds(pass))
            #expect(room.send("b", "STATUS jobs\n").first?.contains(" age=\(spelled) ") == true)
        }
    }

    @Test("a verb with any letter wrong is none") func verbs() {
        let room = Room()
        for verb in ["READ", "WRITE", "UPDATE", "RELEASE", "UPGRADE", "PING", "STATUS", "LIST", "WATCH"] {
            for place in verb.indices {
                var wrong = verb
                wrong.replaceSubrange(place...place, with: "X")
                #expect(room.send("a", "\(wrong) jobs\n").first?.hasPrefix("ERROR unknown-verb") == true)
            }
        }
    }

    @Test("a word of an option with any letter wrong is none") func words() {
        let room = Room()
        for word in ["wait", "lease", "owner", "note"] {
            for place in word.indices {
                var wrong = word
                wrong.replaceSubrange(place...place, with: "x")
                #expect(
                    room.send("a", "READ jobs \(wrong)=0\n").first?.hasPrefix("ERROR unknown-argument")
                        == true)
            }
        }
        for wrong in ["xead", "rxad", "rexd", "reax"] {
            #expect(room.send("a", "DOWNGRADE jobs to=\(wrong)\n").first?.hasPrefix("ERROR bad-mode") == true)
        }
    }
}
