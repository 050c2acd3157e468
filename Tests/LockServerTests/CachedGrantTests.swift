import LockServer
import LockVocabulary
import Seeded
import Testing

@Suite("A cached grant") struct CachedGrantTests {
    @Test("comes with the second grant in a row, and only to a session that asked for slots") func begins()
        throws
    {
        let room = CacheRoom()
        #expect(room.ask("a") == 64)
        #expect(room.room.send("a", "READ jobs\n") == ["GRANTED jobs read token=1"])
        #expect(room.room.send("a", "RELEASE jobs\n") == ["RELEASED jobs token=1"])
        #expect(room.room.send("a", "READ jobs\n") == ["GRANTED jobs read token=2 slot=0 gen=2"])
        #expect(
            room.room.send("b", "READ mail\nRELEASE mail\nREAD mail\n").last == "GRANTED mail read token=4")
    }

    @Test("is not for a lock that goes to and fro, nor with cache=0, a lease or update") func declined()
        throws
    {
        let room = CacheRoom()
        room.ask("a")
        room.ask("b")
        for _ in 0..<3 {
            for letter in ["a", "b"] as [Character] {
                let reply = room.room.send(letter, "WRITE jobs\n").first ?? ""
                #expect(CacheRoom.number("slot", in: reply) == nil)
                room.room.send(letter, "RELEASE jobs\n")
            }
        }
        for request in ["READ mail cache=0", "WRITE mail lease=5s", "UPDATE mail"] {
            let reply = room.request("a", request)
            #expect(CacheRoom.number("slot", in: reply) == nil, "\(request)")
            room.room.send("a", "RELEASE mail\n")
        }
    }

    @Test("that is not held is taken by a request that conflicts, and its owner then waits (G2)")
    func idleIsTaken() throws {
        let room = CacheRoom()
        let token = try room.cacheIdle("a", "READ jobs")
        #expect(room.enter(token) && room.leave(token))
        room.play(
            """
            b> WRITE jobs
            b< GRANTED jobs write token=3
            """)
        #expect(!room.enter(token))
        room.play(
            """
            a> READ jobs
            b> RELEASE jobs
            b< RELEASED jobs token=3
            a< GRANTED jobs read token=4
            """)
    }

    @Test("that is held lets the request wait until its last release, which goes to the daemon (G2, G4)")
    func heldIsWaitedFor() throws {
        let room = CacheRoom()
        let token = try room.cache("a", "READ jobs")
        room.play("b> WRITE jobs")
        // Its owner holds, so it does not wait for the writer that waits for it.
        #expect(room.enter(token) && room.leave(token))
        #expect(!room.leave(token))
        room.play(
            """
            c> READ jobs wait=0
            c< BUSY jobs read held-by=1/read
            a> RELEASE jobs token=\(token)
            a< RELEASED jobs token=\(token)
            b< GRANTED jobs write token=3
            """)
    }

    @Test("that is held in vain times out the request that waits (G5)") func timeout() throws {
        let room = CacheRoom()
        _ = try room.cache("a", "WRITE jobs")
        room.play(
            """
            b> READ jobs wait=20ms
            + 20ms
            b< TIMEOUT jobs read waited=20ms held-by=1/write
            """)
    }

    @Test("ends with its process: held for writing it leaves the mark, and not held none (G6, G11)")
    func death() throws {
        let room = CacheRoom()
        _ = try room.cacheIdle("a", "WRITE jobs")
        _ = try room.cache("b", "WRITE mail")
        let left = try room.cacheIdle("c", "WRITE post")
        #expect(room.enter(left))
        for letter in ["a", "b", "c"] as [Character] { room.room.die(letter) }
        room.play(
            """
            d> READ jobs
            d< GRANTED jobs read token=7
            d> READ mail
            d< GRANTED mail read token=8 ownerdied=1
            d> READ post
            d< GRANTED post read token=9 ownerdied=1
            """)
    }

    @Test("is not made while its lock has the mark of a dead writer (G11)") func marked() throws {
        let room = CacheRoom()
        room.play(
            """
            b> WRITE jobs
            b< GRANTED jobs write token=1
            b dies
            """)
        #expect(room.request("a", "READ jobs") == "GRANTED jobs read token=3 ownerdied=1")
    }

    @Test("keeps its token, which is valid until the grant is taken (G7)") func token() throws {
        let room = CacheRoom()
        let token = try room.cacheIdle("a", "WRITE jobs")
        #expect(room.room.send("b", "VALIDATE jobs token=\(token)\n") == ["VALID jobs token=\(token)"])
        #expect(room.enter(token))
        #expect(room.room.send("b", "VALIDATE jobs token=\(token)\n") == ["VALID jobs token=\(token)"])
        #expect(room.leave(token))
        room.room.send("b", "READ jobs\n")
        #expect(room.room.send("b", "VALIDATE jobs token=\(token)\n") == ["STALE jobs token=\(token)"])
    }

    @Test("is in a circle only if it is held, with the right owner (G8)", arguments: [true, false])
    func circles(isHeld: Bool) throws {
        let room = CacheRoom()
        let token = try room.cache("a", "WRITE jobs owner=t1")
        if !isHeld { #expect(room.leave(token)) }
        room.play(
            """
            b> WRITE mail
            b< GRANTED mail write token=3
            a> WRITE mail owner=t1
            b> WRITE jobs
            b< \(isHeld ? "DEADLOCK jobs write cycle=2:jobs>1/t1:mail" : "GRANTED jobs write token=4")
            """)
    }

    @Test("that gets a lease is cached no more, and without being held there is nothing to renew (G9)")
    func lease() throws {
        let room = CacheRoom()
        let held = try room.cache("a", "WRITE jobs")
        let idle = try room.cacheIdle("a", "WRITE mail")
        room.play(
            """
            a> RENEW mail token=\(idle) lease=10ms
            a< ERROR not-held there is no such grant
            a> RENEW jobs token=\(held) lease=10ms
            a< RENEWED jobs token=\(held) lease=10ms
            """)
        #expect(!room.leave(held) && !room.enter(idle))
        room.play(
            """
            + 10ms
            a< ! EXPIRED jobs token=\(held)
            """)
    }

    @Test(
        "that is revoked is taken in either state, and the release of one that was held finds the loss (G9)")
    func revoked() throws {
        let room = CacheRoom { $0.ownUserID = 1000 }
        let held = try room.cache("a", "READ jobs")
        let idle = try room.cacheIdle("a", "READ mail")
        room.play(
            """
            b> REVOKE mail token=\(idle)
            b< REVOKED mail token=\(idle)
            b> REVOKE jobs token=\(held)
            b< REVOKED jobs token=\(held)
            a< ! REVOKED jobs token=\(held)
            """)
        #expect(!room.enter(idle) && !room.leave(held))
        #expect(
            room.room.send("a", "RELEASE jobs token=\(held)\n").first?.hasPrefix("ERROR not-held") == true)
    }

    @Test("is not made on a lock that is watched, and a new watch ends it") func watched() throws {
        let room = CacheRoom()
        let held = try room.cache("a", "READ jobs")
        let idle = try room.cacheIdle("a", "READ jobs/more")
        let other = try room.cacheIdle("a", "READ mail")
        #expect(room.room.send("b", "WATCH jobs\n") == ["OK"])
        #expect(!room.enter(idle) && !room.leave(held) && room.enter(other) && room.leave(other))
        let change =
            "! CHANGED jobs released pid=1 mode=read token=\(held) owner=- tag=- request=- upgrades=-"
        #expect(room.room.send("a", "RELEASE jobs token=\(held)\n") == ["RELEASED jobs token=\(held)"])
        #expect(room.room.hear("b") == [change])
        #expect(CacheRoom.number("slot", in: room.request("a", "READ jobs")) == nil)
    }

    @Test("is shown for what it is") func shown() throws {
        let room = CacheRoom()
        let token = try room.cacheIdle("a", "READ jobs")
        #expect(room.status("b", "jobs") == ["* cached pid=1 mode=read"])
        let list = "* lock jobs mode=- holders=0 waiters=0 ownerdied=0 cached=1"
        #expect(room.room.send("b", "LIST\n").first == list)
        #expect(room.enter(token))
        #expect(room.status("b", "jobs") == ["* holder pid=1 mode=read"])
        #expect(
            room.room.send("b", "LIST\n").first == "* lock jobs mode=read holders=1 waiters=0 ownerdied=0")
    }
}
