import Testing

@testable import LockCore

extension Int: Placeable {
    static var vacant: Int { -1 }
}

@Suite("Slab") struct SlabTests {
    @Test("places stay the same, and are used again") func places() {
        var slab = Slab<Int>()
        let slots = (0..<2_000).map { slab.insert($0) }
        #expect(Set(slots).count == 2_000 && slab.count == 2_000)
        #expect(slots.enumerated().allSatisfy { slab[$0.element] == $0.offset })
        for slot in slots.prefix(1_000) { slab.remove(slot) }
        #expect(slots.prefix(1_000).allSatisfy { slab[$0] == -1 })
        let again = (0..<1_000).map { slab.insert(10_000 + $0) }
        #expect(Set(again).isSubset(of: Set(slots)) && slab.bound == 2_048)
        #expect(slots.suffix(1_000).enumerated().allSatisfy { slab[$0.element] == 1_000 + $0.offset })
    }

    @Test("many records give their memory back with the last of them") func memory() {
        var slab = Slab<Int>()
        let slots = (0..<2_000).map { slab.insert($0) }
        for slot in slots { slab.remove(slot) }
        #expect(slab.bound == 0 && slab.count == 0)
        #expect(slab[slab.insert(7)] == 7)
    }
}
