import Seeded
import Testing

@testable import LockCore

@Suite("SlotMap") struct SlotMapTests {
    @Test("it holds what a dictionary would", arguments: SeededGenerator.seeds)
    func againstADictionary(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var map = SlotMap<Lock, Slot<Waiter>?>(vacant: nil)
        var dictionary: [Slot<Lock>: Slot<Waiter>?] = [:]
        for step in 0..<3_000 {
            let slot = Slot<Lock>(raw: UInt32(generator.number(0...2_000)))
            // A slot may have no value, and nil as its value.
            let value = generator.happens(50) ? Slot<Waiter>(raw: UInt32(step)) : nil
            map.set(slot, to: value)
            dictionary.updateValue(value, forKey: slot)
            let asked = Slot<Lock>(raw: UInt32(generator.number(0...2_000)))
            guard map[asked] == dictionary[asked] else {
                Issue.record("seed \(seed), step \(step)")
                return
            }
        }
        #expect(dictionary.allSatisfy { map[$0.key] == .some($0.value) })
    }
}
