import LockCore
import LockVocabulary
import Testing

@Suite("G8 deadlock") struct DeadlockTests {
    @Test("two owners and two locks: the second is refused, and the circle is named (G8)") func twoAndTwo() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b write mail   : write 2
            a write mail   : waiting
            b write jobs   : deadlock b:jobs>a:mail
            b read jobs    : deadlock b:jobs>a:mail
            b write jobs wait=0 : busy a write
            b release mail : released 2 | a mail write 3
            """)
    }

    @Test("three owners of three sessions (G8)") func three() {
        let world = World()
        world.play(
            """
            a write one   : write 1
            b write two   : write 2
            c write three : write 3
            a read two    : waiting
            b read three  : waiting
            c read one    : deadlock c:one>a:two>b:three
            c ends        : c died holding 1, three | b three read 4 ownerdied
            """)
    }

    @Test("owners of one session wait for each other as those of two do (G8)") func withinASession() {
        let world = World()
        world.play(
            """
            a/t1 write jobs : write 1
            a/t2 write mail : write 2
            a/t1 write mail : waiting
            a/t2 write jobs : deadlock a/t2:jobs>a/t1:mail
            a/t3 write jobs : waiting
            """)
    }

    @Test("two readers that both ask to upgrade: the second is refused (G8, G10)") func twoUpgrades() {
        let world = World()
        world.play(
            """
            a read jobs           : read 1
            b read jobs           : read 2
            a upgrade jobs        : waiting
            b upgrade jobs wait=0 : busy a read
            b upgrade jobs        : deadlock b:jobs>a:jobs
            b release jobs        : released 2 | a jobs write 3
            """)
    }

    @Test("a reader that wants to upgrade beside an updater whose upgrade waits (G8)") func besideAnUpdater()
    {
        let world = World()
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            b upgrade jobs : waiting
            a upgrade jobs : deadlock a:jobs>b:jobs
            """)
    }

    @Test("a circle through a place in the queue: a writer ahead that holds nothing there (G8)")
    func throughTheQueue() {
        let world = World()
        world.play(
            """
            a read jobs   : read 1
            b write mail  : write 2
            b write jobs  : waiting
            c read post   : read 3
            c read jobs   : waiting
            a write mail  : deadlock a:mail>b:jobs
            b read post   : read 4
            d write post  : waiting
            a read post   : deadlock a:post>d:post>b:jobs
            d write mail  : waiting
            """)
    }

    @Test("a cycle through a row of contenders, of which each waits for the one ahead (G8)")
    func throughARow() {
        let world = World()
        world.play(
            """
            a write jobs  : write 1
            b write jobs  : waiting
            c update jobs : waiting
            d write mail  : write 2
            d write jobs  : waiting
            e write jobs  : waiting
            a write mail  : deadlock a:mail>d:jobs>c:jobs>b:jobs
            """)
    }

    @Test("a new writer goes before waiting readers, and may close a circle by that alone (G8, G2)")
    func goingBeforeReaders() {
        let world = World()
        world.play(
            """
            a write jobs  : write 1
            b write mail  : write 2
            b read jobs   : waiting
            c read mail   : waiting
            c/- write jobs : deadlock c:mail>b:jobs
            d write jobs  : waiting
            """)
    }

    @Test("an upgrade goes before waiting writers, and may close a circle by that alone (G8, G3)")
    func goingBeforeWriters() {
        let world = World()
        world.play(
            """
            a read jobs    : read 1
            b read jobs    : read 2
            c write mail   : write 3
            c write jobs   : waiting
            a read mail    : deadlock a:mail>c:jobs
            d read post    : read 4
            d write jobs   : waiting
            a upgrade jobs : waiting
            """)
    }

    @Test("several requests of an owner are open, and the circle goes through any of them (G8)")
    func severalRequests() {
        let world = World()
        world.play(
            """
            a write one   : write 1
            b write two   : write 2
            c write three : write 3
            a write two   : waiting
            a write three : waiting
            c write one   : deadlock c:one>a:three
            b write one   : deadlock b:one>a:two
            c write two   : deadlock c:two>a:three
            d write two   : waiting
            """)
    }

    @Test("an owner's own request ahead of another conflicting one of its own is a circle of one (G8)")
    func ownRequests() {
        let world = World()
        world.play(
            """
            a write jobs : write 1
            b write jobs : waiting
            b read jobs  : deadlock b:jobs
            b write jobs : deadlock b:jobs
            c read jobs  : waiting
            c read jobs  : waiting
            c write jobs : deadlock c:jobs
            """)
    }

    @Test("the circle ends with the request that it needs: cancelled, it may be closed no more (G8)")
    func afterACancel() {
        let world = World()
        world.play(
            """
            a write jobs  : write 1
            b write mail  : write 2
            a write mail  : waiting
            a cancel mail : cancelled write | a mail write cancelled
            b write jobs  : waiting
            a write mail  : deadlock a:mail>b:jobs
            """)
    }

    @Test("two writers and a reader that waits between them are no circle (G8)") func notACircle() {
        let world = World()
        world.play(
            """
            a write jobs  : write 1
            b read jobs   : waiting
            c write jobs  : waiting
            d update jobs : waiting
            e write jobs  : waiting
            f read jobs   : waiting
            a release jobs : released 1 | c jobs write 2
            """)
    }

    @Test("readers of one lock, crosswise, are no circle (G8)") func readersCrosswise() {
        let world = World()
        world.play(
            """
            a read jobs  : read 1
            b read mail  : read 2
            a read mail  : read 3
            b read jobs  : read 4
            c write jobs : waiting
            c write mail : waiting
            a read jobs  : read 5
            """)
    }

    @Test("a reader does not wait for an updater, nor for one that waits to be one (G8)")
    func readersAndUpdaters() {
        let world = World()
        world.play(
            """
            a update jobs : update 1
            b write mail  : write 2
            b update jobs : waiting
            a read mail   : deadlock a:mail>b:jobs
            c write post  : write 3
            c read jobs   : read 4
            a write post  : waiting
            """)
    }

    @Test("a circle over many owners, locks and sessions is found, and named from the one who asked (G8)")
    func manyOwners() {
        let world = World()
        let count = 2_000
        let sessions = "abcdefghij".map { world.session($0) }
        func lock(_ number: Int) -> LockName { name("lock-\(number)") }
        func ask(_ owner: Int, _ number: Int) -> Decision {
            world.table.acquire(
                Acquisition(lock(number), .write, owner: word("t\(owner)")), by: sessions[owner % 10],
                at: world.now)
        }
        for owner in 0..<count { #expect(ask(owner, owner) != .waiting) }
        // From the last to the first, so that no owner waits for the asking owner and each search but the last is short.
        for owner in (1..<count).reversed() { #expect(ask(owner - 1, owner) == .waiting) }
        guard case .refused(.deadlock(let circle)) = ask(count - 1, 0) else {
            Issue.record("the circle was not found")
            return
        }
        #expect(circle.hops.count == count)
        #expect(circle.hops.first?.owner == word("t\(count - 1)") && circle.hops.first?.lock == lock(0))
        #expect(circle.hops.dropFirst().first?.owner == word("t0"))
    }

    @Test("the search is bounded: beyond the bound only the request itself is refused (G8)")
    func bound() {
        var limits = Limits()
        limits.searchSteps = 20
        let world = World(limits: limits)
        world.play("a write first : write 1")
        for (index, letter) in "bcdefghijklmnop".enumerated() {
            world.play("\(letter) write first wait=1h : waiting")
            world.play("\(letter) write own-\(index) : write \(index + 2)")
        }
        world.play(
            """
            q write last   : write 17
            r write last   : waiting
            a write last   : limit waits
            a release first : released 1 | b first write 18
            """)
    }

    @Test("where the search ends at its bound, it has found no circle (G8)") func boundWithinARow() {
        let world = World()
        world.play(
            """
            a update jobs : update 1
            b read jobs   : read 2
            b update jobs : waiting
            a write mail  : write 3
            """)
        world.table.limits.searchSteps = 1
        world.play("b write mail : limit waits")
    }

    @Test("what waits for thousands of readers is not what the search looks at (G8)") func manyHolders() {
        var limits = Limits()
        limits.searchSteps = 100
        let world = World(limits: limits)
        let reader = world.session("r")
        for number in 0..<5_000 {
            let request = Acquisition(name("jobs"), .read, owner: word("t\(number)"))
            _ = world.table.acquire(request, by: reader, at: world.now)
        }
        world.play(
            """
            a write mail : write 5001
            a write jobs : waiting
            b write mail : waiting
            """)
    }
}
