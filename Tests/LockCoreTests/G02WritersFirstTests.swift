import Testing

@Suite("G2 writers first") struct WritersFirstTests {
    @Test("while a write request waits, no new reader gets in (G2)") func noNewReader() {
        let world = World()
        world.play(
            """
            a read jobs        : read 1
            b write jobs       : waiting
            c read jobs wait=0 : busy a read
            c read jobs        : waiting
            a release jobs     : released 1 | b jobs write 2
            b release jobs     : released 2 | c jobs read 3
            """)
    }

    @Test("a new owner of a session that holds the lock is new all the same (G2)") func newOwner() {
        let world = World()
        world.play(
            """
            a/t1 read jobs        : read 1
            b write jobs          : waiting
            a/t2 read jobs wait=0 : busy a read
            a/t1 read jobs wait=0 : read 2
            """)
    }

    @Test("when the lock falls free, the oldest writer goes before readers that came earlier (G2)")
    func oldestWriterFirst() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b read jobs    : waiting
            c read jobs    : waiting
            d write jobs   : waiting
            e write jobs   : waiting
            jobs awaited   : d write, e write, b read, c read
            a release jobs : released 1 | d jobs write 2
            d release jobs : released 2 | e jobs write 3
            e release jobs : released 3 | b jobs read 4 | c jobs read 5
            """)
    }

    @Test("a writer that gives up lets the readers in that it kept out (G2)") func writerGivesUp() {
        let world = World()
        world.play(
            """
            a read jobs            : read 1
            b write jobs wait=50ms : waiting
            c read jobs            : waiting
            + 50ms                 : b jobs write timeout 50ms a read | c jobs read 2
            d write jobs           : waiting
            e read jobs            : waiting
            d cancel jobs          : cancelled write | d jobs write cancelled | e jobs read 3
            f write jobs           : waiting
            g read jobs            : waiting
            f ends                 : g jobs read 4
            """)
    }
}
