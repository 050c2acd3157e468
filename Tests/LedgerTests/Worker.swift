import Ledger
import LedgerSupport
import Seeded
import Testing

/// A process that owns a ledger, and the model of what the ledger must show. Each step is random.
final class Worker {
    let memory: TestMemory
    private var ledger: Ledger
    private var random: SeededGenerator
    /// What counts now, and what the batch under way makes of it.
    private(set) var counted: Snapshot
    private var next: [FactKey: Snapshot.FactValue]
    private var isInBatch = false
    /// What the memory may show during the step, in the order of time, and how far it has come.
    private var allowed: [Snapshot] = []
    private var reached = 0
    /// Called before each store, if this is a history with kills.
    private var atStore: ((Worker) -> Void)?

    /// Begins with an empty ledger.
    init(seed: UInt64, atStore: ((Worker) -> Void)? = nil) throws {
        random = SeededGenerator(seed: seed)
        memory = TestMemory()
        ledger = try memory.ledger()
        counted = Snapshot()
        next = [:]
        self.atStore = atStore
        watch()
    }

    /// Goes on where a killed worker left the memory.
    init(after killed: TestMemory, seed: UInt64, atStore: ((Worker) -> Void)? = nil) throws {
        random = SeededGenerator(seed: seed)
        memory = killed
        switch Ledger.recover(killed.memory, reserve: 1 << 16) {
        case .believed(let recovered): ledger = recovered
        case .doubted(let doubt): throw doubt
        }
        counted = Snapshot(of: ledger)
        next = counted.facts
        self.atStore = atStore
        watch()
    }

    private func watch() {
        guard atStore != nil else { return }
        ledger.beforeStore = { [unowned self] in atStore?(self) }
    }

    /// Whether a snapshot, taken now, is one that the step allows: none is older than one that was seen before.
    func allows(_ snapshot: Snapshot) -> Bool {
        guard let found = allowed[reached...].firstIndex(of: snapshot) else { return false }
        reached = found
        return true
    }

    func run(batches: Int) {
        for _ in 0..<batches {
            for _ in 0..<random.number(0...6) { step() }
            commit()
            if random.happens(30) { raiseSent() }
        }
    }

    /// Does not commit.
    func runIntoBatch() {
        run(batches: random.number(1...20))
        for _ in 0..<random.number(0...6) { step() }
    }

    private func step() {
        switch random.number(0...9) {
        case 0...4: set()
        case 5, 6: remove()
        case 7: note()
        default: read()
        }
    }

    private func set() {
        let key = anyKey()
        var value = Snapshot.FactValue(bytes: anyBytes(), sent: nil)
        if random.happens(10), let present = next[key] { value = present }
        if key.kind == 2 { value.sent = UInt32(random.number(0...value.bytes.count)) }
        during([counted]) {
            #expect(value.bytes.withUnsafeBytes { ledger.set(key, $0, sent: value.sent) })
        }
        next[key] = value
    }

    private func remove() {
        let key = random.happens(80) ? next.keys.sorted(by: isBefore).randomElement(using: &random) : anyKey()
        guard let key else { return }
        let isPresent = next.removeValue(forKey: key) != nil
        during([counted]) { #expect(ledger.remove(key) == isPresent) }
    }

    private func commit() {
        var after = counted
        after.facts = next
        after.input = []
        during([counted, after]) { ledger.commit() }
        counted = after
    }

    private func raiseSent() {
        let keys = next.filter { $0.value.sent != nil }.keys.sorted(by: isBefore)
        guard let key = keys.randomElement(using: &random), let value = next[key] else { return }
        let sent = UInt32(random.number(Int(value.sent ?? 0)...value.bytes.count))
        var after = counted
        after.facts[key]?.sent = sent
        next[key]?.sent = sent
        during([counted, after]) { ledger.setSent(key, sent) }
        counted = after
    }

    private func note() {
        let index = random.number(0...Ledger.noteCount - 1)
        var after = counted
        after.notes[index] = random.next()
        during([counted, after]) { ledger.setNote(index, after.notes[index]) }
        counted = after
        #expect(ledger.note(index) == after.notes[index])
    }

    private func read() {
        let session = random.next()
        let bytes = (0..<random.number(0...90)).map { _ in UInt8.random(in: 1...255, using: &random) }
        var room: UnsafeMutableRawBufferPointer?
        during([counted]) { room = ledger.beginInput(session: session, room: 96) }
        guard let room else { return }
        #expect(room.count == 96 && room.allSatisfy { $0 == 0 })
        room.copyBytes(from: bytes)
        if !bytes.isEmpty { counted.input.append(.init(session: session, bytes: bytes)) }
        during([counted]) { ledger.endInput(count: bytes.count) }
    }

    /// Takes a step. A kill before each of its stores must leave one of these, in this order, and afterwards the last one.
    private func during(_ allowed: [Snapshot], _ step: () -> Void) {
        self.allowed = allowed
        reached = 0
        step()
        guard atStore == nil else { return }
        var expected = allowed[allowed.count - 1]
        expected.facts = [:]
        let shown = Snapshot(of: ledger)
        #expect(shown.input == expected.input && shown.notes == expected.notes)
    }

    /// What the ledger itself shows must be what the model expects of the batch under way.
    func check() {
        var expected = counted
        expected.facts = next
        #expect(Snapshot(of: ledger) == expected)
    }

    private func anyKey() -> FactKey {
        FactKey(
            kind: UInt8(random.pick([1, 2, 200])), slot: UInt32(random.pick([0, 1, 2, 3, 1_024, 70_000])))
    }

    private func anyBytes() -> [UInt8] {
        let length = random.pick([0, 5, 12, 60, 60, 60, 64, 300])
        return (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private func isBefore(_ one: FactKey, _ other: FactKey) -> Bool {
        (one.kind, one.slot) < (other.kind, other.slot)
    }
}
