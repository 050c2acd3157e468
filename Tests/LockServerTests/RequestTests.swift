import LockServer
import LockVocabulary
import Testing

@Suite("Requests and their replies") struct RequestTests {
    @Test("a lock is granted, refused, waited for and handed over (G1)") func handOver() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs note=nightly
            a< GRANTED jobs write token=1
            b> #q READ jobs wait=0
            b< #q BUSY jobs read held-by=1/write
            b> #w READ jobs wait=5s owner=t1
            + 2s
            c> STATUS jobs
            c< * holder pid=1 mode=write owner=- token=1 age=2s lease=- note=nightly
            c< * waiter pid=2 mode=read owner=t1 waited=2s timeout=5s note=- upgrades=-
            c< END 2
            a> RELEASE jobs
            a< RELEASED jobs token=1
            b< #w GRANTED jobs read token=2
            """)
    }

    @Test("a request that is not granted in time states how long it waited, and for which holders (G5)")
    func timeout() {
        let room = Room()
        room.play(
            """
            a> READ jobs
            a< GRANTED jobs read token=1
            b> READ jobs
            b< GRANTED jobs read token=2
            c> WRITE jobs wait=5s
            + 4999ms
            + 1ms
            c< TIMEOUT jobs write waited=5000ms held-by=1/read,2/read
            """)
    }

    @Test(
        "a process that cannot be seen is shown by a question mark; a few holders by name, the rest by number"
    )
    func heldBy() {
        let room = Room()
        let unseen = room.server.open(Peer(processID: nil, userID: 1000, groupID: 1000), at: room.now)
        let line = Array("READ jobs\n".utf8)
        if let unseen { line.withUnsafeBytes { room.server.receive($0, from: unseen, at: room.now) } }
        for letter in "bcdef" { room.send(letter, "READ jobs\n") }
        room.play(
            """
            a> WRITE jobs wait=0
            a< BUSY jobs write held-by=?/read,2/read,3/read,+3
            """)
    }

    @Test("during the grace no holder is named, because none is known (G1)") func grace() {
        let room = Room { $0.graceEnd = Instant.zero.advanced(by: .milliseconds(500)) }
        room.play(
            """
            a> WRITE jobs wait=0
            a< BUSY jobs write held-by=?
            a> #w WRITE jobs
            + 500ms
            a< #w GRANTED jobs write token=1
            """)
    }

    @Test("a circle is told owner by owner (G8)") func deadlock() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs owner=t1
            a< GRANTED jobs write token=1
            b> WRITE mail
            b< GRANTED mail write token=2
            a> #w WRITE mail owner=t1
            b> WRITE jobs
            b< DEADLOCK jobs write cycle=2:jobs>1/t1:mail
            b> WRITE mail wait=0
            b< DEADLOCK mail write cycle=2:mail
            """)
        #expect(room.server.takeEvents().map(\.kind).contains(.deadlockRefused(circle: "2:jobs>1/t1:mail")))
    }

    @Test("modes change, under the same token or a new one (G7, G10)") func changeOfMode() {
        let room = Room()
        room.play(
            """
            a> UPDATE jobs note=n
            a< GRANTED jobs update token=1
            b> READ jobs
            b< GRANTED jobs read token=2
            a> UPGRADE jobs wait=0
            a< BUSY jobs write held-by=2/read
            a> #u UPGRADE jobs
            a> UPGRADE jobs
            a< ERROR wrong-mode lock=jobs mode=write the grant's mode does not allow that
            b> RELEASE jobs token=2
            b< RELEASED jobs token=2
            a< #u GRANTED jobs write token=3
            a> VALIDATE jobs token=1
            a< STALE jobs token=1
            a> DOWNGRADE jobs to=update
            a< GRANTED jobs update token=3
            b> VALIDATE jobs token=3
            b< VALID jobs token=3
            a> DOWNGRADE jobs
            a< GRANTED jobs read token=3
            a> DOWNGRADE jobs to=write
            a< ERROR bad-mode to= is read or update
            """)
    }

    @Test("a lease is renewed, or ends and is told of (G9)") func leases() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs lease=30s
            a< GRANTED jobs write token=1
            b> #w READ jobs
            + 29s
            a> RENEW jobs
            a< RENEWED jobs token=1 lease=30000ms
            a> RENEW jobs lease=forever
            a< RENEWED jobs token=1 lease=forever
            a> RENEW jobs
            a< ERROR missing-argument the grant has no lease to repeat; say lease=
            a> RENEW jobs lease=1s
            a< RENEWED jobs token=1 lease=1000ms
            + 1s
            a< ! EXPIRED jobs token=1
            b< #w GRANTED jobs read token=2 ownerdied=1
            a> RELEASE jobs
            a< ERROR not-held there is no such grant
            """)
        #expect(room.server.takeEvents().map(\.kind) == [.leaseExpired(Token(rawValue: 1))])
    }

    @Test("a cancel is answered twice: for the request, and for itself") func cancel() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> #w1 READ jobs owner=t1
            b> #w2 READ jobs owner=t2
            b> CANCEL jobs
            b< ERROR ambiguous several match; choose with token=, owner= or the tag
            b> #c CANCEL jobs owner=t1
            b< #w1 CANCELLED jobs read
            b< #c CANCELLED jobs read
            b> CANCEL #w2
            b< #w2 CANCELLED jobs read
            b< CANCELLED jobs read
            b> CANCEL #w2
            b< ERROR not-waiting there is no such request waiting
            b> CANCEL jobs
            b< ERROR not-waiting there is no such request waiting
            """)
    }

    @Test("a tag that is open is refused, and is free again once it was answered") func tags() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> #t READ jobs wait=1s
            b> #t PING
            b< #t ERROR tag-in-use a request with this tag is still open
            b> #t2 PING
            b< #t2 PONG
            c> #t PING
            c< #t PONG
            + 1s
            b< #t TIMEOUT jobs read waited=1000ms held-by=1/write
            b> #t PING
            b< #t PONG
            """)
    }

    @Test("root and the daemon's own user revoke, others are denied (G11)") func revoke() {
        let room = Room()
        room.open("r", userID: 0)
        room.open("o", userID: 500)
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> #w WRITE jobs
            c> REVOKE jobs token=1
            c< DENIED jobs revoke reason=not-permitted
            a> REVOKE jobs token=1
            a< DENIED jobs revoke reason=not-permitted
            o> REVOKE jobs token=1
            o< REVOKED jobs token=1
            a< ! REVOKED jobs token=1
            b< #w GRANTED jobs write token=2 ownerdied=1
            r> REVOKE jobs token=1
            r< ERROR not-held there is no such grant
            r> REVOKE jobs token=2
            r< REVOKED jobs token=2
            b< ! REVOKED jobs token=2
            """)
    }

    @Test("HELLO names the session, and asks to be recalled") func hello() {
        let room = Room()
        room.play(
            """
            a> #h HELLO client=back%20up recall=1
            a< #h HELLO version=1 server=prwlockd/test session=1 max-line=65536 max-session-grants=10000 max-session-waiters=1000
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> #w READ jobs
            a< ! RECALL jobs token=1
            + 3s
            b> SESSIONS
            b< * session id=1 pid=1 uid=1000 client=back%20up grants=1 waiters=0 age=3s
            b< * session id=2 pid=2 uid=1000 client=- grants=0 waiters=1 age=3s
            b< END 2
            """)
    }

    @Test("LIST tells names in the order of their bytes, from a prefix or after a name") func list() {
        let room = Room()
        for lock in ["b", "a/2", "a/10", "a", "B", "a/1"] { room.send("a", "READ \(lock)\n") }
        room.play(
            """
            b> LIST
            b< * lock B mode=read holders=1 waiters=0 ownerdied=0
            b< * lock a mode=read holders=1 waiters=0 ownerdied=0
            b< * lock a/1 mode=read holders=1 waiters=0 ownerdied=0
            b< * lock a/10 mode=read holders=1 waiters=0 ownerdied=0
            b< * lock a/2 mode=read holders=1 waiters=0 ownerdied=0
            b< * lock b mode=read holders=1 waiters=0 ownerdied=0
            b< END 6
            b> #l LIST a/ after=a/1 limit=1
            b< * lock a/10 mode=read holders=1 waiters=0 ownerdied=0
            b< #l END 1
            b> LIST a after=a/2
            b< END 0
            b> LIST none
            b< END 0
            """)
    }

    @Test("A prefix that no name begins with is refused, and so is one that ends inside an encoded byte")
    func impossiblePrefixes() {
        let room = Room()
        for prefix in ["%zz", "%41", "%%%", "%4", "a%", "a!"] {
            for verb in ["LIST", "WATCH"] {
                let reply = room.send("a", "\(verb) \(prefix)\n")
                #expect(
                    reply.count == 1 && reply.first?.hasPrefix("ERROR bad-name ") == true,
                    "\(verb) \(prefix): \(reply)")
            }
        }
        #expect(room.send("a", "LIST %25\n") == ["END 0"])
    }

    @Test("STATUS lists holders, waiters and a mark, and no rows for an unused lock") func status() {
        let room = Room()
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            a dies
            b> LIST
            b< * lock jobs mode=- holders=0 waiters=0 ownerdied=1
            b< END 1
            b> STATUS jobs
            b< END 0
            b> STATUS none
            b< END 0
            b> READ jobs lease=1500ms note=n owner=o
            b< GRANTED jobs read token=2 ownerdied=1
            + 250ms
            b> STATUS jobs
            b< * holder pid=2 mode=read owner=o token=2 age=250ms lease=1.250s note=n
            b< END 1
            """)
    }

    @Test("WATCH tells of every change under a prefix, another replaces it") func watch() {
        let room = Room()
        room.play(
            """
            w> #w WATCH jobs
            w< #w OK
            a> WRITE jobs/1
            a< GRANTED jobs/1 write token=1
            w< ! CHANGED jobs/1 granted pid=1 mode=write token=1 owner=- tag=- request=- upgrades=-
            b> READ jobs/1 wait=1s
            w< ! CHANGED jobs/1 waiting pid=2 mode=read token=- owner=- tag=- request=1 upgrades=-
            a> WRITE mail
            a< GRANTED mail write token=2
            + 1s
            b< TIMEOUT jobs/1 read waited=1000ms held-by=1/write
            w< ! CHANGED jobs/1 timeout pid=2 mode=read token=- owner=- tag=- request=1 upgrades=-
            a> RELEASE jobs/1
            a< RELEASED jobs/1 token=1
            w< ! CHANGED jobs/1 released pid=1 mode=write token=1 owner=- tag=- request=- upgrades=-
            w> WATCH mail
            w< OK
            a> READ jobs/1
            a< GRANTED jobs/1 read token=3
            a dies
            w< ! CHANGED mail died pid=1 mode=write token=2 owner=- tag=- request=- upgrades=-
            """)
    }

    @Test("PING, HELP and STATS answer; QUIT ends, and what follows it is not carried out") func quit() {
        let room = Room()
        #expect(room.send("a", "ping\r\n\r\n  Ping  \n") == ["PONG", "PONG"])
        #expect(room.send("a", "#h HELP\n").last?.hasPrefix("#h END ") == true)
        #expect(room.send("a", "STATS\n").contains("* sessions 1"))
        room.send("a", "WRITE jobs\n")
        #expect(room.send("a", "QUIT\nPING\nRELEASE jobs\n") == ["BYE"])
        #expect(room.interest(in: "a") == .close)
        #expect(room.send("b", "WRITE jobs\n") == ["GRANTED jobs write token=2 ownerdied=1"])
        #expect(room.send("a", "PING\n") == [])
    }

    @Test("without tokens requests are refused, and releases go on (G7)") func noToken() {
        let room = Room { $0.lastToken = Token(rawValue: 1) }
        #expect(room.send("a", "WRITE jobs\n") == ["GRANTED jobs write token=1"])
        #expect(room.send("a", "WRITE mail\n").first?.hasPrefix("ERROR no-token ") == true)
        #expect(room.send("a", "RELEASE jobs\n") == ["RELEASED jobs token=1"])
        room.server.allowTokens(through: Token(rawValue: 5))
        #expect(room.send("a", "WRITE mail\n") == ["GRANTED mail write token=2"])
        #expect(room.server.takeEvents().map(\.kind) == [.noToken])
    }

    @Test("without memory for facts requests are refused, and releases go on (G14)") func noMemory() {
        let room = Room()
        #expect(room.send("a", "WRITE jobs\n") == ["GRANTED jobs write token=1"])
        #expect(room.send("b", "WRITE jobs\n") == [])
        room.server.isFull = true
        #expect(room.send("a", "WRITE mail\n").first?.hasPrefix("ERROR no-memory lock=mail") == true)
        #expect(room.send("a", "#2 WRITE jobs owner=o\n").first?.hasPrefix("#2 ERROR no-memory") == true)
        #expect(room.send("a", "RELEASE jobs\n") == ["RELEASED jobs token=1"])
        #expect(room.send("b", "PING\n") == ["GRANTED jobs write token=2", "PONG"])
        room.server.isFull = false
        #expect(room.send("a", "WRITE mail\n") == ["GRANTED mail write token=3"])
    }

    @Test("a drain is told to all, refuses what is new, and goes on with the rest") func drain() {
        let room = Room()
        room.play(
            """
            a> UPDATE jobs
            a< GRANTED jobs update token=1
            b> #w WRITE jobs
            drain
            a< ! DRAIN
            b< ! DRAIN
            a> WRITE mail
            a< ERROR draining lock=mail mode=write the daemon is leaving and grants nothing new
            a> UPGRADE jobs
            a< GRANTED jobs write token=2
            a> RELEASE jobs
            a< RELEASED jobs token=2
            b< #w GRANTED jobs write token=3
            """)
        #expect(room.server.isIdle == false)
        room.send("b", "RELEASE jobs\n")
        #expect(room.server.isIdle == true)
    }
}
