import Ledger
import LedgerSupport
import Seeded
import Testing

@Suite("Long facts")
struct LongFactTests {
    private let key = FactKey(kind: 3, slot: 9)

    private func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test(
        "a fact of any length comes back", arguments: [0, 1, 480, 65_496, 65_497, 130_992, 130_993, 1 << 20])
    func lengths(count: Int) throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        let value = bytes(count, seed: UInt64(count))
        for sent: UInt32? in [nil, UInt32(count)] {
            let isSet = value.withUnsafeBytes { ledger.set(key, $0, sent: sent) }
            #expect(isSet)
            ledger.commit()
            let found = Snapshot(recoveredFrom: memory.copy())
            #expect(found?.facts == [key: .init(bytes: value, sent: sent)])
        }
        // The same bytes once more are not written.
        let before = Array(memory.bytes)
        _ = value.withUnsafeBytes { ledger.set(key, $0, sent: UInt32(count)) }
        #expect(Array(memory.bytes) == before)
        ledger.remove(key)
        ledger.commit()
        #expect(Snapshot(recoveredFrom: memory.copy())?.facts.isEmpty == true)
    }

    @Test("a kill while a long fact replaces another leaves the old one, or the new one")
    func kills() throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        let (old, new) = (bytes(140_000, seed: 1), bytes(70_000, seed: 2))
        _ = old.withUnsafeBytes { ledger.set(key, $0) }
        ledger.commit()
        var (stores, isCommitting) = (0, false)
        ledger.beforeStore = {
            stores += 1
            // The copies of single words are too many to look at each of them.
            guard isCommitting || stores.isMultiple(of: 293) || stores > 8_700 else { return }
            let found = Snapshot(recoveredFrom: memory.copy())?.facts[key]?.bytes
            #expect(found == old || (isCommitting && found == new), "store \(stores)")
        }
        _ = new.withUnsafeBytes { ledger.set(key, $0) }
        isCommitting = true
        ledger.commit()
        ledger.beforeStore = nil
        #expect(stores > 8_700 && Snapshot(recoveredFrom: memory.copy())?.facts[key]?.bytes == new)
    }

    @Test("a changed bit in any piece is noticed")
    func bits() throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        _ = bytes(200_000, seed: 3).withUnsafeBytes { ledger.set(key, $0, sent: 7) }
        ledger.commit()
        let expected = try #require(Snapshot(recoveredFrom: memory.copy()))
        var random = SeededGenerator(seed: 4)
        for _ in 0..<100 {
            let copy = memory.copy()
            copy.flip(bit: random.number((1 << 19)...(copy.byteCount * 8 - 1)))
            let found = Snapshot(recoveredFrom: copy)
            #expect(found == nil || found == expected)
        }
    }
}
