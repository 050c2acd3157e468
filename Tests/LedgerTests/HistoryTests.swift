import Ledger
import LedgerSupport
import Seeded
import Testing

@Suite("Histories")
struct HistoryTests {
    @Test(
        "a ledger shows what was set and not removed, also to the next process",
        arguments: SeededGenerator.newSeeds)
    func history(seed: UInt64) throws {
        let worker = try Worker(seed: seed)
        for _ in 0..<20 {
            worker.run(batches: 10)
            worker.check()
            #expect(Snapshot(recoveredFrom: worker.memory.copy()) == worker.counted)
        }
    }

    @Test("processes that take over one after the other lose nothing", arguments: SeededGenerator.newSeeds)
    func succession(seed: UInt64) throws {
        var worker = try Worker(seed: seed)
        for generation in 1...30 {
            worker.runIntoBatch()
            let heir = try Worker(after: worker.memory.copyThatGrows(), seed: seed &+ UInt64(generation))
            #expect(heir.counted == worker.counted)
            worker = heir
        }
    }
}
