import LockCore
import LockVocabulary
import Testing

@Suite("Which request, which grant") struct RequestsAndGrantsTests {
    @Test("without owner or token the only grant of the whole session is meant") func theOnlyOne() {
        let world = World()
        world.play(
            """
            a/t1 read jobs    : read 1
            a release jobs    : released 1
            a/t1 read jobs    : read 2
            a/t2 read jobs    : read 3
            a release jobs    : ambiguous
            a/- release jobs  : notHeld
            a/t3 release jobs : notHeld
            b release jobs    : notHeld
            b release jobs token=2 : notHeld
            a/t2 release jobs token=2 : notHeld
            a/t2 release jobs : released 3
            a release jobs    : released 2
            """)
    }

    @Test("all that an owner has ends in one step, and leaves no mark (G11)") func all() {
        let world = World()
        world.play(
            """
            a/t1 write jobs      : write 1
            a/t1 read mail       : read 2
            a/t2 read mail       : read 3
            b read mail          : read 4
            a/t1 upgrade mail tag=u : waiting
            c read jobs tag=j    : waiting
            c write mail tag=m   : waiting
            a/t1 releaseAll      : released 2, cancelled 1 | a#u mail write cancelled | c#j jobs read 5
            jobs marked          : no
            mail held            : a/t2 read, b read
            a/t1 releaseAll      : released 0, cancelled 0
            a/t3 releaseAll      : released 0, cancelled 0
            a/t2 releaseAll      : released 1, cancelled 0
            b releaseAll         : released 1, cancelled 0 | c#m mail write 6
            """)
    }

    @Test("a cancel needs no more than what tells one request from the others") func cancel() {
        let world = World()
        world.play(
            """
            a write jobs            : write 1
            b/t1 read jobs tag=x    : waiting
            b/t2 read jobs tag=y    : waiting
            b/t2 read jobs          : waiting
            b cancel jobs           : ambiguous
            b/t2 cancel jobs        : ambiguous
            b/t1 cancel jobs        : cancelled read | b#x jobs read cancelled
            b/t1 cancel jobs        : notWaiting
            b cancel jobs tag=x     : notWaiting
            b cancel jobs tag=y     : cancelled jobs read | b#y jobs read cancelled
            b cancel jobs           : cancelled read | b jobs read cancelled
            b cancel jobs           : notWaiting
            c cancel none           : notWaiting
            """)
    }

    @Test("a tag is open exactly while its request waits") func openTags() {
        let world = World()
        guard let tag = LockVocabulary.Tag("x") else { return }
        let session = world.session("b")
        world.play(
            """
            a write jobs      : write 1
            b read jobs tag=x : waiting
            """)
        let isOpen = world.table.isOpen(tag, in: session)
        let isOpenElsewhere = world.table.isOpen(tag, in: world.session("a"))
        #expect(isOpen && !isOpenElsewhere)
        world.play("a release jobs : released 1 | b#x jobs read 2")
        let isStillOpen = world.table.isOpen(tag, in: session)
        #expect(!isStillOpen)
    }

    @Test("a revocation needs the lock and the token of one grant") func revoke() {
        let world = World()
        world.play(
            """
            a read jobs           : read 1
            b write mail          : write 2
            c write jobs          : waiting
            d revoke jobs token=2 : notHeld
            d revoke none token=1 : notHeld
            d revoke jobs token=9 : notHeld
            d revoke jobs token=1 : revoked | a jobs revoked 1 | c jobs write 3
            a release jobs        : notHeld
            """)
    }

    @Test("while the daemon drains, new requests are refused and the rest goes on") func drain() {
        let world = World()
        world.play(
            """
            a update jobs   : update 1
            b read jobs     : read 2
            c write jobs    : waiting
            drain           :
            d read mail     : draining
            b read jobs     : draining
            a upgrade jobs  : waiting
            b release jobs  : released 2 | a jobs write 3
            a renew jobs lease=1s : renewed 3 1000ms
            a downgrade jobs : read 3
            a release jobs  : released 3 | c jobs write 4
            """)
    }
}

@Suite("Recall") struct RecallTests {
    @Test("a session that wants recalls gets one for a grant when a request waits for it") func toldOnce() {
        let world = World()
        world.play(
            """
            a recall on    :
            a write jobs   : write 1
            b write jobs   : waiting | a jobs recalled 1
            c write jobs   : waiting
            a release jobs : released 1 | b jobs write 2
            """)
    }

    @Test("a grant that a request already waits for is recalled right after it is granted") func atOnce() {
        let world = World()
        world.play(
            """
            b recall on    :
            a write jobs   : write 1
            b write jobs   : waiting
            c write jobs   : waiting
            a release jobs : released 1 | b jobs write 2 | b jobs recalled 2
            """)
    }

    @Test("a session that enables recalls while a request waits gets the recall at once") func askedLate() {
        let world = World()
        world.play(
            """
            a/t1 read jobs : read 1
            a/t2 read jobs : read 2
            b write jobs   : waiting
            a recall on    : a jobs recalled 2 | a jobs recalled 1
            a recall off   :
            """)
    }

    @Test("a request that does not conflict with a grant causes no recall of it") func noConflict() {
        let world = World()
        world.play(
            """
            a recall on    :
            a read jobs    : read 1
            b update jobs  : update 2
            c update jobs  : waiting
            b upgrade jobs : waiting | a jobs recalled 1
            """)
    }

    @Test("an updater is not recalled for its own upgrade, but the readers are") func ownUpgrade() {
        let world = World()
        world.play(
            """
            a recall on    :
            b recall on    :
            a update jobs  : update 1
            b read jobs    : read 2
            a upgrade jobs : waiting | b jobs recalled 2
            c write jobs   : waiting | a jobs recalled 1
            b release jobs : released 2 | a jobs write 3 | a jobs recalled 3
            """)
    }

    @Test("a session without recall=1 gets no recall") func notAsked() {
        let world = World()
        world.play(
            """
            a recall on  :
            a recall off :
            a write jobs : write 1
            b write jobs : waiting
            """)
    }
}

@Suite("Watching") struct WatchingTests {
    @Test("while it is observed, every step of a grant and a request is told") func everyStep() {
        let world = World()
        world.table.isObserved = true
        world.play(
            """
            a write jobs           : write 1 | ~ a jobs granted write 1
            b read jobs            : waiting | ~ b jobs waiting read
            c read jobs wait=1ms   : waiting | ~ c jobs waiting read
            + 1ms                  : c jobs read timeout 1ms a write | ~ c jobs timeout read
            b cancel jobs          : cancelled read | b jobs read cancelled | ~ b jobs cancelled read
            a downgrade jobs       : read 1 | ~ a jobs downgraded read 1
            b read jobs lease=1ms  : read 2 | ~ b jobs granted read 2
            + 1ms                  : b jobs expired 2 | ~ b jobs expired read 2
            b upgrade jobs         : notHeld
            a upgrade jobs         : write 3 | ~ a jobs upgraded read 1 | ~ a jobs granted write 3
            c revoke jobs token=3  : revoked | a jobs revoked 3 | ~ a jobs revoked write 3
            a read jobs            : read 4 ownerdied | ~ a jobs granted read 4
            a ends                 : ~ a jobs died read 4 | a died holding 1, jobs
            b write jobs           : write 5 ownerdied | ~ b jobs granted write 5
            b release jobs         : released 5 | ~ b jobs released write 5
            """)
    }
}
