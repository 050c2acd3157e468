import LockCore
import LockVocabulary
import Testing

@Suite("G5 deadlines") struct DeadlineTests {
    @Test("wait=0 is decided at once and leaves nothing (G5)") func atOnce() {
        let world = World()
        world.play(
            """
            a write jobs        : write 1
            b read jobs wait=0  : busy a write
            jobs awaited        :
            a release jobs      : released 1
            """)
        #expect(world.table.lockCount == 0)
    }

    @Test("a request is decided at its deadline, to the millisecond (G5)") func toTheMillisecond() {
        let world = World()
        world.play(
            """
            a write jobs             : write 1
            b write jobs wait=5000ms : waiting
            c read jobs wait=1ms     : waiting
            + 1ms                    : c jobs read timeout 1ms a write
            + 4998ms                 :
            + 999us                  :
            + 1us                    : b jobs write timeout 5000ms a write
            """)
    }

    @Test("of two things at one instant, the deadline comes before the release (G5)") func deadlineFirst() {
        let world = World()
        world.play(
            """
            a write jobs           : write 1
            b write jobs wait=10ms : waiting
            """)
        world.skip(.milliseconds(10))
        world.play("a release jobs : released 1 | b jobs write timeout 10ms a write")
    }

    @Test("a request is granted up to the last moment before its deadline (G5)") func lastMoment() {
        let world = World()
        world.play(
            """
            a write jobs           : write 1
            b write jobs wait=10ms : waiting
            + 9999us               :
            a release jobs         : released 1 | b jobs write 2
            + 1h                   :
            """)
    }

    @Test(
        "a command that comes late finds what was due before it done, and nothing granted after its time (G5)"
    )
    func neverAfter() {
        let world = World()
        world.play(
            """
            a write jobs lease=20ms : write 1
            b write jobs wait=10ms  : waiting
            c write jobs wait=30ms  : waiting
            d write jobs            : waiting
            """)
        world.skip(.milliseconds(40))
        world.play(
            """
            e read other : read 3 | b jobs write timeout 40ms a write | a jobs expired 1 | \
            c jobs write timeout 40ms ? | d jobs write 2 ownerdied
            """)
    }

    @Test("a lease that ends with a deadline frees for others, not for the one whose time is over (G5, G9)")
    func leaseAndDeadline() {
        let world = World()
        world.play(
            """
            a write jobs lease=10ms : write 1
            b write jobs wait=10ms  : waiting
            c write jobs            : waiting
            + 10ms                  : a jobs expired 1 | b jobs write timeout 10ms ? | c jobs write 2 ownerdied
            """)
    }

    @Test("deadlines run by their own time, whatever the order of the queue (G5)") func anyOrder() {
        let world = World()
        world.play(
            """
            a write jobs           : write 1
            b write jobs wait=30ms : waiting
            c write jobs wait=10ms : waiting
            d write jobs           : waiting
            e write jobs wait=20ms : waiting
            + 1s                   : c jobs write timeout 10ms a write | e jobs write timeout 20ms a write | \
            b jobs write timeout 30ms a write
            jobs awaited           : d write
            """)
    }

    @Test("an upgrade that is not had in time leaves the old grant as it was (G5, G10)") func upgradeInTime()
    {
        let world = World()
        world.play(
            """
            a read jobs              : read 1
            b read jobs              : read 2
            a upgrade jobs wait=10ms : waiting
            + 10ms                   : a jobs write timeout 10ms b read
            a validate jobs token=1  : valid
            c read jobs wait=0       : read 3
            """)
    }

    @Test("a request cannot be cancelled after its deadline, even before time is advanced (G5)")
    func cancelTooLate() {
        let world = World()
        world.play(
            """
            a write jobs           : write 1
            b write jobs wait=10ms : waiting
            """)
        world.skip(.milliseconds(10))
        world.play("b cancel jobs : notWaiting | b jobs write timeout 10ms a write")
    }

    @Test("`nextDeadline` is the next deadline, and nil without one (G5)")
    func nextDeadline() {
        let world = World()
        #expect(world.table.nextDeadline == nil)
        world.play(
            """
            a write jobs            : write 1
            b write jobs wait=30ms  : waiting
            c write mail lease=20ms : write 2
            """)
        #expect(world.table.nextDeadline == world.now.advanced(by: .milliseconds(20)))
        world.play("c release mail : released 2")
        #expect(world.table.nextDeadline == world.now.advanced(by: .milliseconds(30)))
        world.play("b cancel jobs : cancelled write | b jobs write cancelled")
        #expect(world.table.nextDeadline == nil)
    }
}
