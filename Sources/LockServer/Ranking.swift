import LockCore
import LockVocabulary

/// The search for the locks for which most requests wait, or requests have waited longest: `LIST by=`.
///
/// It goes through all locks in turns, and keeps no more names than twice as many as are asked for.
struct Ranking {
    let prefix: String
    let rank: WaitRank
    let most: Int
    private var cursor = LockCursor()
    private var found: [(key: Int64, name: LockName)] = []

    /// How many records of locks are looked at for the price of one row: most are passed over at once.
    private static let locksInRow = 8

    init(prefix: String, by rank: WaitRank, atMost most: Int) {
        self.prefix = prefix
        self.rank = rank
        self.most = most
    }

    /// Looks at more locks. Returns whether all were looked at, and the work in rows.
    mutating func goOn(
        _ table: borrowing LockTable, _ rights: Rights, atMost budget: Int, at now: Instant
    ) -> (isComplete: Bool, rows: Int) {
        var rows = 0
        var isComplete = false
        var cursor = cursor
        defer { self.cursor = cursor }
        while !isComplete, rows < budget {
            rows += 1
            isComplete = table.forEachContention(from: &cursor, atMost: Self.locksInRow, at: now) { lock in
                rows += 1
                guard lock.name.text.utf8.starts(with: prefix.utf8), rights.allow(.look, lock.name) else {
                    return true
                }
                found.append((key(lock), lock.name))
                return true
            }
            if isComplete || found.count >= 2 * most { rows += sort() }
        }
        return (isComplete, rows)
    }

    /// The names of the locks, the first in rank first, once all locks were looked at.
    var names: [LockName] { found.map(\.name) }

    private func key(_ lock: Contention) -> Int64 {
        switch rank {
        case .waiters: Int64(lock.waiters)
        case .waited: lock.waited.wholeNanoseconds
        }
    }

    /// Puts what was found in order, each name once, and drops what is beyond the limit. Returns the work in rows.
    private mutating func sort() -> Int {
        let count = found.count
        found.sort { $0.key != $1.key ? $0.key > $1.key : $0.name.text < $1.name.text }
        // A lock that went and came meanwhile may have been found twice.
        var names: Set<LockName> = []
        found.removeAll { !names.insert($0.name).inserted }
        found.removeLast(max(0, found.count - most))
        return count
    }
}
