import Ledger
import LedgerSupport
import Seeded
import Testing

/// Kills before every single store, by a copy of the memory as it is then.
@Suite("Kills")
struct KillTests {
    @Test(
        "a kill before any store leaves the last commit, the input after it, and the notes",
        arguments: SeededGenerator.seeds)
    func everyStore(seed: UInt64) throws {
        var kills = 0
        let worker = try Worker(seed: seed) { worker in
            kills += 1
            let found = Snapshot(recoveredFrom: worker.memory.copy())
            #expect(found.map(worker.allows) == true, "store \(kills) of seed \(seed)")
        }
        worker.run(batches: 12)
        #expect(kills > 50)
    }

    @Test(
        "a kill before any store of a recovery, or of what follows it, leaves the same",
        arguments: SeededGenerator.seeds)
    func recoveryToo(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var (kills, later) = (0, 0)
        let worker = try Worker(seed: seed) { worker in
            kills += 1
            guard random.happens(4) else { return }
            let left = worker.memory.copyThatGrows()
            let again = left.copyThatGrows()
            guard let expected = Snapshot(recoveredFrom: left.copy()) else {
                Issue.record("store \(kills) of seed \(seed)")
                return
            }
            _ = Snapshot(recoveredFrom: left) {
                later += 1
                #expect(Snapshot(recoveredFrom: left.copy()) == expected, "store \(kills) of seed \(seed)")
            }
            let heir = try? Worker(after: again, seed: seed &+ UInt64(kills)) { heir in
                later += 1
                let found = Snapshot(recoveredFrom: heir.memory.copy())
                #expect(found.map(heir.allows) == true, "after store \(kills) of seed \(seed)")
            }
            #expect(heir?.counted == expected)
            heir?.run(batches: 3)
        }
        worker.run(batches: 12)
        #expect(later > 30)
    }

    @Test("a kill while an empty ledger is made leaves none, or an empty one")
    func creation() throws {
        let memory = TestMemory()
        var kills = 0
        let ledger = Ledger(creatingIn: memory.memory, inputSize: 512, sliceBound: 8, reserve: 0) {
            kills += 1
            #expect(Snapshot(recoveredFrom: memory.copy()) == nil)
        }
        let isCreated = ledger != nil
        #expect(isCreated && kills == 5)
        #expect(Snapshot(recoveredFrom: memory.copy()) == Snapshot())
    }
}
