import LockServer
import LockVocabulary
import Testing

@Suite("The order of locks") struct LockOrderTests {
    private func room(_ rules: String) throws -> Room {
        let policy = try Policy(parsing: rules, PolicyNames(user: { _ in nil }, group: { _ in nil }))
        return Room { $0.policy.order = policy.order }
    }

    @Test("who takes locks in order is not disturbed; who does not is refused, and told why") func refuse()
        throws
    {
        let room = try room("order accounts/ < orders/ refuse")
        room.play(
            """
            a> WRITE accounts/1
            a< GRANTED accounts/1 write token=1
            a> WRITE orders/1
            a< GRANTED orders/1 write token=2
            b> WRITE orders/2 note=billing
            b< GRANTED orders/2 write token=3
            b> #t READ accounts/2 note=report
            b< #t DENIED accounts/2 read reason=lock-order:orders/2
            b> READ elsewhere
            b< GRANTED elsewhere read token=4
            b> RELEASE orders/2
            b< RELEASED orders/2 token=3
            b> READ accounts/2
            b< GRANTED accounts/2 read token=5
            """)
        let held = try #require(LockName("orders/2"))
        #expect(
            room.server.takeEvents().map(\.kind) == [
                .orderBroken(
                    holding: held, heldNote: Note(encoding: "billing") ?? .none,
                    note: Note(encoding: "report") ?? .none, isRefused: true)
            ])
        #expect(room.send("b", "STATS\n").contains("* total-order-broken 1"))
    }

    @Test("to be warned of is to be granted, counted and told the operator") func warn() throws {
        let room = try room("order a/ < b/ warn")
        room.send("a", "READ b/1\n")
        #expect(room.send("a", "READ a/1\n") == ["GRANTED a/1 read token=2"])
        #expect(room.server.takeEvents().count == 1)
        #expect(room.send("a", "STATS\n").contains("* total-order-broken 1"))
        #expect(room.send("a", "STATS\n").contains("* total-denied 0"))
    }

    @Test("owners do not answer for each other") func owners() throws {
        let room = try room("order a/ < b/ refuse")
        room.send("a", "WRITE b/1 owner=t1\n")
        #expect(room.send("a", "WRITE a/1 owner=t2\n") == ["GRANTED a/1 write token=2"])
        #expect(room.send("a", "WRITE a/2 owner=t1\n").first?.hasPrefix("DENIED") == true)
    }

    @Test("what cannot wait, and what the owner has already, breaks no order") func harmless() throws {
        let room = try room("order a/ < b/ refuse")
        room.send("a", "READ a/1\n")
        room.send("a", "READ b/1\n")
        #expect(room.send("a", "READ a/1\n") == ["GRANTED a/1 read token=3"])
        #expect(room.send("a", "WRITE a/2 wait=0\n") == ["GRANTED a/2 write token=4"])
        #expect(room.send("a", "WRITE a/3 wait=1ms\n").first?.hasPrefix("DENIED") == true)
    }

    @Test("order goes on over several lines, and the stricter of two counts") func chains() throws {
        let room = try room(
            "order a/ < b/ warn\norder b/ < c/ refuse\norder x/ < y/ warn\norder x/ < y/ refuse")
        room.send("a", "READ c/1\n")
        #expect(
            room.send("a", "READ a/1\n").first?.hasPrefix("DENIED a/1 read reason=lock-order:c/1") == true)
        room.send("b", "READ b/1\n")
        #expect(room.send("b", "READ a/1\n").first?.hasPrefix("GRANTED") == true)
        room.send("c", "READ y/1\n")
        #expect(room.send("c", "READ x/1\n").first?.hasPrefix("DENIED") == true)
    }

    @Test("a name is in the class of its longest prefix") func longest() throws {
        let room = try room("order a/ < a/b/ refuse")
        room.send("a", "READ a/b/1\n")
        #expect(room.send("a", "READ a/b/2\n").first?.hasPrefix("GRANTED") == true)
        #expect(room.send("a", "READ a/c\n").first?.hasPrefix("DENIED") == true)
    }

    @Test("of very many grants the newest are looked at") func many() throws {
        let room = try room("order a/ < b/ refuse")
        room.send("a", "READ b/1\n")
        for number in 0..<255 { room.send("a", "READ c/\(number)\n") }
        #expect(room.send("a", "READ a/1\n").first?.hasPrefix("DENIED") == true)
        room.send("a", "READ c/255\n")
        #expect(room.send("a", "READ a/1\n").first?.hasPrefix("GRANTED") == true)
    }
}
