import Testing

@Suite("G10 change of mode") struct ChangeOfModeTests {
    @Test("a downgrade lets nothing in between: the writer that waits goes on waiting (G10)")
    func nothingInBetween() {
        let world = World()
        world.play(
            """
            a write jobs     : write 1
            b write jobs     : waiting
            c read jobs      : waiting
            a downgrade jobs : read 1
            jobs held        : a read
            jobs awaited     : b write, c read
            """)
    }

    @Test("a downgrade lets those in that stand together with the weaker mode (G10, G3)") func letsIn() {
        let world = World()
        world.play(
            """
            a write jobs               : write 1
            b read jobs                : waiting
            c update jobs              : waiting
            a downgrade jobs to=update : update 1 | b jobs read 2
            d read jobs                : read 3
            a downgrade jobs to=read   : read 1 | c jobs update 4
            """)
    }

    @Test("only a stronger mode is downgraded, only a weaker one upgraded (G10)") func wrongMode() {
        let world = World()
        world.play(
            """
            a read jobs                : read 1
            a downgrade jobs to=read   : wrongMode
            a downgrade jobs to=update : wrongMode
            b update mail              : update 2
            b downgrade mail to=update : wrongMode
            b upgrade mail             : write 3
            b upgrade mail             : wrongMode
            c upgrade mail             : notHeld
            c downgrade none           : notHeld
            """)
    }

    @Test("an upgrade from update waits only for readers to leave (G10)") func waitsForReaders() {
        let world = World()
        world.play(
            """
            a update jobs         : update 1
            b read jobs           : read 2
            c read jobs           : read 3
            d write jobs          : waiting
            a upgrade jobs wait=0 : busy b read, c read
            a upgrade jobs        : waiting
            b release jobs        : released 2
            c release jobs        : released 3 | a jobs write 4
            """)
    }

    @Test("an upgrade that waits lets no new reader in, nor updater (G10)") func letsNobodyIn() {
        let world = World()
        world.play(
            """
            a read jobs          : read 1
            b read jobs          : read 2
            a upgrade jobs       : waiting
            c read jobs wait=0   : busy a read, b read
            c update jobs wait=0 : busy a read, b read
            c read jobs          : waiting
            d update jobs        : waiting
            b release jobs       : released 2 | a jobs write 3
            a release jobs       : released 3 | d jobs update 4 | c jobs read 5
            """)
    }

    @Test("an upgrade of the only holder is granted at once, from read or update, even past waiters (G10)")
    func atOnce() {
        let world = World()
        world.play(
            """
            a read jobs           : read 1
            b write jobs          : waiting
            c update jobs         : waiting
            a upgrade jobs wait=0 : write 2
            a downgrade jobs      : read 2
            jobs awaited          : b write, c update
            """)
    }

    @Test("an upgrade whose grant ends meanwhile is cancelled: released, expired, revoked (G10)")
    func cancelled() {
        let world = World()
        world.play(
            """
            a update jobs lease=10ms   : update 1
            b read jobs                : read 2
            a upgrade jobs tag=u       : waiting
            a release jobs             : released 1 | a#u jobs write cancelled
            a update jobs lease=10ms   : update 3
            a upgrade jobs             : waiting
            + 10ms                     : a jobs expired 3 | a jobs write cancelled
            a update jobs              : update 4
            a upgrade jobs wait=1s     : waiting
            c read jobs                : waiting
            c revoke jobs token=4      : revoked | a jobs revoked 4 | a jobs write cancelled | c jobs read 5
            + 1h                       :
            """)
    }

    @Test("a grant whose upgrade waits is neither upgraded again nor downgraded (G10)") func onlyOnce() {
        let world = World()
        world.play(
            """
            a update jobs     : update 1
            b read jobs       : read 2
            a upgrade jobs    : waiting
            a upgrade jobs    : wrongMode
            a downgrade jobs  : wrongMode
            a cancel jobs     : cancelled write | a jobs write cancelled
            a downgrade jobs  : read 1
            """)
    }

    @Test("of two readers that both ask to upgrade, the first has it when the second leaves (G10, G8)")
    func twoReaders() {
        let world = World()
        world.play(
            """
            a read jobs    : read 1
            b read jobs    : read 2
            a upgrade jobs : waiting
            b upgrade jobs : deadlock b:jobs>a:jobs
            jobs held      : a read, b read
            b release jobs : released 2 | a jobs write 3
            """)
    }

    @Test("an owner with two grants cannot upgrade one past the other (G10, G4)") func ownSecondGrant() {
        let world = World()
        world.play(
            """
            a read jobs                   : read 1
            a read jobs                   : read 2
            a upgrade jobs                : ambiguous
            a upgrade jobs token=1        : deadlock a:jobs
            a upgrade jobs token=1 wait=0 : deadlock a:jobs
            a release jobs token=2        : released 2
            a upgrade jobs                : write 3
            """)
    }
}
