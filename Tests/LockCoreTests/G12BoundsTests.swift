import LockCore
import Testing

@Suite("G12 bounds of the rules") struct BoundsTests {
    private static func world(_ change: (inout Limits) -> Void) -> World {
        var limits = Limits()
        change(&limits)
        return World(limits: limits)
    }

    @Test("a session's grants are limited, with the requests that wait to become one (G12)")
    func sessionGrants() {
        let world = Self.world { $0.sessionGrants = 2 }
        world.play(
            """
            a write one   : write 1
            b write two   : write 2
            b read one    : waiting
            b read three  : limit grants
            b read one wait=0 : limit grants
            a read three  : read 3
            a read three  : limit grants
            a release one : released 1 | b one read 4
            a read one    : read 5
            """)
    }

    @Test("the grants of all sessions together are limited (G12)") func allGrants() {
        let world = Self.world { $0.grants = 2 }
        world.play(
            """
            a write one   : write 1
            b write one   : waiting
            c read two    : limit grants
            a release one : released 1 | b one write 2
            c read two    : read 3
            """)
    }

    @Test("waiting requests are limited, of a session and of all (G12)") func waiters() {
        let world = Self.world {
            $0.sessionWaiters = 1
            $0.waiters = 2
        }
        world.play(
            """
            a write one         : write 1
            b read one          : waiting
            b write one wait=0  : busy a write
            b/t read one        : limit waiters
            c read one          : waiting
            d read one          : limit waiters
            d read one wait=0   : busy a write
            c cancel one        : cancelled read | c one read cancelled
            d read one          : waiting
            """)
    }

    @Test("an upgrade that would wait is limited as any request that waits (G12)") func upgrades() {
        let world = Self.world { $0.waiters = 0 }
        world.play(
            """
            a read one    : read 1
            b read one    : read 2
            a upgrade one : limit waiters
            b release one : released 2
            a upgrade one : write 3
            """)
    }

    @Test("locks are limited; those that are there go on (G12)") func locks() {
        let world = Self.world { $0.locks = 1 }
        world.play(
            """
            a read one    : read 1
            a read two    : limit locks
            b read one    : read 2
            a release one : released 1
            b release one : released 2
            a read two    : read 3
            """)
    }

    @Test("in a batch, one command may look through a lock of any size (G12)") func longLook() {
        let world = World()
        world.play(
            """
            a read jobs            : read 1
            b read jobs            : read 2
            c read jobs            : read 3
            d read mail lease=10ms : read 4
            """)
        world.table.completesAtOnce = false
        world.table.limits.searchSteps = 2
        world.skip(.milliseconds(10))
        world.table.advance(to: world.now)
        let session = world.session("a")
        func settles() -> Bool { world.table.settle(name("jobs"), for: session) }
        #expect(settles())
        #expect(!settles())
        world.table.beginBatch()
        #expect(settles())
        world.table.work(atMost: 100)
        // Nothing is due any more, so there is nothing to look for.
        #expect(settles())
    }

    @Test("sessions are limited (G12)") func sessions() {
        let world = Self.world { $0.sessions = 1 }
        _ = world.session("a")
        #expect(world.table.openSession() == nil)
        world.end("a")
        #expect(world.table.openSession() != nil)
    }

    @Test("a limit that is lowered takes nothing away (G12)") func lowered() {
        let world = World()
        world.play(
            """
            a write one : write 1
            a write two : write 2
            a ends      : a died holding 2, two
            b read one  : read 3 ownerdied
            b read two  : read 4 ownerdied
            """)
        world.table.limits.locks = 1
        world.table.limits.sessionGrants = 1
        world.table.limits.marks = 1
        world.play(
            """
            b read three  : limit grants
            b release two : released 4
            c read two    : read 5 ownerdied
            """)
    }

    @Test("an unused name takes no memory (G12)") func nothingIsLeft() {
        let world = World()
        world.play(
            """
            a write one     : write 1
            b read one wait=1ms : waiting
            + 1ms           : b one read timeout 1ms a write
            a release one   : released 1
            b release other : notHeld
            b cancel other  : notWaiting
            b validate other token=1 : stale
            """)
        #expect(world.table.lockCount == 0)
    }
}
