import Testing

@Suite("G3 order") struct OrderTests {
    @Test("writers and updaters go first come, first served (G3)") func firstComeFirstServed() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b update jobs  : waiting
            c write jobs   : waiting
            d update jobs  : waiting
            a release jobs : released 1 | b jobs update 2
            b release jobs : released 2 | c jobs write 3
            c release jobs : released 3 | d jobs update 4
            """)
    }

    @Test("an updater does not pass a waiting writer, even if no owner holds update (G3)")
    func updaterBehindWriter() {
        let world = World()
        world.play(
            """
            a read jobs          : read 1
            b write jobs         : waiting
            c update jobs wait=0 : busy a read
            c update jobs        : waiting
            a release jobs       : released 1 | b jobs write 2
            """)
    }

    @Test("a waiting updater alone keeps no reader out (G3)") func updaterKeepsNobodyOut() {
        let world = World()
        world.play(
            """
            a update jobs      : update 1
            b update jobs      : waiting
            c read jobs wait=0 : read 2
            d read jobs wait=0 : read 3
            a release jobs     : released 1 | b jobs update 4
            """)
    }

    @Test("an upgrade goes before all waiting writers (G3)") func upgradeFirst() {
        let world = World()
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            c write jobs   : waiting
            d write jobs   : waiting
            a upgrade jobs : waiting
            jobs awaited   : a write, c write, d write
            b release jobs : released 2 | a jobs write 3
            a release jobs : released 3 | c jobs write 4
            """)
    }

    @Test("when no writer waits, all waiting readers go together, and an updater with them (G3)")
    func readersGoTogether() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b read jobs    : waiting
            c update jobs  : waiting
            d read jobs    : waiting
            e update jobs  : waiting
            a release jobs : released 1 | c jobs update 2 | b jobs read 3 | d jobs read 4
            jobs awaited   : e update
            """)
    }

    @Test("an updater may go while a writer behind it goes on waiting, with the readers behind that (G3)")
    func updaterBeforeWriter() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b update jobs  : waiting
            c write jobs   : waiting
            d read jobs    : waiting
            a release jobs : released 1 | b jobs update 2
            jobs awaited   : c write, d read
            b release jobs : released 2 | c jobs write 3
            """)
    }

    @Test("a contender that leaves the middle of the row lets the next move up (G3)") func leaveTheMiddle() {
        let world = World()
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            c write jobs   : waiting
            d update jobs  : waiting
            e write jobs   : waiting
            c cancel jobs  : cancelled write | c jobs write cancelled
            a release jobs : released 1 | d jobs update 3
            jobs awaited   : e write
            """)
    }
}
