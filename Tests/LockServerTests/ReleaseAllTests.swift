import LockServer
import LockVocabulary
import Testing

@Suite("RELEASE *: all that an owner has") struct ReleaseAllTests {
    @Test(
        "its grants are free and its requests withdrawn in one step; others of the session keep what they have"
    )
    func oneStep() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs owner=t1
            a< GRANTED jobs write token=1
            a> READ mail owner=t1
            a< GRANTED mail read token=2
            a> READ mail owner=t2
            a< GRANTED mail read token=3
            a> READ mail
            a< GRANTED mail read token=4
            b> READ post
            b< GRANTED post read token=5
            a> UPDATE post owner=t1
            a< GRANTED post update token=6
            a> #up UPGRADE post owner=t1
            c> #j READ jobs
            d> #p UPDATE post wait=5s
            a> #all RELEASE * owner=t1
            a< #up CANCELLED post write
            a< #all RELEASED * grants=3 waiters=1
            d< #p GRANTED post update token=7
            c< #j GRANTED jobs read token=8
            b> STATUS mail
            b< * holder pid=1 mode=read owner=t2 token=3 age=0ms lease=- note=-
            b< * holder pid=1 mode=read owner=- token=4 age=0ms lease=- note=-
            b< END 2
            a> RELEASE * owner=-
            a< RELEASED * grants=1 waiters=0
            a> RELEASE * owner=-
            a< RELEASED * grants=0 waiters=0
            a> RELEASE * owner=none
            a< RELEASED * grants=0 waiters=0
            """)
    }

    @Test(
        "none of its requests is granted what it gives back, so that nothing is granted to a thread that is gone"
    )
    func nothingToItself() {
        let room = Room()
        room.play(
            """
            a> READ jobs owner=t1
            a< GRANTED jobs read token=1
            b> #w WRITE jobs
            a> #1 READ jobs owner=t2
            a> #2 RELEASE * owner=t2
            a< #1 CANCELLED jobs read
            a< #2 RELEASED * grants=0 waiters=1
            a> #3 READ jobs owner=t2
            a> #4 RELEASE * owner=t1
            a< #4 RELEASED * grants=1 waiters=0
            b< #w GRANTED jobs write token=2
            """)
    }

    @Test("marks are as after RELEASE: the writer was there to the end (G11)") func marks() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs owner=t1
            a< GRANTED jobs write token=1
            a dies
            b> WRITE jobs owner=t1
            b< GRANTED jobs write token=2 ownerdied=1
            b> RELEASE * owner=t1
            b< RELEASED * grants=1 waiters=0
            c> WRITE jobs
            c< GRANTED jobs write token=3
            """)
    }

    @Test("it counts in its user's turn as one line for each grant (G12)") func turn() {
        let room = Room()
        room.open("a", userID: 1_001)
        room.open("b", userID: 1_002)
        for number in 0..<300 { room.send("a", "READ jobs/\(number) owner=t1\n") }
        // In a new round a session has a quota of 64; these 300 use it up.
        room.server.advance(to: room.now)
        room.say("a", "RELEASE * owner=t1\nPING\n")
        let isParked = room.server.hasUnfinishedWork
        #expect(isParked)
        #expect(room.hear("a") == ["RELEASED * grants=300 waiters=0", "PONG"])
    }

    @Test("watchers are told of each, and read the reply to it last") func watched() {
        let room = Room()
        room.play(
            """
            b> WRITE mail
            b< GRANTED mail write token=1
            a> WRITE jobs owner=t1
            a< GRANTED jobs write token=2
            a> #r READ mail owner=t1
            a> WATCH
            a< OK
            a> RELEASE * owner=t1
            a< #r CANCELLED mail read
            a< ! CHANGED mail cancelled pid=1 mode=read token=- owner=t1 tag=#r request=1 upgrades=-
            a< ! CHANGED jobs released pid=1 mode=write token=2 owner=t1 tag=- request=- upgrades=-
            a< RELEASED * grants=1 waiters=1
            """)
    }
}
