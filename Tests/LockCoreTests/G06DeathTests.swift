import LockCore
import LockVocabulary
import Testing

@Suite("G6 death") struct DeathTests {
    @Test("all that a session held goes to the next in line (G6)") func heldIsFree() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            a/t1 read mail : read 2
            a/t2 update post : update 3
            b write jobs   : waiting
            c write mail   : waiting
            d update post  : waiting
            a ends         : a died holding 3, jobs | d post update 4 | c mail write 5 | b jobs write 6 ownerdied
            """)
    }

    @Test("all that a session waited for is gone, unanswered, and lets those behind move up (G6)")
    func waitedForIsGone() {
        let world = World()
        world.play(
            """
            a read jobs    : read 1
            b write jobs   : waiting
            b/t2 read jobs : waiting
            c read jobs    : waiting
            b ends         : c jobs read 2
            """)
    }

    @Test("a session's own requests get nothing of what its own end sets free (G6)") func nothingForItself() {
        let world = World()
        world.play(
            """
            a/t1 write jobs : write 1
            a/t2 write jobs : waiting
            a/t3 read jobs  : waiting
            b read jobs     : waiting
            a ends          : a died holding 1, jobs | b jobs read 2 ownerdied
            """)
        #expect(world.table.grantCount == 1 && world.table.waiterCount == 0)
    }

    @Test("the end of a session that had nothing is nothing to anybody (G6)") func nothingAtAll() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            a release jobs : released 1
            a ends         :
            """)
        #expect(world.table.lockCount == 0 && world.table.sessionCount == 0)
    }

    @Test("what is due by then happens before the end (G6, G9)") func dueFirst() {
        let world = World()
        world.play("a write jobs lease=5ms : write 1")
        world.skip(.milliseconds(5))
        world.play("a ends : a jobs expired 1")
    }

    @Test("a session that waits for its upgrade dies (G6, G10)") func dyingUpgrade() {
        let world = World()
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            a upgrade jobs : waiting
            c read jobs    : waiting
            a ends         : a died holding 1, jobs | c jobs read 3
            """)
    }

    @Test("a place that was given up is used again by another session, which has nothing of the last (G6)")
    func placesAreUsedAgain() {
        let world = World()
        let first = world.session("a")
        world.play(
            """
            a write jobs : write 1
            a ends       : a died holding 1, jobs
            b release jobs : notHeld
            """)
        let second = world.session("b")
        #expect(first.slot == second.slot && first != second)
    }

    @Test("a session that holds ten thousand locks ends, and all are free (G6)") func manyLocks() throws {
        let world = World()
        let session = world.session("a")
        for number in 0..<10_000 {
            let decision = world.table.acquire(
                Acquisition(name("lock-\(number)"), .read), by: session, at: world.now)
            guard case .granted = decision else {
                Issue.record("lock \(number): \(decision)")
                return
            }
        }
        world.play("a read more : limit grants")
        world.end("a")
        #expect(world.news() == ["a died holding 10000, lock-9999"])
        #expect(world.table.lockCount == 0)
        try world.table.checkInvariants()
    }

    @Test(
        "a session that holds hundreds of locks, one of them twice, ends; so do as many leases at once (G6, G9)"
    )
    func oneOfThemTwice() throws {
        let world = World()
        for lease in [TimeLimit.forever, .upTo(.seconds(1))] {
            let session = world.session("a")
            for number in [0] + Array(0..<1_000) {
                _ = world.table.acquire(
                    Acquisition(name("lock-\(number)"), .read, lease: lease), by: session, at: world.now)
            }
            if lease == .forever { world.end("a") } else { world.pass(.seconds(1)) }
            #expect(world.table.lockCount == 0)
            try world.table.checkInvariants()
        }
    }
}
