import LockCore
import LockVocabulary
import Testing

@Suite("The requests of a fleet's session") struct FleetRequestTests {
    private let now = Instant(nanoseconds: 1_000)

    /// A table in which all names are shared.
    private func table(graceEnd: Instant? = nil) -> LockTable {
        var table = LockTable(
            firstToken: Token(rawValue: 1), lastToken: Token(rawValue: 1_000), graceEnd: graceEnd,
            sharedNames: SharedNames(prefixes: [""]))
        table.setSharedTokens(
            floor: Token(rawValue: 1 << 62), gate: Token(rawValue: 1 << 62 + 100), at: Instant(nanoseconds: 0)
        )
        return table
    }

    @Test("in the grace the fleet waits for what other hosts want, and has it afterwards") func grace() throws
    {
        let end = Instant(nanoseconds: 2_000)
        var table = table(graceEnd: end)
        let lock = try #require(LockName("jobs"))
        table.setFleetHold(lock, .read, at: now)
        table.recall(lock, sharing: false, first: false, at: now)
        try table.checkInvariants()
        table.advance(to: end)
        try table.checkInvariants()
        #expect(table.situation(of: lock).fleet == .all)
    }

    @Test("a session's upgrade goes before that of a fleet of which only the facts are known") func restored()
        throws
    {
        var table = table()
        let lock = try #require(LockName("jobs"))
        let opened = table.openSession()
        let session = try #require(opened)
        table.setFleetHold(lock, .read, at: now)
        _ = table.acquire(Acquisition(lock, .read), by: session, at: now)
        table.recall(lock, sharing: false, first: false, at: now)
        var facts: [(slot: UInt32, fact: Fact)] = []
        table.forEachFact { facts.append(($0.slot, $1)) }
        var restored = self.table()
        try restored.restore(at: now) { (kind, restore) throws(BrokenInvariant) in
            for (slot, fact) in facts where fact.kind == kind { try restore(slot, fact) }
        }
        restored.setClaimed(lock, true, at: now)
        _ = restored.upgrade(lock, by: session, at: now)
        try restored.checkInvariants()
        #expect(restored.situation(of: lock).demand == .upgrade)
    }

    @Test("G5: without a shared token, a request that must not wait is refused if a session is in its way")
    func noToken() throws {
        var table = table()
        let lock = try #require(LockName("jobs"))
        let opened = (table.openSession(), table.openSession(), table.openSession())
        let (one, other, third) = (
            try #require(opened.0), try #require(opened.1), try #require(opened.2)
        )
        table.setClaimed(lock, true, at: now)
        table.setFleetHold(lock, .nothing, at: now)
        _ = table.acquire(Acquisition(lock, .read), by: one, at: now)
        _ = table.acquire(Acquisition(lock, .read), by: other, at: now)
        table.setSharedTokens(floor: Token(rawValue: 1 << 62), gate: Token(rawValue: 1 << 62), at: now)
        let decisions = [
            table.upgrade(lock, wait: .upTo(.zero), by: one, at: now),
            table.acquire(Acquisition(lock, .write, wait: .upTo(.zero)), by: third, at: now),
        ]
        for decision in decisions {
            guard case .refused(.busy) = decision else {
                Issue.record("it waits: \(decision)")
                continue
            }
        }
        // The token alone is what another reader waits for.
        let reader = table.acquire(Acquisition(lock, .read, wait: .upTo(.zero)), by: third, at: now)
        guard case .waiting = reader else {
            Issue.record("it does not wait: \(reader)")
            return
        }
    }
}
