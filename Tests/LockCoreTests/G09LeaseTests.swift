import LockCore
import LockVocabulary
import Testing

@Suite("G9 leases") struct LeaseTests {
    @Test("a lease ends on time, its holder is told, and the next has the lock (G9)") func onTime() {
        let world = World()
        world.play(
            """
            a write jobs lease=30s : write 1
            b write jobs           : waiting
            + 29999ms              :
            + 1ms                  : a jobs expired 1 | b jobs write 2 ownerdied
            a release jobs         : notHeld
            """)
    }

    @Test("no grant without a lease ever ends by time (G9)") func noLease() {
        let world = World()
        world.play(
            """
            a write jobs            : write 1
            b read mail lease=forever : read 2
            + 876000h               :
            a validate jobs token=1 : valid
            a validate mail token=2 : valid
            """)
    }

    @Test("the lease of a request begins with its grant (G9)") func beginsWithTheGrant() {
        let world = World()
        world.play(
            """
            a write jobs            : write 1
            b write jobs lease=10ms : waiting
            + 100ms                 :
            a release jobs          : released 1 | b jobs write 2
            + 9ms                   :
            + 1ms                   : b jobs expired 2
            """)
    }

    @Test("RENEW counts from now; without a length, as long as before (G9)") func renewal() {
        let world = World()
        world.play(
            """
            a read jobs lease=10ms : read 1
            + 9ms                  :
            a renew jobs           : renewed 1 10ms
            + 9ms                  :
            a renew jobs lease=20ms : renewed 1 20ms
            + 19ms                 :
            a renew jobs           : renewed 1 20ms
            + 19ms                 :
            + 1ms                  : a jobs expired 1
            a renew jobs           : notHeld
            """)
    }

    @Test("RENEW may make a lease shorter, begin one, or take it away (G9)") func otherLeases() {
        let world = World()
        world.play(
            """
            a write jobs              : write 1
            a renew jobs              : noLease
            a renew jobs lease=1h     : renewed 1 3600000ms
            a renew jobs lease=forever : renewed 1 forever
            a renew jobs              : noLease
            + 2h                      :
            a renew jobs lease=5ms    : renewed 1 5ms
            + 5ms                     : a jobs expired 1
            """)
    }

    @Test("a renewal that comes at the end comes too late (G9)") func tooLate() {
        let world = World()
        world.play("a write jobs lease=10ms : write 1")
        world.skip(.milliseconds(10))
        world.play("a renew jobs : notHeld | a jobs expired 1")
    }

    @Test("each of an owner's grants has its own lease (G9, G4)") func eachItsOwn() {
        let world = World()
        world.play(
            """
            a read jobs lease=10ms    : read 1
            a read jobs               : read 2
            a read jobs lease=20ms    : read 3
            b write jobs              : waiting
            a renew jobs lease=1s     : ambiguous
            + 10ms                    : a jobs expired 1
            a renew jobs token=3 lease=30ms : renewed 3 30ms
            a release jobs token=2    : released 2
            + 30ms                    : a jobs expired 3 | b jobs write 4
            """)
    }

    @Test("an upgrade and a downgrade keep the lease and its end (G9, G10)") func throughModes() {
        let world = World()
        world.play(
            """
            a update jobs lease=10ms : update 1
            + 4ms                    :
            a upgrade jobs           : write 2
            + 4ms                    :
            a downgrade jobs         : read 2
            + 2ms                    : a jobs expired 2
            """)
    }

    @Test("in turns, an upgrade is not granted once the lease of its grant has ended (G9)")
    func upgradeInTurns() throws {
        let world = World()
        world.table.completesAtOnce = false
        func read(_ account: Int, lease: Duration) throws -> SessionID {
            let opened = world.table.openSession(account: AccountID(rawValue: account))
            let session = try #require(opened)
            let request = Acquisition(name("jobs"), .read, lease: .upTo(lease))
            _ = world.table.acquire(request, by: session, at: world.now)
            return session
        }
        _ = try read(1, lease: .milliseconds(10))
        let second = try read(2, lease: .milliseconds(20))
        _ = world.table.upgrade(name("jobs"), by: second, at: world.now)
        world.skip(.milliseconds(30))
        world.table.advance(to: world.now)
        world.table.work(atMost: 100)
        let answers = world.table.effects.filter {
            if case .granted = $0 { return true }
            if case .refused(second, _, _, _, .cancelled) = $0 { return true }
            return false
        }
        #expect(answers.count == 1)
        #expect(world.table.lockCount == 0)
    }
}
