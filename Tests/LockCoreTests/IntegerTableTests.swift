import Seeded
import Testing

@testable import LockCore

@Suite("IntegerTable") struct IntegerTableTests {
    /// Consecutive keys, keys at steps, and scattered keys.
    private static let spreads: [@Sendable (Int) -> UInt64] = [
        { UInt64($0) }, { UInt64($0) << 32 }, { UInt64($0) << 32 | 7 },
        { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 >> 1 },
    ]

    @Test("it holds what a dictionary would", arguments: SeededGenerator.seeds)
    func againstADictionary(seed: UInt64) {
        for spread in Self.spreads {
            var generator = SeededGenerator(seed: seed)
            var table = IntegerTable<Int>(vacant: 0)
            var dictionary: [UInt64: Int] = [:]
            for step in 0..<3_000 {
                // The table grows in the first half and shrinks in the second.
                let key = spread(generator.number(0...600))
                if generator.happens(step < 1_500 ? 70 : 30) {
                    table.set(key, to: step)
                    dictionary[key] = step
                } else {
                    table.remove(key)
                    dictionary[key] = nil
                }
                let asked = spread(generator.number(0...600))
                if table[asked] != dictionary[asked] || table.count != dictionary.count {
                    Issue.record("seed \(seed), step \(step)")
                    return
                }
            }
            #expect(dictionary.allSatisfy { table[$0.key] == $0.value })
            for key in dictionary.keys { table.remove(key) }
            #expect(table.count == 0 && dictionary.keys.allSatisfy { table[$0] == nil })
        }
    }

    @Test("a change sees the value that is there, or the vacant one, and may drop the key") func update() {
        var table = IntegerTable<Int>(vacant: 100)
        func add(_ amount: Int) {
            table.update(5) {
                $0 += amount
                return $0 != 0
            }
        }
        add(1)
        #expect(table[5] == 101)
        add(-101)
        #expect(table[5] == nil && table.count == 0)
        add(-100)
        #expect(table[5] == nil && table.count == 0)
    }

    @Test("no value is found under the key that marks an empty place") func emptyKey() {
        var table = IntegerTable<Int>(vacant: 100)
        for key in 0..<2_000 { table.set(UInt64(key), to: key) }
        #expect(table[.max] == nil)
    }
}
