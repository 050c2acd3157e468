import LockCore
import LockVocabulary
import Testing

@Suite("G14 going on from facts") struct RestoringTests {
    private static let now = Instant(nanoseconds: 1_000)

    /// A session that holds two locks and waits for one of them, beside a writer and a mark.
    private static func facts() throws -> [(slot: UInt32, fact: Fact)] {
        var table = LockTable(firstToken: Token(rawValue: 1), lastToken: Token(rawValue: 1_000))
        let names = try ["a", "b", "c"].map { try #require(LockName($0)) }
        var sessions: [SessionID] = []
        while sessions.count < 3, let session = table.openSession() { sessions.append(session) }
        for (mode, name) in [(LockMode.update, names[0]), (.read, names[1])] {
            _ = table.acquire(
                Acquisition(name, mode, lease: .upTo(.seconds(9))), by: sessions[0], at: now)
        }
        _ = table.acquire(Acquisition(names[1], .write, tag: Tag("w")), by: sessions[1], at: now)
        _ = table.upgrade(names[0], by: sessions[0], at: now)
        _ = table.acquire(Acquisition(names[0], .read), by: sessions[1], at: now)
        _ = table.acquire(Acquisition(names[2], .write), by: sessions[2], at: now)
        table.closeSession(sessions[2], at: now)
        var facts: [(slot: UInt32, fact: Fact)] = []
        table.forEachFact { facts.append(($0.slot, $1)) }
        return facts
    }

    private static func restore(_ facts: [(slot: UInt32, fact: Fact)], marks: Int = 100) throws -> LockTable {
        var limits = Limits()
        limits.marks = marks
        var table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: 1_000))
        try table.restore(at: now) { (kind, restore) throws(BrokenInvariant) in
            for (slot, fact) in facts where fact.kind == kind { try restore(slot, fact) }
        }
        return table
    }

    @Test("a table that is restored has the same facts, in whatever order they come") func same() throws {
        let facts = try Self.facts()
        for _ in 0..<20 {
            let table = try Self.restore(facts.shuffled())
            var again: [(slot: UInt32, fact: Fact)] = []
            table.forEachFact { again.append(($0.slot, $1)) }
            for (slot, fact) in facts { #expect(again.contains { $0.slot == slot && $0.fact == fact }) }
            #expect(again.count == facts.count)
        }
    }

    @Test("the oldest mark is still the first to be forgotten (G11)") func marks() throws {
        var facts = try Self.facts().filter { if case .mark = $0.fact { false } else { true } }
        for (slot, name) in [(UInt32(7), "z"), (5, "x"), (6, "y")] {
            let lock = try #require(LockName(name))
            facts.append((slot, .mark(Fact.Mark(lock: lock, number: UInt64(slot)))))
        }
        var table = try Self.restore(facts, marks: 3)
        guard let session = table.openSession() else { return #expect(Bool(false), "no session") }
        let lock = try #require(LockName("new"))
        _ = table.acquire(Acquisition(lock, .write), by: session, at: Self.now)
        table.effects = []
        table.closeSession(session, at: Self.now)
        let forgotten = table.effects.compactMap { effect in
            if case .markForgotten(let name) = effect { name.text } else { nil }
        }
        #expect(forgotten == ["x"])
    }

    @Test("facts that contradict each other are refused, and stop nothing") func contradictions() throws {
        let facts = try Self.facts()
        for index in facts.indices {
            var fewer = facts
            let (_, fact) = fewer.remove(at: index)
            switch fact {
            case .counters, .session:
                // A session without grants and requests may be missing: then the server notices.
                guard case .session(let session) = fact, session.serial == 3 else {
                    #expect(throws: BrokenInvariant.self) { _ = try Self.restore(fewer) }
                    continue
                }
            case .grant, .waiter, .mark: break
            }
            for other in facts where !Self.isCounters(fact) {
                // Twice, at its own slot or at that of another fact.
                #expect(throws: BrokenInvariant.self) { _ = try Self.restore(facts + [(other.slot, fact)]) }
            }
        }
    }

    private static func isCounters(_ fact: Fact) -> Bool { if case .counters = fact { true } else { false } }

    @Test(
        "a grant, a request or a session with another number in it is refused, or is as it says",
        arguments: 0..<200)
    func changedNumbers(seed: Int) throws {
        var facts = try Self.facts()
        let index = seed % facts.count
        let number = UInt64(seed / facts.count)
        switch facts[index].fact {
        case .counters(var fact):
            fact.nextToken = Token(rawValue: number)
            facts[index].fact = .counters(fact)
        case .session(var fact):
            fact.phase = [.ending, .ended(nil)][seed % 2]
            facts[index].fact = .session(fact)
        case .grant(var fact):
            fact.token = Token(rawValue: number)
            fact.session = UInt32(number)
            fact.mode = .write
            facts[index].fact = .grant(fact)
        case .waiter(var fact):
            fact.number = number
            fact.mode = .update
            fact.upgrades = Token(rawValue: number)
            facts[index].fact = .waiter(fact)
        case .mark(var fact):
            fact.number = number
            facts[index].fact = .mark(fact)
        }
        // A fact that is believed was checked; what matters is that nothing traps.
        _ = try? Self.restore(facts).lockCount
    }
}
