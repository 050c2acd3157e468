import LockVocabulary
import Seeded
import Testing

@testable import LockCore

@Suite("NameTree") struct NameTreeTests {
    /// A tree, and the sorted list of its names.
    private final class Pair {
        var tree = NameTree()
        var entries: [LockName: (entry: Slot<NameTree.Entry>, lock: Slot<Lock>)] = [:]
        private var next: UInt32 = 0

        func insert(_ name: LockName) {
            guard entries[name] == nil else { return }
            let lock = Slot<Lock>(raw: next)
            next += 1
            entries[name] = (tree.insert(name, for: lock), lock)
        }

        func remove(_ name: LockName) {
            if let (entry, _) = entries.removeValue(forKey: name) { tree.remove(entry) }
        }

        /// The first `limit` names of the tree.
        func listed(prefix: String = "", after: LockName? = nil, limit: Int = .max) -> [Slot<Lock>] {
            var listed: [Slot<Lock>] = []
            tree.forEach(prefix: prefix, after: after) {
                listed.append($0)
                return listed.count < limit
            }
            return listed
        }

        /// The same names from the list.
        func expected(prefix: String = "", after: LockName? = nil, limit: Int = .max) -> [Slot<Lock>] {
            let names = entries.keys.filter { name in
                name.text.utf8.starts(with: prefix.utf8) && (after.map { name > $0 } ?? true)
            }
            let sorted = names.sorted { $0.text.utf8.lexicographicallyPrecedes($1.text.utf8) }
            return sorted.prefix(limit).compactMap { entries[$0]?.lock }
        }
    }

    /// Names of few letters, of which many are prefixes of others, and some of the greatest length.
    private static func anyName(_ generator: inout SeededGenerator) -> LockName {
        let letters = Array("ab~+/z")
        if generator.happens(10) {
            let end = String((0..<generator.number(0...2)).map { _ in generator.pick(letters) })
            let head = String(repeating: generator.pick(letters), count: 255 - end.utf8.count)
            return name(head + end)
        }
        return name(String((0..<generator.number(1...6)).map { _ in generator.pick(letters) }))
    }

    @Test("it finds and lists what a sorted list would", arguments: SeededGenerator.seeds)
    func againstASortedList(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pair = Pair()
        for step in 0..<1_500 {
            let some = Self.anyName(&generator)
            if generator.happens(step < 750 ? 75 : 30) { pair.insert(some) } else { pair.remove(some) }
            let asked = Self.anyName(&generator)
            #expect(pair.tree.find(asked) == pair.entries[asked]?.lock, "seed \(seed), step \(step)")
            guard step % 15 == 0 else { continue }
            let prefix = generator.happens(50) ? "" : Self.anyName(&generator).text
            let after = generator.happens(50) ? nil : Self.anyName(&generator)
            let limit = generator.happens(50) ? .max : generator.number(1...5)
            #expect(
                pair.listed(prefix: prefix, after: after, limit: limit)
                    == pair.expected(prefix: prefix, after: after, limit: limit),
                "seed \(seed), step \(step), \(prefix), \(after?.text ?? "-")")
        }
        #expect(pair.listed() == pair.expected())
        for one in pair.entries.keys { pair.remove(one) }
        #expect(pair.listed() == [] && pair.tree.find(name("a")) == nil)
    }

    @Test("an empty tree and a tree of one answer as well") func small() {
        let pair = Pair()
        #expect(pair.listed(prefix: "a", after: name("b")) == [])
        pair.insert(name("ab"))
        #expect(pair.tree.find(name("a")) == nil && pair.tree.find(name("abc")) == nil)
        #expect(pair.listed(prefix: "a").count == 1 && pair.listed(prefix: "abc") == [])
        #expect(pair.listed(after: name("aa")).count == 1 && pair.listed(after: name("ab")) == [])
        #expect(pair.listed(prefix: "b") == [] && pair.listed(prefix: "a", after: name("b")) == [])
    }
}
