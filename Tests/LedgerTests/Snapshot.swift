import Ledger
import LedgerSupport

/// All that a ledger shows.
struct Snapshot: Equatable {
    struct FactValue: Equatable {
        var bytes: [UInt8]
        var sent: UInt32?
    }

    struct Slice: Equatable {
        var session: UInt64
        var bytes: [UInt8]
    }

    var facts: [FactKey: FactValue] = [:]
    var input: [Slice] = []
    var notes = [UInt64](repeating: 0, count: Ledger.noteCount)

    init() {}

    init(of ledger: borrowing Ledger) {
        var facts: [FactKey: FactValue] = [:]
        ledger.forEachFact { facts[$0.key] = FactValue(bytes: Array($0.bytes), sent: $0.sent) }
        self.facts = facts
        input = ledger.slices.map { Slice(session: $0.session, bytes: Array($0.bytes)) }
        for index in notes.indices { notes[index] = ledger.note(index) }
    }

    /// What another process finds in this memory; nil if it does not believe it.
    init?(recoveredFrom memory: TestMemory, beforeStore: (() -> Void)? = nil) {
        switch Ledger.recover(memory.memory, reserve: 0, beforeStore: beforeStore) {
        case .believed(let ledger): self.init(of: ledger)
        case .doubted: return nil
        }
    }
}
