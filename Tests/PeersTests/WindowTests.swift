import CPeers
import Testing

@Suite("The window of a participant")
struct WindowTests {
    /// Pairs on a clock of their own, which only they move.
    private final class Pairs {
        private(set) var time: Int64 = 0
        private(set) var most: UInt64 = 0
        private(set) var made: UInt64 = 0
        private let cost: (_ made: UInt64) -> Int64

        /// - Parameter cost: the nanoseconds that a pair takes, by the number of pairs before it.
        init(at time: Int64 = 0, cost: @escaping (_ made: UInt64) -> Int64) {
            (self.time, self.cost) = (time, cost)
        }

        private func make(_ count: UInt64) {
            most = max(most, count)
            for _ in 0..<count {
                time += cost(made)
                made += 1
            }
        }

        private static func of(_ context: UnsafeMutableRawPointer?) -> Pairs? {
            context.map { Unmanaged<Pairs>.fromOpaque($0).takeUnretainedValue() }
        }

        /// Makes pairs in a window of ten milliseconds that begins at `begin`. Returns how many count, and their time.
        func window(_ kind: peers_kind, from begin: Int64 = 0) -> (count: UInt64, elapsed: Int64) {
            let context = Unmanaged.passUnretained(self).toOpaque()
            var part = peers_part()
            part.context = context
            part.pairs = { context, _, count in
                Pairs.of(context)?.make(count)
                return Int64(count)
            }
            var clock = peers_clock()
            clock.context = context
            clock.now = { Pairs.of($0)?.time ?? .max }
            clock.await = { context, instant in
                guard let pairs = Pairs.of(context) else { return .max }
                pairs.time = max(pairs.time, instant)
                return pairs.time
            }
            var (count, elapsed): (UInt64, Int64) = (0, 0)
            let error = withExtendedLifetime(self) {
                peers_window(&part, &clock, kind, begin, 10_000_000, &count, &elapsed)
            }
            #expect(error == 0)
            return (count, elapsed)
        }
    }

    @Test("reads the clock seldom where pairs take nanoseconds, and at every turn of two writers")
    func chunks() {
        let alone = Pairs { _ in 10 }
        let (count, elapsed) = alone.window(PEERS_WRITE, from: 5_000)
        #expect(alone.most == 2_048)
        #expect(count == alone.made)
        #expect(elapsed == Int64(count) * 10)

        // Otherwise a chunk of quick pairs that a second writer then slows down would outlast the window.
        let turns = Pairs { _ in 10 }
        #expect(turns.window(PEERS_TURNS) == (1_000_000, 10_000_000))
        #expect(turns.most == 1)
        let mixed = Pairs { _ in 10 }
        _ = mixed.window(PEERS_MIXED)
        #expect(mixed.most == 16)
    }

    @Test("makes fewer pairs between two looks at the clock when they have become slow")
    func slower() {
        let pairs = Pairs { $0 < 10_000 ? 10 : 90_000 }
        let (count, elapsed) = pairs.window(PEERS_MIXED)
        #expect(count == pairs.made && elapsed == pairs.time)
        // The last chunk has one pair.
        #expect((10_000_000..<10_090_000).contains(elapsed))
    }

    @Test("does not count a turn that ends after it")
    func lastTurn() {
        let pairs = Pairs { _ in 3_000_000 }
        #expect(pairs.window(PEERS_TURNS) == (3, 10_000_000))
        #expect(pairs.made == 4)
    }

    @Test("that is over before it begins has no pairs")
    func late() {
        let pairs = Pairs(at: 20_000_000) { _ in 10 }
        #expect(pairs.window(PEERS_WRITE) == (0, 0))
        #expect(pairs.made == 0)
    }
}
