import Glibc
import PRWLock
import Synchronization

/// What an acquire and a release cost, in nanoseconds of this process's processor time,
/// the best of several rounds: cached, not cached, and a bare pair of
/// compare-and-swaps on a line of its own. It uses the daemon of `PRWLOCK_SOCKET`.
struct PairCost {
    private let rounds = 5

    func measure() async throws {
        let word = Word()
        let blocking = BlockingClient().lock("pairs/blocking")
        let tasks = Client().lock("pairs/tasks")
        let (plain, plainTasks) = (
            BlockingClient(caches: false).lock("pairs/plain"), Client(caches: false).lock("pairs/plain-tasks")
        )
        let (cached, socket) = (2_000_000, 500)
        var best: [Double] = []
        var names: [String] = []
        for _ in 0..<rounds {
            let costs = [
                ("a bare pair", time(cached) { word.pair() }),
                ("blocking, write", try time(cached) { try blocking.withWriteLock {} }),
                ("blocking, read", try time(cached) { try blocking.withReadLock {} }),
                ("blocking, a grant", try time(cached / 10) { try blocking.acquireRead().release() }),
                ("async, write", try await time(cached) { try await tasks.withWriteLock {} }),
                ("async, read", try await time(cached) { try await tasks.withReadLock {} }),
                (
                    "async, in a child task",
                    try await time(cached / 40) { try await tasks.withReadLock(onLoss: .cancelBody) {} }
                ),
                (
                    "async, as an owner in the same task",
                    try await time(cached / 40) { try await tasks.withReadLock(onLoss: .letBodyFinish) {} }
                ),
                ("blocking, not cached", try time(socket) { try plain.withWriteLock {} }),
                ("async, not cached", try await time(socket) { try await plainTasks.withWriteLock {} }),
            ]
            names = costs.map(\.0)
            best = best.isEmpty ? costs.map(\.1) : zip(best, costs).map { min($0, $1.1) }
        }
        for (name, cost) in zip(names, best) {
            say("\(name): \(tenths(cost)) ns, \(tenths(cost / (best.first ?? 1))) of a bare pair")
        }
    }

    private func tenths(_ number: Double) -> Double { (number * 100).rounded() / 100 }

    private func time(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
        for _ in 0..<3 { try body() }
        let start = now()
        for _ in 0..<count { try body() }
        return Double(now() - start) / Double(count)
    }

    private func time(_ count: Int, _ body: () async throws -> Void) async rethrows -> Double {
        for _ in 0..<3 { try await body() }
        let start = now()
        for _ in 0..<count { try await body() }
        return Double(now() - start) / Double(count)
    }

    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private final class Word {
        private let word = Atomic<UInt64>(0)

        @inline(__always)
        func pair() {
            _ = word.compareExchange(expected: 0, desired: 1, ordering: .acquiring)
            _ = word.compareExchange(expected: 1, desired: 0, ordering: .releasing)
        }
    }
}
