import LockCore
import LockVocabulary
import Testing

@Suite("G2 the patience of readers") struct PatienceTests {
    private let patient = Duration.milliseconds(100)

    @Test("without patience a stream of writers keeps a reader out (G2)") func withoutPatience() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b read jobs    : waiting
            c write jobs   : waiting
            + 1h           :
            a release jobs : released 1 | c jobs write 2
            """)
    }

    @Test("a reader that has waited for so long goes before the writers that came after it (G2)")
    func beforeLaterWriters() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs   : write 1
            b write jobs   : waiting
            c read jobs    : waiting
            d write jobs   : waiting
            jobs awaited   : b write, d write, c read
            + 99ms         :
            jobs awaited   : b write, d write, c read
            + 1ms          :
            jobs awaited   : b write, c read, d write
            e read jobs    : waiting
            f write jobs   : waiting
            jobs awaited   : b write, c read, d write, f write, e read
            a release jobs : released 1 | b jobs write 2
            b release jobs : released 2 | c jobs read 3
            c release jobs : released 3 | d jobs write 4
            """)
    }

    @Test("a reader that only a later writer kept out is granted as it loses patience (G2)")
    func wakesByTime() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs      : write 1
            b read jobs       : waiting
            c write jobs      : waiting
            d read jobs       : waiting
            a downgrade jobs to=read : read 1
            jobs awaited      : c write, b read, d read
            + 99ms            :
            + 1ms             : b jobs read 2
            jobs awaited      : c write, d read
            + 1s              :
            a release jobs    : released 1
            b release jobs    : released 2 | c jobs write 3
            c release jobs    : released 3 | d jobs read 4
            """)
    }

    @Test("a stream of writers lets a reader in after the writers of the time that it was patient (G2)")
    func stream() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs   : write 1
            r read jobs    : waiting
            b write jobs   : waiting
            + 60ms         :
            a release jobs : released 1 | b jobs write 2
            c write jobs   : waiting
            + 60ms         :
            b release jobs : released 2 | r jobs read 3
            d write jobs   : waiting
            r release jobs : released 3 | c jobs write 4
            """)
    }

    @Test(
        "a patience of zero is the order of arrival, in which readers in a row are granted together (G2, G3)")
    func orderOfArrival() {
        let world = World(patience: .zero)
        world.play(
            """
            a write jobs   : write 1
            b read jobs    : waiting
            c read jobs    : waiting
            d write jobs   : waiting
            e read jobs    : waiting
            jobs awaited   : b read, c read, d write, e read
            a release jobs : released 1 | b jobs read 2 | c jobs read 3
            b release jobs : released 2
            c release jobs : released 3 | d jobs write 4
            """)
    }

    @Test("an upgrade goes before an impatient reader (G10)") func upgrade() {
        let world = World(patience: patient)
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            c write jobs   : waiting
            d read jobs    : waiting
            e write jobs   : waiting
            c cancel jobs  : cancelled write | c jobs write cancelled
            a upgrade jobs : waiting
            + 100ms        :
            jobs awaited   : a write, d read, e write
            b release jobs : released 2 | a jobs write 3
            a downgrade jobs to=update : update 3 | d jobs read 4
            """)
    }

    @Test("updaters do not block an impatient reader, however many wait before the first writer (G3)")
    func pastUpdaters() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs   : write 1
            b update jobs  : waiting
            c update jobs  : waiting
            d update jobs  : waiting
            e read jobs    : waiting
            f write jobs   : waiting
            g read jobs    : waiting
            a release jobs : released 1 | b jobs update 2
            jobs awaited   : c update, d update, f write, e read, g read
            + 100ms        : e jobs read 3
            jobs awaited   : c update, d update, f write, g read
            c cancel jobs  : cancelled update | c jobs update cancelled
            d cancel jobs  : cancelled update | d jobs update cancelled
            f cancel jobs  : cancelled write | f jobs write cancelled | g jobs read 4
            """)
    }

    @Test("a list goes on where it stopped, with readers between writers (G2)") func list() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs      : write 1
            b update jobs     : waiting
            c read jobs tag=x : waiting
            d write jobs      : waiting
            e read jobs       : waiting
            c read jobs tag=y : waiting
            f update jobs     : waiting
            + 60ms            :
            g read jobs       : waiting
            h write jobs      : waiting
            + 40ms            :
            jobs awaited      : b update, c read, c read, d write, e read, f update, h write, g read
            """)
        #expect(world.stakes(name("jobs"), chunk: 1) == world.stakes(name("jobs"), chunk: 100))
    }

    @Test("a deadline at the instant at which patience ends comes first (G5)") func deadline() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs            : write 1
            b read jobs wait=100ms  : waiting
            c read jobs wait=150ms  : waiting
            d write jobs            : waiting
            a downgrade jobs to=read : read 1
            + 99ms                  :
            + 1ms                   : b jobs read timeout 100ms a read | c jobs read 2
            + 1s                    :
            """)
    }

    @Test("an impatient reader still has its deadline (G5)") func deadlineAfterwards() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs            : write 1
            b read jobs wait=150ms  : waiting
            + 149ms                 :
            + 1ms                   : b jobs read timeout 150ms a write
            """)
    }

    @Test("however late the daemon is, the order is that of the time at which patience ended (G2, G5)")
    func late() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs  : write 1
            b read jobs   : waiting
            c write jobs  : waiting
            """)
        world.skip(.milliseconds(100))
        world.play("a release jobs : released 1 | b jobs read 2")
    }

    @Test("two reads of an owner keep one place, so that neither waits for the other (G2, G4)")
    func readsOfOneOwner() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs            : write 1
            b read jobs tag=x       : waiting
            c write jobs            : waiting
            + 50ms                  :
            b read jobs tag=y       : waiting
            d read jobs             : waiting
            + 50ms                  :
            jobs awaited            : b read, b read, c write, d read
            b read jobs tag=z       : waiting
            b cancel jobs tag=x     : cancelled jobs read | b#x jobs read cancelled
            jobs awaited            : b read, b read, c write, d read
            a release jobs          : released 1 | b#y jobs read 2 | b#z jobs read 3
            """)
    }

    @Test("a reader that would close a circle as it loses patience is refused, and the circle is named (G8)")
    func circleByTime() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs      : write 1
            b write mail      : write 2
            c read jobs tag=x : waiting
            b write jobs      : waiting
            c write mail      : waiting
            + 99ms            :
            + 1ms             : c#x jobs read deadlock c:mail>b:jobs
            a release jobs    : released 1 | b jobs write 3
            b release mail    : released 2 | c mail write 4
            """)
    }

    @Test("a request that would wait for itself through an impatient reader is refused (G8)")
    func circleThroughTheReader() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs  : write 1
            b write mail  : write 2
            c read jobs   : waiting
            b write jobs  : waiting
            + 100ms       :
            c write mail  : deadlock c:mail>b:jobs
            d read jobs   : waiting
            d write mail  : waiting
            c write post  : write 3
            b write post  : waiting
            """)
    }

    @Test("in turns, all readers of a lock have lost patience before a command about it (G2)")
    func inTurns() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs : write 1
            b write jobs : waiting
            c read jobs  : waiting
            d read jobs  : waiting
            e write jobs : waiting
            """)
        world.table.completesAtOnce = false
        world.table.stepsInTurn = 1
        world.skip(.milliseconds(100))
        let tries = (1...4).prefix { _ in
            world.table.advance(to: world.now)
            return !world.table.settle(name("jobs"), for: world.session("a"))
        }
        #expect(tries.count == 1)
        world.play("jobs awaited : b write, c read, d read, e write")
    }

    @Test("in turns, a circle by time is found before the next command about the lock (G8)")
    func circleInTurns() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs      : write 1
            b write mail      : write 2
            c read jobs tag=x : waiting
            b write jobs      : waiting
            c write mail      : waiting
            """)
        world.table.completesAtOnce = false
        world.skip(.milliseconds(100))
        world.table.advance(to: world.now)
        let isSettled = world.table.settle(name("jobs"), for: world.session("a"))
        #expect(isSettled)
        world.play(
            "a release jobs : released 1 | c#x jobs read deadlock c:mail>b:jobs | b jobs write 3")
    }

    @Test("a new writer that is behind an impatient reader closes no circle with it (G8)")
    func newWriter() {
        let world = World(patience: patient)
        world.play(
            """
            a write jobs  : write 1
            b write mail  : write 2
            b read jobs   : waiting
            c read mail   : waiting
            c/- write jobs : deadlock c:mail>b:jobs
            + 100ms       :
            c/- write jobs : waiting
            a release jobs : released 1 | b jobs read 3
            """)
    }

    @Test("the search for a circle by time is bounded as any other (G8, G12)") func bound() {
        var limits = Limits()
        limits.searchSteps = 8
        let world = World(limits: limits, patience: patient)
        world.play(
            """
            a write jobs      : write 1
            b write mail      : write 2
            c read jobs tag=x : waiting
            c read mail tag=y : waiting
            """)
        for letter in "defghijklm" { world.play("\(letter) write jobs : waiting") }
        world.play("+ 100ms : c#x jobs read limit waits")
    }
}
