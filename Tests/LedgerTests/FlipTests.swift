import Ledger
import LedgerSupport
import Seeded
import Testing

@Suite("Changed bits")
struct FlipTests {
    @Test(
        "one changed bit leaves the same facts, or a ledger that is not believed",
        arguments: SeededGenerator.newSeeds)
    func oneBit(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var doubted = 0
        for history in 0..<2 {
            let worker = try Worker(seed: seed &+ UInt64(history))
            worker.runIntoBatch()
            let left = worker.memory.copy()
            let expected = try #require(Snapshot(recoveredFrom: left.copy()))
            let used = (0..<left.byteCount / 8).filter { word in
                left.bytes.load(fromByteOffset: word * 8, as: UInt64.self) != 0
            }
            for _ in 0..<250 {
                // Most words are free. Half of the bits are of words that are in use.
                let word = random.happens(50) ? random.pick(used) : random.number(0...left.byteCount / 8 - 1)
                let bit = word * 64 + random.number(0...63)
                let copy = left.copy()
                copy.flip(bit: bit)
                if let found = Snapshot(recoveredFrom: copy) {
                    #expect(found == expected, "bit \(bit) of seed \(seed)")
                } else {
                    doubted += 1
                }
            }
        }
        #expect(doubted > 50)
    }
}
