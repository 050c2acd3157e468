import Ledger
import LedgerSupport
import LockServer
import Seeded

/// The server's facts in a ledger, and what the ledger must show.
struct Kept: ~Copyable {
    /// What the server that goes on reads.
    struct Facts: KeptFacts, Equatable {
        /// By kinds and slots.
        private var bytes: [UInt8: [UInt32: [UInt8]]] = [:]

        var isEmpty: Bool { bytes.isEmpty }

        fileprivate subscript(key: FactKey) -> [UInt8]? {
            get { bytes[key.kind]?[key.slot] }
            set {
                bytes[key.kind, default: [:]][key.slot] = newValue
                if bytes[key.kind] == [:] { bytes[key.kind] = nil }
            }
        }

        func forEachFact<Failure>(
            ofKind kind: UInt8, _ body: (UInt32, UnsafeRawBufferPointer) throws(Failure) -> Void
        ) throws(Failure) {
            // By slots, as a ledger gives them.
            for (slot, bytes) in (bytes[kind] ?? [:]).sorted(by: { $0.key < $1.key }) {
                try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
                    try body(slot, UnsafeRawBufferPointer(bytes))
                }
            }
        }
    }

    private let memory = TestMemory(limit: 64 << 20)
    private var ledger: Ledger
    /// The facts of the last commit.
    private(set) var all = Facts()

    init() {
        guard let ledger = try? memory.ledger() else { preconditionFailure("no memory") }
        self.ledger = ledger
    }

    /// Takes the facts that have changed, as the daemon does at the end of a batch.
    mutating func commit(_ server: inout Server) throws {
        var isFull = false
        server.forEachChangedFact { key, bytes in
            let place = FactKey(kind: key.kind, slot: key.slot)
            all[place] = bytes.map { Array($0) }
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
    ) throws -> Facts {
        let before = all
        let kill = Kill(memory, generator.next())
        ledger.beforeStore = { kill.store() }
        try commit(&server)
        ledger.beforeStore = nil
        guard let left = kill.left else { return all }
        // The worker after it is killed as well, while it recovers the facts.
        let second = Kill(left, generator.next())
        let found = try Self.recover(left) { second.store() }
        guard found == before || found == all else {
            throw Violation("G14: a kill before store \(kill.chosen) of \(kill.stores) left other facts")
        }
        if let again = second.left, try Self.recover(again) != found {
            throw Violation("G14: a kill before store \(second.chosen) of a recovery left other facts")
        }
        return found
    }

    private static func recover(
        _ memory: TestMemory, beforeStore: (() -> Void)? = nil
    ) throws -> Facts {
        switch Ledger.recover(memory.memory, reserve: 0, beforeStore: beforeStore) {
        case .believed(let ledger):
            var facts = Facts()
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
