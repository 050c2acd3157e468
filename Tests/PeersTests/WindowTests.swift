import CPeers
import Glibc
import Testing

@Suite("The window of a participant")
struct WindowTests {
    /// Pairs that take no time, and the most that were ordered at once.
    private final class Pairs {
        var most: UInt64 = 0
        var made: UInt64 = 0

        /// Makes pairs for ten milliseconds from `begin`. Returns how many count, and their time.
        func window(_ kind: peers_kind, from begin: Int64) -> (count: UInt64, elapsed: Int64) {
            var part = peers_part()
            part.context = Unmanaged.passUnretained(self).toOpaque()
            part.pairs = { context, _, count in
                guard let context else { return -1 }
                let pairs = Unmanaged<Pairs>.fromOpaque(context).takeUnretainedValue()
                pairs.most = max(pairs.most, count)
                pairs.made += count
                return Int64(count)
            }
            var (count, elapsed): (UInt64, Int64) = (0, 0)
            let error = withExtendedLifetime(self) {
                peers_window(&part, kind, begin, 10_000_000, &count, &elapsed)
            }
            #expect(error == 0)
            return (count, elapsed)
        }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    @Test("reads the clock seldom where pairs take nanoseconds, and at every turn of two writers")
    func chunks() {
        let alone = Pairs()
        let (count, elapsed) = alone.window(PEERS_WRITE, from: Self.now())
        #expect(alone.most > 16)
        #expect(count == alone.made)
        #expect(elapsed > 0)

        // Otherwise a chunk of quick pairs that a second writer then slows down would outlast the window.
        let turns = Pairs()
        _ = turns.window(PEERS_TURNS, from: Self.now())
        #expect(turns.most == 1)
        let mixed = Pairs()
        _ = mixed.window(PEERS_MIXED, from: Self.now())
        #expect((1...16).contains(mixed.most))
    }

    @Test("that is over before it begins has no pairs")
    func late() {
        let pairs = Pairs()
        #expect(pairs.window(PEERS_WRITE, from: Self.now() - 20_000_000) == (0, 0))
        #expect(pairs.made == 0)
    }
}
