import LockCore
import Testing

@Suite("G1 exclusion") struct ExclusionTests {
    @Test("a write grant stands alone (G1)") func writerAlone() {
        let world = World()
        world.play(
            """
            a write jobs         : write 1
            b read jobs wait=0   : busy a write
            b update jobs wait=0 : busy a write
            b write jobs wait=0  : busy a write
            a release jobs       : released 1
            b write jobs wait=0  : write 2
            """)
    }

    @Test("any number of readers stand together, and keep writers out (G1)") func readersTogether() {
        let world = World()
        world.play(
            """
            a read jobs         : read 1
            b read jobs         : read 2
            c read jobs         : read 3
            d write jobs wait=0 : busy a read, b read, c read
            jobs held           : a read, b read, c read
            e read jobs         : read 4
            d write jobs wait=0 : busy a read, b read, c read, +1
            """)
    }

    @Test("one updater stands beside the readers, a second does not (G1)") func oneUpdater() {
        let world = World()
        world.play(
            """
            a read jobs          : read 1
            b update jobs        : update 2
            c read jobs wait=0   : read 3
            d update jobs wait=0 : busy b update
            d write jobs wait=0  : busy a read, b update, c read
            d update jobs        : waiting
            b release jobs       : released 2 | d jobs update 4
            jobs held            : a read, c read, d update
            """)
    }

    @Test("locks of different names have nothing to do with each other (G1)") func differentLocks() {
        let world = World()
        world.play(
            """
            a write jobs  : write 1
            b write jobs2 : write 2
            c write job   : write 3
            """)
    }

    @Test("during the grace nothing is granted; after it, all at once in their order (G1, G2)")
    func grace() {
        let world = World(grace: .milliseconds(500))
        world.play(
            """
            a read jobs wait=0        : busy ?
            a read jobs               : waiting
            b write jobs              : waiting
            c write mail              : waiting
            d update post             : waiting
            e read jobs wait=100ms    : waiting
            + 499ms                   : e jobs read timeout 100ms ?
            a read other wait=0       : busy ?
            + 1ms                     : b jobs write 1 | c mail write 2 | d post update 3
            b release jobs            : released 1 | a jobs read 4
            f read quick wait=0       : read 5
            """)
    }

    @Test("a request that times out during the grace leaves no lock behind (G1)") func graceLeavesNothing() {
        let world = World(grace: .milliseconds(500))
        world.play(
            """
            a write jobs wait=10ms : waiting
            + 10ms                 : a jobs write timeout 10ms ?
            """)
        #expect(world.table.lockCount == 0)
    }

    @Test("a request whose time is over with the grace is refused, not granted (G1, G5)")
    func graceEndsWithIt() {
        let world = World(grace: .milliseconds(500))
        world.play(
            """
            a write jobs wait=500ms : waiting
            + 500ms                 : a jobs write timeout 500ms ?
            """)
    }
}
