import LockCore
import Testing

@Suite("G11 owner died") struct OwnerDiedTests {
    @Test("a write grant that ends by death, expiry or revocation marks the lock (G11)") func allWays() {
        let world = World()
        world.play(
            """
            a write dead            : write 1
            a ends                  : a died holding 1, dead
            b write late lease=10ms : write 2
            + 10ms                  : b late expired 2
            c write taken           : write 3
            d revoke taken token=3  : revoked | c taken revoked 3
            e read dead             : read 4 ownerdied
            e read late             : read 5 ownerdied
            e update taken          : update 6 ownerdied
            """)
    }

    @Test("RELEASE and DOWNGRADE leave no mark, nor does the end of a read or update grant (G11)")
    func cleanWays() {
        let world = World()
        world.play(
            """
            a write one              : write 1
            a release one            : released 1
            a write two              : write 2
            a downgrade two          : read 2
            a write three            : write 3
            a downgrade three to=update : update 3
            a read four lease=10ms   : read 4
            a ends                   : a died holding 3, three
            one marked               : no
            two marked               : no
            three marked             : no
            four marked              : no
            """)
        #expect(world.table.lockCount == 0)
    }

    @Test("what was released for the session's end beforehand leaves no mark at any end (G11)") func atEnd() {
        let world = World()
        world.play(
            """
            a write one                : write 1
            a leave one                : leaves 1
            a update two               : update 2
            a leave two                : leaves 2
            a upgrade two              : write 3
            a write three              : write 4
            b write one                : waiting
            a leave four               : notHeld
            a ends                     : a died holding 1, three | b one write 5
            two marked                 : no
            three marked               : yes
            """)
    }

    @Test("what was released for the session's end can still be revoked, and leaves its mark (G11)")
    func revokedBeforeTheEnd() {
        let world = World()
        world.play(
            """
            a write one            : write 1
            a leave one            : leaves 1
            b revoke one token=1   : revoked | a one revoked 1
            one marked             : yes
            """)
    }

    @Test("every later grant says so, until a write grant made afterwards was released (G11)") func until() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b read jobs    : waiting
            a ends         : a died holding 1, jobs | b jobs read 2 ownerdied
            c read jobs    : read 3 ownerdied
            b release jobs : released 2
            c upgrade jobs : write 4 ownerdied
            d read jobs    : waiting
            c release jobs : released 4 | d jobs read 5
            jobs marked    : no
            """)
    }

    @Test("… or downgraded; the answer to that says nothing of it any more (G11)") func untilDowngraded() {
        let world = World()
        world.play(
            """
            a write jobs              : write 1
            a ends                    : a died holding 1, jobs
            b write jobs              : write 2 ownerdied
            b downgrade jobs to=update : update 2
            c read jobs               : read 3
            """)
    }

    @Test("a writer that dies over the repair leaves the mark (G11)") func diesOverTheRepair() {
        let world = World()
        world.play(
            """
            a write jobs : write 1
            a ends       : a died holding 1, jobs
            b write jobs : write 2 ownerdied
            b ends       : b died holding 1, jobs
            c write jobs : write 3 ownerdied
            """)
    }

    @Test("an updater that was upgraded and downgraded again, and then dies, leaves no mark (G11)")
    func downgradedAgain() {
        let world = World()
        world.play(
            """
            a update jobs              : update 1
            a upgrade jobs             : write 2
            a downgrade jobs to=update : update 2
            a ends                     : a died holding 1, jobs
            b write jobs               : write 3
            """)
    }

    @Test("a marked lock counts as a lock, even without a holder (G11, G12)") func counts() {
        var limits = Limits()
        limits.locks = 1
        let world = World(limits: limits)
        world.play(
            """
            a write jobs    : write 1
            a ends          : a died holding 1, jobs
            b write mail    : limit locks
            b write jobs    : write 2 ownerdied
            b release jobs  : released 2
            b write mail    : write 3
            """)
    }

    @Test("of more marks than may be, the oldest goes, and it is told (G11)") func oldestGoes() {
        var limits = Limits()
        limits.marks = 2
        let world = World(limits: limits)
        world.play(
            """
            a write one   : write 1
            a ends        : a died holding 1, one
            a write two   : write 2
            a ends        : a died holding 1, two
            a write one   : write 3 ownerdied
            a ends        : a died holding 1, one
            b write three : write 4
            b ends        : two forgotten | b died holding 1, three
            c read one    : read 5 ownerdied
            c read two    : read 6
            c read three  : read 7 ownerdied
            """)
    }

    @Test("a lock that is in use loses only its mark (G11)") func inUse() {
        var limits = Limits()
        limits.marks = 1
        let world = World(limits: limits)
        world.play(
            """
            a write one : write 1
            a ends      : a died holding 1, one
            b read one  : read 2 ownerdied
            c write two : write 3
            c ends      : one forgotten | c died holding 1, two
            d read one  : read 4
            """)
    }

    @Test("no marks at all may be kept (G11)") func noMarks() {
        var limits = Limits()
        limits.marks = 0
        let world = World(limits: limits)
        world.play(
            """
            a write one : write 1
            a write two : write 2
            b write one : waiting
            a ends      : two forgotten | one forgotten | a died holding 2, two | b one write 3
            """)
        #expect(world.table.lockCount == 1)
    }
}
