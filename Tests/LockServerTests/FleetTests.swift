import LockClaims
import LockServer
import LockVocabulary
import SimulatedStore
import Testing

@Suite("Names that hosts share") struct FleetTests {
    @Test("two hosts exclude each other, and a claim moves when it is wanted (G1)") func exclusion() {
        FleetRoom().play(
            """
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            2a> WRITE jobs wait=0
            2a< BUSY jobs write held-by=host:web1/write
            2a> WRITE jobs
            1a> RELEASE jobs
            1a< RELEASED jobs token=T
            2a< GRANTED jobs write token=T until
            """)
    }

    @Test("readers of two hosts hold together, and a waiting writer keeps new readers of both out (G2)")
    func readers() {
        FleetRoom().play(
            """
            1a> READ jobs
            1a< GRANTED jobs read token=T until
            2a> READ jobs
            2a< GRANTED jobs read token=T until
            2b> WRITE jobs
            1b> READ jobs
            2c> READ jobs
            1a> RELEASE jobs
            1a< RELEASED jobs token=T
            2a> RELEASE jobs
            2a< RELEASED jobs token=T
            2b< GRANTED jobs write token=T until
            2b> RELEASE jobs
            2b< RELEASED jobs token=T
            1b< GRANTED jobs read token=T until
            2c< GRANTED jobs read token=T until
            """)
    }

    @Test("a reader behind another host's writer is told of the readers that this one waits for (G2)")
    func readerBehindWriter() {
        FleetRoom(hosts: 3).play(
            """
            1a> READ jobs
            1a< GRANTED jobs read token=T until
            2a> WRITE jobs
            3a> READ jobs wait=0
            3a< BUSY jobs read held-by=host:web1/read
            """)
    }

    @Test("under a claim no request goes to the store") func claimed() {
        let room = FleetRoom()
        _ = room.ask(1, "a", "WRITE jobs")
        _ = room.ask(1, "a", "RELEASE jobs")
        let revision = room.network.store.revision
        for _ in 0..<100 {
            room.play(
                "1a> WRITE jobs\n1a< GRANTED jobs write token=T until\n1a> RELEASE jobs\n1a< RELEASED jobs token=T"
            )
        }
        #expect(room.network.store.revision == revision)
    }

    @Test("names that are not shared do not wait for the store, and have neither claim nor until")
    func local() {
        let room = FleetRoom(prefixes: ["fleet/"])
        room.play(
            """
            1 is cut off
            1a> WRITE jobs
            1a< GRANTED jobs write token=T
            2a> WRITE jobs
            2a< GRANTED jobs write token=T
            1a> WRITE fleet/jobs wait=50ms
            + 50ms
            1a< TIMEOUT fleet/jobs write held-by=?
            """)
    }

    @Test("a host that loses the cluster takes its grants back before another host gets them (G1, G9)")
    func lease() {
        FleetRoom().play(
            """
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            1 is cut off
            2a> WRITE jobs
            + 9s
            1a< ! REVOKED jobs token=T
            + 20s
            2a< GRANTED jobs write token=T ownerdied=maybe until
            1a> RELEASE jobs
            1a< ERROR not-held there is no such grant
            """)
    }

    @Test("a host that was stopped finds its claims ended before it answers anything (G1, G9)") func stopped()
    {
        FleetRoom().play(
            """
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            1 stops
            2a> WRITE jobs
            + 30s
            2a< GRANTED jobs write token=T ownerdied=maybe until
            1 goes on
            1a< ! REVOKED jobs token=T
            """)
    }

    @Test("a session that dies with a lock leaves its mark to the next host (G11)") func mark() {
        FleetRoom().play(
            """
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            1a dies
            2a> WRITE jobs
            2a< GRANTED jobs write token=T ownerdied=1 until
            2a> RELEASE jobs
            2a< RELEASED jobs token=T
            1b> WRITE jobs
            1b< GRANTED jobs write token=T until
            """)
    }

    @Test("a writer under an idle claim that loses the cluster leaves a mark, also for its own host (G11)")
    func ownMark() {
        FleetRoom(hosts: 1).play(
            """
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            1a> RELEASE jobs
            1a< RELEASED jobs token=T
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            1 is cut off
            + 9s
            1a< ! REVOKED jobs token=T
            1 is back
            + 20s
            1a> WRITE jobs
            1a< GRANTED jobs write token=T ownerdied=maybe until
            """)
    }

    @Test("tokens rise from host to host (G7)") func tokens() {
        let room = FleetRoom()
        var last: UInt64 = 1 << 62
        for round in 0..<10 {
            let host = round % 2 + 1
            let line = room.ask(host, "a", "WRITE jobs").first ?? ""
            let token = line.split(separator: " ").first { $0.hasPrefix("token=") }.flatMap {
                UInt64($0.dropFirst(6))
            }
            #expect(token.map { $0 > last } ?? false, "\(line)")
            last = token ?? last
            _ = room.ask(host, "a", "RELEASE jobs")
        }
    }

    @Test("until is extended by notices, and lies within the lease") func until() {
        let room = FleetRoom()
        let granted = room.ask(1, "a", "WRITE jobs").first ?? ""
        let until = granted.split(separator: " ").first { $0.hasPrefix("until=") }
        let left = until.flatMap { Int($0.dropFirst(6).dropLast(2)) } ?? 0
        #expect((5_000...9_000).contains(left), "\(granted)")
        room.pass(.seconds(10))
        let notices = (room.hosts[0].heard["a"] ?? []).filter { $0.hasPrefix("! UNTIL until=") }
        #expect((2...4).contains(notices.count), "\(notices)")
    }

    @Test("a deadlock over two hosts ends with a refusal that names them (G8)") func deadlock() {
        let room = FleetRoom()
        room.play(
            """
            1a> WRITE x
            1a< GRANTED x write token=T until
            2a> WRITE y
            2a< GRANTED y write token=T until
            1a> WRITE y
            2a> WRITE x
            """)
        room.pass(.seconds(1))
        let heard = [1, 2].flatMap { room.hosts[$0 - 1].heard["a"] ?? [] }.filter { !$0.hasPrefix("! UNTIL") }
        #expect(heard.count == 1 && heard.first?.hasPrefix("DEADLOCK ") ?? false, "\(heard)")
        #expect(heard.first?.contains(">host:web") ?? false, "\(heard)")
    }

    @Test("a circle that ended with a lease while its host was stopped is not refused when that goes on (G8)")
    func formerCircle() {
        let room = FleetRoom()
        room.play(
            """
            1a> WRITE db
            1a< GRANTED db write token=T until
            2a> WRITE jobs lease=700ms
            2a< GRANTED jobs write token=T until
            1a> WRITE jobs
            2a> WRITE db
            + 300ms
            2 stops
            + 200ms
            1b> WRITE other
            1b< GRANTED other write token=T until
            + 300ms
            2 goes on
            2a< ! EXPIRED jobs token=T
            1a< GRANTED jobs write token=T ownerdied=1 until
            1a> RELEASE db
            1a< RELEASED db token=T
            2a< GRANTED db write token=T until
            """)
    }

    @Test("a reader that wants more, and waits for a host that waits for it to release, is in a circle (G8)")
    func deadlockOnOneName() {
        let room = FleetRoom()
        room.play(
            """
            1a> READ x
            1a< GRANTED x read token=T until
            2a> READ x
            2a< GRANTED x read token=T until
            1a> UPDATE x
            2a> UPGRADE x
            + 1s
            1a< DEADLOCK x update cycle=1:x>host:web2:x
            """)
    }

    @Test("without the cluster, a request with a deadline waits for it, and another one is refused")
    func unavailable() {
        let room = FleetRoom()
        room.play("1 is cut off")
        room.pass(.seconds(30))
        room.play(
            """
            1b> WRITE jobs wait=1s
            + 1s
            1b< TIMEOUT jobs write held-by=?
            """)
        let refused = room.ask(1, "c", "WRITE jobs").first ?? ""
        #expect(refused.hasPrefix("ERROR cluster-unavailable lock=jobs mode=write "), "\(refused)")
    }

    @Test("at the end of its input, a session still gets the answers to requests that were not to wait (G6)")
    func halfClosed() {
        let room = FleetRoom()
        room.play(
            """
            1a> WRITE held
            1a< GRANTED held write token=T until
            1a> WRITE more
            1a< GRANTED more write token=T until
            """)
        room.say(2, "a", "#1 WRITE free wait=0\n#2 WRITE held wait=0\n#3 WRITE more\n")
        room.play(
            """
            2a ends
            2a< #1 GRANTED free write token=T until
            2a< #2 BUSY held write held-by=host:web1/write
            1b> WRITE free wait=0
            1b< GRANTED free write token=T ownerdied=1 until
            1a> RELEASE more
            1a< RELEASED more token=T
            1a> WRITE more wait=0
            1a< GRANTED more write token=T until
            """)
        #expect(room.hosts[1].sessions["a"].map { room.hosts[1].server.interest(in: $0) } == .close)
    }

    @Test("behind a request of this host that waits for a claim, a lock is busy, and not unavailable")
    func busyBehindClaim() {
        let room = FleetRoom()
        room.play("1 is cut off")
        room.say(1, "a", "WRITE jobs wait=300ms\n")
        room.play(
            """
            1b> WRITE jobs wait=0
            1b< BUSY jobs write held-by=?
            1b> READ jobs wait=0
            1b< BUSY jobs read held-by=?
            """)
    }

    @Test("the death of a client ends what other hosts are asked about at once (G6)") func deadProbe() {
        let room = FleetRoom()
        room.play("1 is cut off")
        room.say(1, "a", "WRITE jobs wait=0\n")
        room.play("1a dies")
        #expect(room.stat(1, "waiters") == 0)
    }

    @Test("STATUS and LIST show which hosts have a name and wait for it, and STATS the fleet") func rows() {
        let room = FleetRoom()
        room.play(
            """
            1a> WRITE jobs
            1a< GRANTED jobs write token=T until
            2a> READ jobs
            2b> STATUS jobs
            2b< * waiter pid=1 mode=read owner=- timeout=forever note=- upgrades=-
            2b< * claim host=web1 mode=write
            2b< * claim-waiter host=web2 mode=read
            2b< END 3
            2b> LIST
            2b< * lock jobs mode=- holders=0 waiters=1 ownerdied=0 claim=write host=web1
            2b< END 1
            """)
        #expect(room.stat(1, "cluster-claims") == 1)
        #expect(room.stat(1, "cluster-reachable") == 1)
        #expect(room.stat(2, "cluster-claims") == 0)
    }

    @Test("names and notes of users reach no key but those of their names, and no value")
    func strange() {
        let room = FleetRoom()
        let long = String(repeating: "n", count: 255)
        for (number, name) in [
            "../fleet", "/", "hosts/web2", "%00", "%0A", "%FF", long, long + "x", "a\u{0}b", "\u{e9}",
        ].enumerated() {
            room.say(number % 2 + 1, "a", "WRITE \(name) note=../hosts/web9%0Aholds-write wait=0\n")
            room.pass(.milliseconds(20))
        }
        room.say(2, "b", "WRITE jobs note=secret\n")
        room.pass(.seconds(2))
        let pairs = room.network.store.pairs(prefix: [])
        let keys = pairs.map { String(decoding: $0.key, as: UTF8.self) }.filter {
            !$0.hasPrefix("prwlock/n/")
        }
        #expect(keys == ["prwlock/fleet", "prwlock/hosts/web1", "prwlock/hosts/web2"])
        #expect(pairs.count == keys.count + 8)
        #expect(!pairs.contains { String(decoding: $0.value, as: UTF8.self).contains { $0 == "%" } })
        #expect(!pairs.contains { String(decoding: $0.value, as: UTF8.self).contains("secret") })
    }

    @Test("VALIDATE never calls a grant of another host stale") func validate() {
        let room = FleetRoom()
        let granted = room.ask(1, "a", "WRITE jobs").first ?? ""
        let token = granted.split(separator: " ").first { $0.hasPrefix("token=") } ?? ""
        #expect(room.ask(1, "b", "VALIDATE jobs \(token)").first == "VALID jobs \(token)")
        let elsewhere = room.ask(2, "b", "VALIDATE jobs \(token)").first ?? ""
        #expect(elsewhere.hasPrefix("ERROR cluster-unavailable host web1 "), "\(elsewhere)")
        _ = room.ask(1, "a", "RELEASE jobs")
        _ = room.ask(2, "a", "WRITE jobs")
        #expect(room.ask(2, "b", "VALIDATE jobs \(token)").first == "STALE jobs \(token)")
    }
}
