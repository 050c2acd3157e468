import Ledger
import LedgerSupport
import LockServer
import Seeded

/// The server's facts in a ledger, and what the ledger must show.
struct Kept: ~Copyable {
    private let memory = TestMemory(limit: 64 << 20)
    private var ledger: Ledger
    private(set) var facts: [FactKey: [UInt8]] = [:]

    init() {
        guard let ledger = try? memory.ledger() else { preconditionFailure("no memory") }
        self.ledger = ledger
    }

    /// Takes the facts that have changed, as the daemon does at the end of a batch.
    mutating func commit(_ server: inout Server) throws {
        var isFull = false
        server.forEachChangedFact { key, bytes in
            let place = FactKey(kind: key.kind, slot: key.slot)
            facts[place] = bytes.map { Array($0) }
            if let bytes {
                if !ledger.set(place, bytes, sent: key.isTraffic ? 0 : nil) { isFull = true }
            } else {
                ledger.remove(place)
            }
        }
        guard !isFull else { throw Violation("G14: the ledger has no room") }
        ledger.commit()
    }

    /// Does the same, and has a kill before one of its stores. Returns the facts from which another worker would then go on.
    mutating func commit(
        _ server: inout Server, killedWith generator: inout SeededGenerator
    ) throws -> [(key: KeptKey, bytes: [UInt8])] {
        let before = facts
        let kill = Kill(memory, generator.next())
        ledger.beforeStore = { kill.store() }
        try commit(&server)
        ledger.beforeStore = nil
        guard let left = kill.left else { return list(facts) }
        // The worker after it is killed as well, while it recovers the facts.
        let second = Kill(left, generator.next())
        let found = try Self.recover(left) { second.store() }
        guard found == before || found == facts else {
            throw Violation("G14: a kill before store \(kill.chosen) of \(kill.stores) left other facts")
        }
        if let again = second.left, try Self.recover(again) != found {
            throw Violation("G14: a kill before store \(second.chosen) of a recovery left other facts")
        }
        return list(found)
    }

    /// The facts of the last commit.
    var all: [(key: KeptKey, bytes: [UInt8])] { list(facts) }

    private func list(_ facts: [FactKey: [UInt8]]) -> [(key: KeptKey, bytes: [UInt8])] {
        facts.map { (KeptKey(kind: $0.key.kind, slot: $0.key.slot), $0.value) }
    }

    private static func recover(
        _ memory: TestMemory, beforeStore: (() -> Void)? = nil
    ) throws -> [FactKey: [UInt8]] {
        switch Ledger.recover(memory.memory, reserve: 0, beforeStore: beforeStore) {
        case .believed(let ledger):
            var facts: [FactKey: [UInt8]] = [:]
            ledger.forEachFact { facts[$0.key] = Array($0.bytes) }
            return facts
        case .doubted(let doubt): throw Violation("G14: a ledger is not believed: \(doubt)")
        }
    }
}

/// A kill before one of the stores to a memory: each is as likely as the others.
private final class Kill {
    private let memory: TestMemory
    private var generator: SeededGenerator
    private(set) var stores = 0
    private(set) var chosen = 0
    /// The memory as the kill has left it.
    private(set) var left: TestMemory?

    init(_ memory: TestMemory, _ seed: UInt64) {
        self.memory = memory
        generator = SeededGenerator(seed: seed)
    }

    func store() {
        stores += 1
        guard generator.number(1...stores) == 1 else { return }
        chosen = stores
        left = memory.copy()
    }
}
