import Seeded
import Testing

@testable import LockCore

private struct Bead: Placeable {
    static var vacant: Bead { Bead() }

    var links = Links<Bead>()

    enum OnString: Membership {
        static var links: WritableKeyPath<Bead, Links<Bead>> { \.links }
    }
}

@Suite("LinkedList") struct LinkedListTests {
    @Test("it holds what an array would, in the same order", arguments: SeededGenerator.seeds)
    func againstAnArray(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var slab = Slab<Bead>()
        var list = LinkedList<Bead.OnString>()
        var array: [Slot<Bead>] = []
        for step in 0..<2_000 {
            if array.isEmpty || generator.happens(step < 1_000 ? 60 : 40) {
                let slot = slab.insert(Bead())
                if generator.happens(50) {
                    list.append(slot, in: &slab)
                    array.append(slot)
                } else {
                    list.prepend(slot, in: &slab)
                    array.insert(slot, at: 0)
                }
            } else {
                let slot = array.remove(at: generator.number(0...array.count - 1))
                list.remove(slot, in: &slab)
                slab.remove(slot)
            }
            guard list.isSound(in: slab), slots(of: list, in: slab) == array else {
                Issue.record("seed \(seed), step \(step)")
                return
            }
        }
    }

    @Test("a walk goes on though the record that it came to is removed") func removalDuringAWalk() {
        var slab = Slab<Bead>()
        var list = LinkedList<Bead.OnString>()
        let array = (0..<10).map { _ in slab.insert(Bead()) }
        for slot in array { list.append(slot, in: &slab) }
        var walk = list.walk()
        var removed: [Slot<Bead>] = []
        while let slot = walk.next(in: slab) {
            list.remove(slot, in: &slab)
            removed.append(slot)
        }
        #expect(removed == array && list.isEmpty && list.first == nil && list.last == nil)
    }

    private func slots(of list: LinkedList<Bead.OnString>, in slab: borrowing Slab<Bead>) -> [Slot<Bead>] {
        var slots: [Slot<Bead>] = []
        list.forEach(in: slab) { slots.append($0) }
        return slots
    }
}
