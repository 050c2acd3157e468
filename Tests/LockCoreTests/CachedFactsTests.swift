import LockCore
import LockVocabulary
import SlotSupport
import Testing

@Suite("G14 going on with cached grants") struct CachedFactsTests {
    private typealias Facts = [(slot: UInt32, fact: Fact)]

    /// A table in which one session has a cached grant of each kind.
    private struct Scene: ~Copyable {
        var table = LockTable(firstToken: Token(rawValue: 1), lastToken: Token(rawValue: 1_000))
        let slots = ClientSlots()
        let session: SessionID
        let other: SessionID
        private(set) var given: [String: LockTable.GivenSlot] = [:]

        init() throws {
            let opened = [table.openSession(), table.openSession()].compactMap { $0 }
            (session, other) = (try #require(opened.first), try #require(opened.last))
            table.setSlots(slots.memory, of: session)
            for lock in ["idle", "held", "wanted"] { cache(lock) }
            if let idle = given["idle"] { _ = slots.leave(idle.index, idle.generation) }
            // A request waits for it, so it is cached no more.
            _ = table.acquire(Acquisition(name("wanted"), .write), by: other, at: .zero)
        }

        private mutating func cache(_ lock: String) {
            let request = Acquisition(name(lock), .write)
            guard case .granted(let granted) = table.acquire(request, by: session, at: .zero) else { return }
            given[lock] = table.cache(granted.token, on: name(lock), of: session)
        }

        var facts: Facts {
            var facts: Facts = []
            table.forEachFact { facts.append(($0.slot, $1)) }
            return facts
        }
    }

    private static func restore(_ facts: Facts) throws -> LockTable {
        var table = LockTable(firstToken: Token(rawValue: 1), lastToken: Token(rawValue: 1_000))
        try table.restore(at: .zero) { (kind, restore) throws(BrokenInvariant) in
            for (slot, fact) in facts where fact.kind == kind { try restore(slot, fact) }
        }
        return table
    }

    @Test("a table that is restored has the same cached grants, in whatever order their facts come")
    func same() throws {
        let scene = try Scene()
        let facts = scene.facts
        for _ in 0..<10 {
            var table = try Self.restore(facts.shuffled())
            #expect(table.missesSlots(scene.session) && !table.missesSlots(scene.other))
            table.setSlots(scene.slots.memory, of: scene.session)
            try table.checkInvariants()
            #expect(table.cachedCount == 3)
            var again: Facts = []
            table.forEachFact { again.append(($0.slot, $1)) }
            #expect(again.count == facts.count)
            for (slot, fact) in facts { #expect(again.contains { $0.slot == slot && $0.fact == fact }) }
        }
    }

    @Test("the next process sees what clients did while none served") func meanwhile() throws {
        let scene = try Scene()
        var table = try Self.restore(scene.facts)
        let idle = try #require(scene.given["idle"])
        let held = try #require(scene.given["held"])
        #expect(scene.slots.enter(idle.index, idle.generation, isRead: false))
        #expect(scene.slots.leave(held.index, held.generation))
        table.setSlots(scene.slots.memory, of: scene.session)
        #expect(table.summary(of: name("idle"))?.holders == 1)
        #expect(table.summary(of: name("held"))?.cached == 1)
        guard case .granted = table.acquire(Acquisition(name("held"), .read), by: scene.other, at: .zero)
        else { return #expect(Bool(false), "what is not held is free") }
        guard case .waiting = table.acquire(Acquisition(name("idle"), .read), by: scene.other, at: .zero)
        else { return #expect(Bool(false), "what is held is not free") }
    }

    @Test("what a process has taken without a commit is free for the next one as well") func takenTwice()
        throws
    {
        var scene = try Scene()
        let facts = scene.facts
        let request = Acquisition(name("idle"), .write)
        _ = scene.table.acquire(request, by: scene.other, at: .zero)
        var table = try Self.restore(facts)
        table.setSlots(scene.slots.memory, of: scene.session)
        let idle = try #require(scene.given["idle"])
        #expect(!scene.slots.enter(idle.index, idle.generation, isRead: false))
        guard case .granted = table.acquire(request, by: scene.other, at: .zero) else {
            return #expect(Bool(false), "it is taken")
        }
    }

    @Test("a process that dies before its commit hides from the next one nothing that is held") func resting()
        throws
    {
        var scene = try Scene()
        scene.table.keepsFacts = true
        let facts = scene.facts
        let held = try #require(scene.given["held"])
        let token = Token(rawValue: held.generation)
        _ = scene.table.revoke(name("held"), token, at: .zero)
        // Its slot is free, and the next cached grant of the session gets another one.
        let request = Acquisition(name("new"), .write)
        guard case .granted(let granted) = scene.table.acquire(request, by: scene.session, at: .zero)
        else { return #expect(Bool(false), "a lock is free") }
        let given = scene.table.cache(granted.token, on: name("new"), of: scene.session)
        #expect(given.map { $0.index != held.index } == true)
        var table = try Self.restore(facts)
        table.setSlots(scene.slots.memory, of: scene.session)
        #expect(table.summary(of: name("held"))?.holders == 1)
        // After the commit it can be used.
        scene.table.forEachChangedFact { _, _ in }
        guard
            case .granted(let next) = scene.table.acquire(
                Acquisition(name("next"), .write), by: scene.session, at: .zero)
        else { return #expect(Bool(false), "a lock is free") }
        let reused = scene.table.cache(next.token, on: name("next"), of: scene.session)
        #expect(reused?.index == held.index)
    }

    @Test("a session that ended under a former process leaves a mark only for what it held (G11)")
    func ended() throws {
        let scene = try Scene()
        var table = try Self.restore(scene.facts)
        table.setSlots(scene.slots.memory, of: scene.session)
        table.closeSession(scene.session, at: .zero)
        let marked = ["idle", "held", "wanted"].filter { table.summary(of: name($0))?.ownerDied == true }
        #expect(marked == ["held", "wanted"])
    }

    @Test("facts with two grants in one slot, or a slot of a session without any, are refused")
    func contradictions() throws {
        let scene = try Scene()
        var twice = scene.facts
        var without = scene.facts
        for index in twice.indices {
            if case .grant(var fact) = twice[index].fact {
                fact.slot = Fact.Grant.Slot(index: 5, isWanted: false)
                twice[index].fact = .grant(fact)
            }
            if case .session(var fact) = without[index].fact {
                fact.hasSlots = false
                without[index].fact = .session(fact)
            }
        }
        #expect(throws: BrokenInvariant.self) { _ = try Self.restore(twice) }
        #expect(throws: BrokenInvariant.self) { _ = try Self.restore(without) }
        var beyond = scene.facts
        for index in beyond.indices {
            guard case .grant(var fact) = beyond[index].fact else { continue }
            fact.slot = Fact.Grant.Slot(index: 64, isWanted: false)
            beyond[index].fact = .grant(fact)
        }
        #expect(throws: BrokenInvariant.self) { _ = try Self.restore(beyond) }
    }
}
