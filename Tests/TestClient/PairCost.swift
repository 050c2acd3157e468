import Glibc
import PRWLock
import Synchronization

/// What an acquire and a release cost, in nanoseconds of this process's processor time: cached, not cached, and a bare pair
/// of compare-and-swaps on a line of its own. It uses the daemon of `PRWLOCK_SOCKET`.
///
/// Rounds are short and many, and the best one counts: other processes disturb some rounds, but not all.
struct PairCost {
    private let rounds = 100

    private struct Row {
        let name: String
        var best: Double
    }

    func measure() async throws {
        let word = Word()
        let blocking = BlockingClient().lock("pairs/blocking")
        let tasks = Client().lock("pairs/tasks")
        let plain = BlockingClient(caches: false).lock("pairs/plain")
        let plainTasks = Client(caches: false).lock("pairs/plain-tasks")
        let (cached, slower, socket) = (20_000, 1_000, 100)
        var rows: [Row] = []
        for _ in 0..<rounds {
            let round = [
                await time("a bare pair", cached) { for _ in 0..<$0 { word.pair() } },
                await time("a bare pair, around an async body", cached) {
                    for _ in 0..<$0 { await word.pair { await nothing() } }
                },
                await time("a bare pair, if the task is not cancelled", cached) {
                    for _ in 0..<$0 where !Task.isCancelled { word.pair() }
                },
                try await time("blocking, write", cached) {
                    for _ in 0..<$0 { try blocking.withWriteLock {} }
                },
                try await time("blocking, read", cached) {
                    for _ in 0..<$0 { try blocking.withReadLock {} }
                },
                try await time("blocking, a grant", slower) {
                    for _ in 0..<$0 { try blocking.acquireRead().release() }
                },
                try await time("async, write", cached) {
                    for _ in 0..<$0 { try await tasks.withWriteLock {} }
                },
                try await time("async, read", cached) {
                    for _ in 0..<$0 { try await tasks.withReadLock {} }
                },
                try await LockOwner().withOwner {
                    try await Task.detached {
                        try await time("async, write, while another task has an owner", cached) {
                            for _ in 0..<$0 { try await tasks.withWriteLock {} }
                        }
                    }.value
                },
                try await time("async, in a child task", slower) {
                    for _ in 0..<$0 { try await tasks.withReadLock { await nothing() } }
                },
                try await time("async, as an owner in the same task", slower) {
                    for _ in 0..<$0 {
                        try await tasks.withReadLock(onLoss: .letBodyFinish) { await nothing() }
                    }
                },
                try await time("blocking, not cached", socket) {
                    for _ in 0..<$0 { try plain.withWriteLock {} }
                },
                try await time("async, not cached", socket) {
                    for _ in 0..<$0 { try await plainTasks.withWriteLock {} }
                },
            ]
            rows = rows.isEmpty ? round : zip(rows, round).map { $0.best < $1.best ? $0 : $1 }
        }
        guard let bare = rows.first?.best, let floor = rows.dropFirst().first?.best else { return }
        for row in rows {
            say(
                "\(row.name): \(rounded(row.best)) ns, \(rounded(row.best / bare)) of a bare pair, "
                    + "\(rounded(row.best / floor)) of one around an async body")
        }
    }

    private func rounded(_ number: Double) -> Double { (number * 100).rounded() / 100 }

    /// Times a loop that the body runs itself, so that no call of a closure is in it.
    private func time(_ name: String, _ count: Int, _ loop: (Int) async throws -> Void) async rethrows -> Row
    {
        try await loop(3)
        let start = now()
        try await loop(count)
        return Row(name: name, best: Double(now() - start) / Double(count))
    }

    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private final class Word: Sendable {
        private let word = Atomic<UInt64>(0)

        @inline(__always)
        func pair() {
            _ = word.compareExchange(expected: 0, desired: 1, ordering: .acquiring)
            _ = word.compareExchange(expected: 1, desired: 0, ordering: .releasing)
        }

        @inline(__always)
        nonisolated(nonsending) func pair(_ body: nonisolated(nonsending) () async -> Void) async {
            _ = word.compareExchange(expected: 0, desired: 1, ordering: .acquiring)
            await body()
            _ = word.compareExchange(expected: 1, desired: 0, ordering: .releasing)
        }
    }
}

/// The body that waits for nothing, but might.
@inline(never)
private nonisolated(nonsending) func nothing() async {}
