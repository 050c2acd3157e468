import Testing

@Suite("G4 recursion") struct RecursionTests {
    @Test("an owner that reads gets another read at once, even past waiting writers (G4)") func readAgain() {
        let world = World()
        world.play(
            """
            a read jobs         : read 1
            b write jobs        : waiting
            a read jobs wait=0  : read 2
            a read jobs         : read 3
            b cancel jobs       : cancelled write | b jobs write cancelled
            """)
    }

    @Test("an updater gets a read at once, even past waiting writers (G4)") func updaterReads() {
        let world = World()
        world.play(
            """
            a update jobs      : update 1
            b write jobs       : waiting
            a read jobs wait=0 : read 2
            jobs held          : a update, a read
            """)
    }

    @Test("another's waiting upgrade keeps a reader from nothing that it may have again (G4)")
    func pastAnUpgrade() {
        let world = World()
        world.play(
            """
            a update jobs      : update 1
            b read jobs        : read 2
            a upgrade jobs     : waiting
            b read jobs wait=0 : read 3
            b release jobs token=2 : released 2
            b release jobs     : released 3 | a jobs write 4
            """)
    }

    @Test("a reader gets update at once where no other updater is, past waiting writers (G4)")
    func readerUpdates() {
        let world = World()
        world.play(
            """
            a read jobs          : read 1
            b read jobs          : read 2
            c write jobs         : waiting
            a update jobs wait=0 : update 3
            b update jobs wait=0 : busy a update
            jobs held            : a read, b read, a update
            """)
    }

    @Test("each grant has its own token and its own release (G4, G7)") func ownReleases() {
        let world = World()
        world.play(
            """
            a read jobs            : read 1
            a read jobs            : read 2
            b write jobs           : waiting
            a release jobs         : ambiguous
            a/- release jobs       : ambiguous
            a release jobs token=1 : released 1
            a release jobs token=1 : notHeld
            a release jobs         : released 2 | b jobs write 3
            """)
    }

    @Test("what conflicts with the owner's own grant is a circle of one, also with wait=0 (G4, G8)")
    func circleOfOne() {
        let world = World()
        world.play(
            """
            a write jobs         : write 1
            a read jobs          : deadlock a:jobs
            a read jobs wait=0   : deadlock a:jobs
            a update jobs wait=0 : deadlock a:jobs
            a write jobs wait=0  : deadlock a:jobs
            b/t update mail      : update 2
            b/t update mail      : deadlock b/t:mail
            b/t write mail wait=0 : deadlock b/t:mail
            c read post          : read 3
            c write post         : deadlock c:post
            c write post wait=0  : deadlock c:post
            """)
    }

    @Test("two owners of one session stand in each other's way as any two do (G4)") func twoOwners() {
        let world = World()
        world.play(
            """
            a/t1 write jobs       : write 1
            a/t2 write jobs wait=0 : busy a write
            a/t2 read jobs        : waiting
            a read jobs           : waiting
            a/t1 release jobs     : released 1 | a jobs read 2 | a jobs read 3
            jobs held             : a/t2 read, a read
            """)
    }

    @Test("an owner whose upgrade waits may not add a grant that it would wait for itself (G4, G8)")
    func upgradeAndOwnGrant() {
        let world = World()
        world.play(
            """
            a read jobs          : read 1
            b read jobs          : read 2
            a upgrade jobs       : waiting
            a read jobs          : deadlock a:jobs
            a read jobs wait=0   : deadlock a:jobs
            a update jobs wait=0 : deadlock a:jobs
            b release jobs       : released 2 | a jobs write 3
            """)
    }

    @Test(
        "requests of one owner wait beside each other; one that conflicts with another of them is a circle (G4, G8)"
    )
    func ownWaitingRequests() {
        let world = World()
        world.play(
            """
            b write jobs         : write 1
            a read jobs tag=r    : waiting
            a read jobs tag=s    : waiting
            a update jobs tag=u  : waiting
            a update jobs        : deadlock a:jobs
            a write jobs         : deadlock a:jobs
            a write jobs wait=0  : busy b write
            b release jobs       : released 1 | a#u jobs update 2 | a#r jobs read 3 | a#s jobs read 4
            c write mail         : write 5
            a write mail tag=w   : waiting
            a read mail          : deadlock a:mail
            a/t read mail tag=t  : waiting
            c release mail       : released 5 | a#w mail write 6
            a release mail       : released 6 | a#t mail read 7
            """)
    }
}
