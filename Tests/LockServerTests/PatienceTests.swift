import LockServer
import Testing

@Suite("Readers lose patience") struct PatienceTests {
    @Test("a stream of writers lets a reader in, and STATUS shows its place (G2)") func stream() {
        let room = Room { $0.patience = .seconds(2) }
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> READ jobs
            c> WRITE jobs
            + 1s
            d> READ jobs
            a> RELEASE jobs
            a< RELEASED jobs token=1
            c< GRANTED jobs write token=2
            a> WRITE jobs
            + 1s
            a> STATUS jobs
            a< * holder pid=3 mode=write owner=- token=2 age=1s lease=- note=-
            a< * waiter pid=2 mode=read owner=- waited=2s timeout=forever note=- upgrades=-
            a< * waiter pid=1 mode=write owner=- waited=1s timeout=forever note=- upgrades=-
            a< * waiter pid=4 mode=read owner=- waited=1s timeout=forever note=- upgrades=-
            a< END 4
            c> RELEASE jobs
            c< RELEASED jobs token=2
            b< GRANTED jobs read token=3
            b> RELEASE jobs
            b< RELEASED jobs token=3
            a< GRANTED jobs write token=4
            """)
    }

    @Test("a reader that would close a cycle by that gets DEADLOCK after it has waited (G8)") func circle() {
        let room = Room { $0.patience = .milliseconds(100) }
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> WRITE mail
            b< GRANTED mail write token=2
            c> #r READ jobs owner=t1
            b> WRITE jobs
            c> #w WRITE mail owner=t1
            + 99ms
            + 1ms
            c< #r DEADLOCK jobs read cycle=3/t1:mail>2:jobs
            """)
        let deadlocks = room.send("a", "STATS\n").contains("* total-deadlocks 1")
        #expect(deadlocks)
    }
}
