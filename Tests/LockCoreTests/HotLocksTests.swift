import LockVocabulary
import Seeded
import Testing

@testable import LockCore

/// The sketch of the locks that cost most, compared with an exact count.
@Suite("HotLocks") struct HotLocksTests {
    private static func name(_ number: Int) -> LockName { LockName(unchecked: "lock/\(number)") }

    /// A name that is drawn more often the smaller its number is, of so many.
    private static func skewed(_ count: Int, _ generator: inout SeededGenerator) -> Int {
        generator.number(0...generator.number(0...generator.number(0...count - 1)))
    }

    @Test(
        "every lock with more than its share of the weight has a place, and no row is off by more than it says",
        arguments: SeededGenerator.seeds)
    func guarantee(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var hot = HotLocks()
        var exact: [LockName: Int] = [:]
        var total = 0
        for step in 1...20_000 {
            let name = Self.name(Self.skewed(3_000, &generator))
            let weight = generator.number(0...generator.number(0...5_000))
            hot.count(weight, at: hot.place(of: name)) { $0.waits.add(weight) }
            exact[name, default: 0] += weight
            total += weight
            guard step % 2_000 == 0 else { continue }
            let rows = hot.all
            #expect(rows.count == min(HotLocks.most, exact.count))
            #expect(Set(rows.map(\.name)).count == rows.count)
            for row in rows {
                let count = exact[row.name] ?? 0
                #expect(
                    row.counted <= count && count <= row.counted + row.over
                        && row.over <= total / HotLocks.most,
                    "seed \(seed), step \(step): \(row.name)")
                #expect(row.waits.total == row.counted)
                #expect(hot[row.name]?.counted == row.counted)
            }
            let kept = Set(rows.map(\.name))
            let left = exact.filter { $0.value > total / HotLocks.most && !kept.contains($0.key) }
            #expect(left.isEmpty, "seed \(seed), step \(step)")
        }
    }

    @Test("with no more names than places, every row is exact") func few() {
        var generator = SeededGenerator(seed: 7)
        var hot = HotLocks()
        var exact: [LockName: Int] = [:]
        for _ in 0..<5_000 {
            let name = Self.name(generator.number(0...HotLocks.most - 1))
            let weight = generator.number(0...9)
            hot.count(weight, at: hot.place(of: name)) { _ in }
            exact[name, default: 0] += weight
        }
        #expect(hot.all.allSatisfy { $0.over == 0 && $0.counted == exact[$0.name] })
    }

    @Test("a flood of names displaces no lock that costs more than all of them for a place") func flood() {
        var hot = HotLocks()
        let victim = Self.name(-1)
        hot.count(1_000_000, at: hot.place(of: victim)) { _ in }
        for number in 0..<100_000 { hot.count(1, at: hot.place(of: Self.name(number))) { _ in } }
        #expect(hot.all.count == HotLocks.most)
        #expect(hot[victim]?.counted == 1_000_000)
    }

    @Test("a report has what was counted since the one before") func report() {
        var hot = HotLocks()
        func wait(_ time: Int) { hot.count(time, at: hot.place(of: Self.name(1))) { $0.waits.add(time) } }
        wait(10)
        hot.beginReport()
        wait(30)
        #expect(hot.all.first?.sinceReport == HotLocks.Sums(waits: 1, waited: 30))
        #expect(hot.all.first?.sums == HotLocks.Sums(waits: 2, waited: 40))
    }
}

@Suite("NamePlaces") struct NamePlacesTests {
    @Test(
        "it finds what a dictionary would, also where all names share a chain",
        arguments: SeededGenerator.seeds)
    func againstADictionary(seed: UInt64) {
        for hashes in [UInt64(1), 3, 1_000] {
            var generator = SeededGenerator(seed: seed)
            var places = NamePlaces(capacity: 64)
            var names = [Int?](repeating: nil, count: 64)
            for _ in 0..<2_000 {
                let name = generator.number(0...200)
                let hash = UInt64(name) % hashes
                #expect(places.place(of: hash) { names[$0] == name } == names.firstIndex(of: name))
                if let place = names.firstIndex(of: name) {
                    places.remove(place)
                    names[place] = nil
                } else if let free = names.firstIndex(of: nil) {
                    places.insert(free, hash)
                    names[free] = name
                }
            }
        }
    }

    @Test("names have different hashes, whatever their length") func hashes() {
        let names = (1...255).map { String(repeating: "a", count: $0) } + (0..<1_000).map { "jobs/\($0)" }
        #expect(Set(names.map { NamePlaces.hash(of: LockName(unchecked: $0)) }).count == names.count)
    }
}
