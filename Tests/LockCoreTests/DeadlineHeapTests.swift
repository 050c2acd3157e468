import LockVocabulary
import Seeded
import Testing

@testable import LockCore

@Suite("DeadlineHeap") struct DeadlineHeapTests {
    @Test("whatever comes and goes, what is due first comes first", arguments: SeededGenerator.seeds)
    func againstASortedList(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var heap = DeadlineHeap<Int>()
        var entries: [(handle: DeadlineHeap<Int>.Handle, item: Int, due: Int)] = []
        var now = 0
        for item in 0..<3_000 {
            if generator.happens(60) {
                let due = now + generator.number(0...50)
                entries.append((heap.insert(item, due: at(due)), item, due))
            } else if !entries.isEmpty {
                let taken = entries.remove(at: generator.number(0...entries.count - 1))
                let due = heap.due(taken.handle)
                #expect(due == at(taken.due))
                heap.remove(taken.handle)
            }
            if generator.happens(20), !entries.isEmpty {
                let changed = generator.number(0...entries.count - 1)
                entries[changed].due = now + generator.number(0...50)
                heap.setDue(at(entries[changed].due), of: entries[changed].handle)
            }
            if generator.happens(20) {
                now += generator.number(0...10)
                var popped: [Int] = []
                while let item = heap.popFirst(by: at(now)) { popped.append(item) }
                let due = entries.filter { $0.due <= now }
                #expect(Set(popped) == Set(due.map(\.item)) && popped.count == due.count, "seed \(seed)")
                entries.removeAll { $0.due <= now }
            }
            let (count, first) = (heap.count, heap.first)
            #expect(count == entries.count && first == entries.map(\.due).min().map(at), "seed \(seed)")
        }
        let isSound = heap.isSound
        #expect(isSound)
    }

    private func at(_ time: Int) -> Instant { Instant(nanoseconds: Int64(time)) }
}
