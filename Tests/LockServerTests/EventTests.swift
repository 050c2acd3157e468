import LockCore
import LockServer
import LockVocabulary
import Testing

@Suite("What an operator is told is never a flood (G13)")
struct EventTests {
    /// The kinds of the events since the last call.
    private func told(_ room: Room) -> [ServerEvent.Kind] { room.server.takeEvents().map(\.kind) }

    @Test("a burst is told whole, and the number of what is left out once a second")
    func flood() {
        let room = Room { $0.limits.rules.sessionGrants = 1 }
        room.send("a", "READ jobs\n")
        for _ in 0..<1_000 { room.send("a", "READ jobs\n") }
        #expect(told(room) == Array(repeating: .limitHit("limit-grants"), count: 64) + [.more(936)])
        for _ in 0..<10 { room.send("a", "READ jobs\n") }
        #expect(told(room).isEmpty)
        room.pass(.seconds(1))
        #expect(told(room) == [.more(10)])
        #expect(told(room).isEmpty)
    }

    @Test("a flood of one kind silences no other")
    func others() {
        let room = Room { $0.limits.rules.sessionGrants = 1 }
        room.send("a", "WRITE jobs\n")
        for _ in 0..<1_000 { room.send("a", "READ mail\n") }
        room.die("a")
        #expect(told(room).contains(.diedHolding(grants: 1)))
    }

    @Test("so many a second are told for as long as it lasts")
    func steady() {
        let room = Room { $0.limits.rules.sessionGrants = 1 }
        room.send("a", "READ jobs\n")
        var count = 0
        for _ in 0..<100 {
            for _ in 0..<50 { room.send("a", "READ jobs\n") }
            count += told(room).count
            room.pass(.milliseconds(100))
        }
        // The burst, one event for each tenth of a second, and a count for each second.
        #expect((64...180).contains(count))
    }
}
