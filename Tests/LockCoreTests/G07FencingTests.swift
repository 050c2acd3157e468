import LockCore
import LockVocabulary
import Testing

@Suite("G7 fencing") struct FencingTests {
    @Test("tokens rise with every grant, over all locks (G7)") func tokensRise() {
        let world = World()
        world.play(
            """
            a write jobs   : write 1
            b write mail   : write 2
            a release jobs : released 1
            c read jobs    : read 3
            b read jobs    : read 4
            """)
    }

    @Test("UPGRADE gives a new token, and the old one is stale; DOWNGRADE and RENEW keep it (G7)")
    func newOrKept() {
        let world = World()
        world.play(
            """
            a update jobs lease=1s    : update 1
            a upgrade jobs            : write 2
            a validate jobs token=1   : stale
            a validate jobs token=2   : valid
            a downgrade jobs          : read 2
            a validate jobs token=2   : valid
            a renew jobs lease=2s     : renewed 2 2000ms
            a validate jobs token=2   : valid
            a release jobs token=1    : notHeld
            a release jobs token=2    : released 2
            """)
    }

    @Test("VALIDATE tells anybody whether a token still holds, on this lock (G7)") func validate() {
        let world = World()
        world.play(
            """
            a write jobs lease=10ms : write 1
            b validate jobs token=1 : valid
            b validate mail token=1 : stale
            b write mail            : write 2
            b validate mail token=1 : stale
            b validate jobs token=2 : stale
            b validate jobs token=9 : stale
            + 10ms                  : a jobs expired 1
            b validate jobs token=1 : stale
            """)
    }

    @Test("VALIDATE looks at the time before it answers (G7, G9)") func validateInTime() {
        let world = World()
        world.play("a write jobs lease=10ms : write 1")
        world.skip(.milliseconds(10))
        world.play("b validate jobs token=1 : stale | a jobs expired 1")
    }

    @Test("when no token is left requests are refused, and releases go on (G7)") func noToken() {
        let world = World(tokens: 2)
        world.play(
            """
            a read jobs        : read 1
            b update mail      : update 2
            c read jobs        : noToken
            c write other      : noToken
            b upgrade mail     : noToken
            b/- downgrade mail : read 2
            a release jobs     : released 1
            allow token=3      :
            c write other      : write 3
            c read jobs        : noToken
            """)
        #expect(world.table.tokensLeft == 0)
    }

    @Test("a waiter is refused when its turn comes and no token is left; the next waiter is tried (G7)")
    func noTokenForWaiters() {
        let world = World(tokens: 2)
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            a upgrade jobs : waiting
            c write jobs   : waiting
            d read jobs    : waiting
            b release jobs : released 2 | a jobs write noToken
            jobs held      : a update
            a release jobs : released 1 | c jobs write noToken | d jobs read noToken
            """)
        #expect(world.table.lockCount == 0)
    }

    @Test(
        "a reader that only an upgrade kept out is tried when the upgrade is refused for lack of a token (G7, G13)"
    )
    func noTokenForUpgrade() {
        let world = World(tokens: 2)
        world.play(
            """
            a update jobs  : update 1
            b read jobs    : read 2
            a upgrade jobs : waiting
            d read jobs    : waiting
            b release jobs : released 2 | a jobs write noToken | d jobs read noToken
            """)
    }

    @Test("the last token counts as one that is left (G7)") func lastToken() {
        let table = LockTable(firstToken: Token(rawValue: 5), lastToken: Token(rawValue: 5))
        #expect(table.tokensLeft == 1)
        let none = LockTable(firstToken: Token(rawValue: 6), lastToken: Token(rawValue: 5))
        #expect(none.tokensLeft == 0)
    }

    @Test("a token that was allowed once is not taken back (G7)") func allowedStays() {
        let world = World(tokens: 5)
        world.table.allowTokens(through: Token(rawValue: 3))
        #expect(world.table.tokensLeft == 5)
    }

    @Test("a table that begins above a mark gives tokens from there on (G7)") func beginsAbove() {
        var table = LockTable(firstToken: Token(rawValue: 1_000), lastToken: Token(rawValue: 2_000))
        guard let session = table.openSession() else { return }
        guard
            case .granted(let granted) = table.acquire(
                Acquisition(name("jobs"), .write), by: session, at: .zero)
        else {
            Issue.record("not granted")
            return
        }
        #expect(granted.token == Token(rawValue: 1_000))
    }

    /// With so many tokens that each segment of the index has some.
    @Test("any number may be asked for, also on a lock with many holders (G7)", arguments: [1, 8, 9, 2_000])
    func anyToken(holders: Int) {
        let world = World()
        for number in 1...holders {
            let request = Acquisition(name("jobs"), .read, owner: word("t\(number)"))
            _ = world.table.acquire(request, by: world.session("a"), at: .zero)
        }
        world.play(
            """
            a validate jobs token=18446744073709551615 : stale
            a release jobs token=18446744073709551615  : notHeld
            a validate jobs token=\(holders)           : valid
            """)
    }
}
