import LockCore
import LockServer
import LockVocabulary
import Seeded
import SlotSupport
import Testing

@Suite("The end of cached grants") struct CacheEndTests {
    @Test("a command that changes one ends the caching of what is held, and does not find what is not")
    func changes() throws {
        for (command, reply) in [
            ("UPGRADE jobs", "GRANTED jobs write token=3"), ("RELEASE jobs at=end", "OK"),
            ("RENEW jobs lease=5s", "RENEWED jobs token=2 lease=5000ms"),
        ] {
            let room = CacheRoom()
            let token = try room.cache("a", "READ jobs")
            #expect(room.room.send("a", "\(command) token=\(token)\n") == [reply])
            #expect(!room.leave(token), "\(command)")
            let other = CacheRoom()
            let idle = try other.cacheIdle("a", "READ jobs")
            let refused = other.room.send("a", "\(command) token=\(idle)\n").first ?? ""
            #expect(refused.hasPrefix("ERROR not-held"), "\(command): \(refused)")
            #expect(!other.enter(idle), "\(command)")
        }
    }

    @Test("a write grant that is downgraded goes on as a plain one") func downgrade() throws {
        let room = CacheRoom()
        let token = try room.cache("a", "WRITE jobs")
        room.play(
            """
            b> READ jobs
            a> DOWNGRADE jobs token=\(token)
            a< GRANTED jobs read token=\(token)
            b< GRANTED jobs read token=3
            """)
        #expect(!room.leave(token))
    }

    @Test("RELEASE * counts what is held, and ends what is not") func releaseAll() throws {
        let room = CacheRoom()
        let held = try room.cache("a", "READ jobs owner=t1")
        let idle = try room.cacheIdle("a", "WRITE mail owner=t1")
        let others = try room.cacheIdle("a", "WRITE post owner=t2")
        #expect(room.room.send("a", "RELEASE * owner=t1\n") == ["RELEASED * grants=1 waiters=0"])
        #expect(!room.leave(held) && !room.enter(idle) && room.enter(others))
    }

    @Test("a release with the token ends one in either state") func release() throws {
        let room = CacheRoom()
        let idle = try room.cacheIdle("a", "WRITE jobs")
        #expect(room.room.send("a", "RELEASE jobs token=\(idle)\n") == ["RELEASED jobs token=\(idle)"])
        #expect(!room.enter(idle))
        let held = try room.cache("a", "WRITE jobs")
        #expect(room.room.send("a", "RELEASE jobs token=\(held)\n") == ["RELEASED jobs token=\(held)"])
        #expect(!room.leave(held))
    }

    @Test("a command without a token means what is held") func withoutToken() throws {
        let room = CacheRoom()
        _ = try room.cacheIdle("a", "READ jobs owner=t1")
        room.play(
            """
            a> READ jobs owner=t2
            a< GRANTED jobs read token=3
            a> RELEASE jobs
            a< RELEASED jobs token=3
            a> RELEASE jobs
            a< ERROR not-held there is no such grant
            """)
    }

    @Test("another owner of the same session conflicts as any other does") func otherOwner() throws {
        let room = CacheRoom()
        let idle = try room.cacheIdle("a", "WRITE jobs owner=t1")
        #expect(room.room.send("a", "WRITE jobs owner=t2\n") == ["GRANTED jobs write token=3"])
        #expect(!room.enter(idle))
    }

    @Test("a request of the owner itself ends the caching, and meets what it holds (G4)") func sameOwner()
        throws
    {
        let room = CacheRoom()
        let token = try room.cache("a", "READ jobs")
        #expect(room.room.send("a", "READ jobs\n") == ["GRANTED jobs read token=3"])
        #expect(room.room.send("a", "WRITE jobs\n") == ["DEADLOCK jobs write cycle=1:jobs"])
        #expect(!room.leave(token))
        #expect(room.room.send("a", "RELEASE jobs token=\(token)\n") == ["RELEASED jobs token=\(token)"])
    }

    @Test("a drain and a reload of the rules end the caching of all") func drainAndReload() throws {
        for isDrain in [true, false] {
            let room = CacheRoom()
            let held = try room.cache("a", "READ jobs")
            let idle = try room.cacheIdle("a", "READ mail")
            if isDrain { room.room.server.drain() } else { room.room.server.setPolicy(Policy()) }
            #expect(!room.leave(held) && !room.enter(idle))
            room.room.hear("a")
            #expect(room.room.send("a", "RELEASE jobs token=\(held)\n") == ["RELEASED jobs token=\(held)"])
        }
    }

    @Test("an order of locks allows no cached grant: it is checked at each request") func order() throws {
        let policy = try Policy(
            parsing: "order a < b refuse\n", PolicyNames(user: { _ in nil }, group: { _ in nil }))
        let room = CacheRoom { $0.policy = policy }
        #expect(room.ask("a") == 64)
        #expect(CacheRoom.number("slot", in: room.request("a", "READ jobs")) == nil)
    }

    // MARK: - Limits (G12)

    @Test("the 65th of a session takes back one that is not held") func slots() throws {
        let room = CacheRoom()
        var tokens: [Int] = []
        for number in 0..<64 { tokens.append(try room.cache("a", "READ jobs\(number)")) }
        #expect(CacheRoom.number("slot", in: room.request("a", "READ one")) == nil, "all are held")
        for token in tokens { #expect(room.leave(token)) }
        _ = try room.cache("a", "READ two")
        #expect(tokens.count { room.enter($0) } == 63)
    }

    @Test("a session at its limit of grants loses what it does not hold") func sessionLimit() throws {
        let room = CacheRoom { $0.limits.rules.sessionGrants = 4 }
        let idle = try room.cacheIdle("a", "READ one")
        for number in 0..<4 {
            #expect(room.room.send("a", "READ more\(number)\n").first?.hasPrefix("GRANTED") == true)
        }
        #expect(!room.enter(idle))
        #expect(room.room.send("a", "READ last\n").first?.hasPrefix("ERROR limit-grants") == true)
    }

    @Test("what is cached takes at most half of the locks there may be") func lockShare() throws {
        let room = CacheRoom { $0.limits.rules.locks = 4 }
        for number in 0..<2 { _ = try room.cacheIdle("a", "READ jobs\(number)") }
        #expect(CacheRoom.number("slot", in: room.request("a", "READ jobs2")) == nil)
        #expect(room.room.send("b", "WRITE more\n").first?.hasPrefix("GRANTED") == true)
    }

    @Test("a lock has at most 1,024, and a writer takes them all back at once") func lockLimit() throws {
        let room = CacheRoom()
        var given = 0
        for session in 0..<17 {
            let letter = Character(Unicode.Scalar(UInt8(97 + session)))
            for owner in 0..<64 {
                let reply = room.request(letter, "READ jobs owner=t\(owner)")
                if CacheRoom.number("slot", in: reply) == nil {
                    room.room.send(letter, "RELEASE jobs owner=t\(owner)\n")
                    continue
                }
                given += 1
                let slots = try #require(room.slots(of: letter))
                let generation = UInt64(CacheRoom.number("gen", in: reply) ?? 0)
                #expect(slots.leave(CacheRoom.number("slot", in: reply) ?? 0, generation))
            }
        }
        #expect(given == 1_024)
        #expect(room.room.send("z", "WRITE jobs\n").first?.hasPrefix("GRANTED jobs write") == true)
        #expect(throws: Never.self) { try room.room.server.checkInvariants() }
    }

    @Test("who asks for slots that cannot be made pays for the attempts") func attempts() {
        let room = Room()
        room.server.slotMaker = { _ in nil }
        room.open("a", userID: 1_001)
        room.open("b", userID: 1_002)
        room.server.advance(to: room.now)
        room.say("a", String(repeating: "HELLO cache=1\n", count: 20))
        let answers = room.server.withOutput(of: room.session("a")) { $0.count { $0 == 10 } }
        #expect((1..<10).contains(answers), "of lines without such work, a turn has 32")
        #expect(room.hear("a").count == 20)
    }

    // MARK: - Hostile clients

    @Test("whatever a client writes into its slots harms only itself", arguments: SeededGenerator.newSeeds)
    func hostile(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let room = CacheRoom()
        room.ask("a")
        let slots = try #require(room.slots(of: "a"))
        let kept = try room.cacheIdle("c", "WRITE kept")
        let lines = [
            "READ jobs", "RELEASE jobs", "WRITE jobs wait=0", "READ mail owner=t1", "RELEASE * owner=t1",
            "RELEASE mail", "UPGRADE jobs wait=0", "RENEW jobs lease=5s", "RELEASE * owner=-", "CANCEL jobs",
        ]
        for _ in 0..<300 {
            for _ in 0..<generator.number(0...3) {
                let word = slots[generator.number(0...3)]
                let new = [generator.next(), word ^ 1, word ^ 0x8000, word | 0x7FFF, word & ~0xFFFF]
                slots[generator.number(0...3)] = generator.pick(new)
            }
            room.room.send("a", generator.pick(lines) + "\n")
            #expect(throws: Never.self, "PRWLOCK_TEST_SEED=\(seed)") {
                try room.room.server.checkInvariants()
            }
            #expect(room.enter(kept) && room.leave(kept), "PRWLOCK_TEST_SEED=\(seed)")
            #expect(room.room.send("b", "WRITE other\nRELEASE other\n").count == 2)
        }
        room.room.die("a")
        for lock in ["jobs", "mail"] {
            #expect(room.room.send("b", "WRITE \(lock)\n").first?.hasPrefix("GRANTED") == true)
        }
    }
}
