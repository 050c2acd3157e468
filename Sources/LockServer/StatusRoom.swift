import LockCore

/// How many more holders and waiting requests of a lock may be shown: `STATUS limit=`.
struct StatusRoom {
    private(set) var holders: Int
    private(set) var waiters: Int

    init(holders: Int, waiters: Int) {
        self.holders = holders
        self.waiters = waiters
    }

    /// At most so many of each; nil for any number.
    init(_ most: Int?) { self.init(holders: most ?? .max, waiters: most ?? .max) }

    var isUnbounded: Bool { holders == .max }

    /// Counts a row. Returns whether another one of its kind may follow.
    mutating func take(_ row: StatusRow) -> Bool {
        guard !isUnbounded else { return true }
        switch row {
        case .holder, .cached:
            holders -= 1
            return holders > 0
        case .waiter:
            waiters -= 1
            return waiters > 0
        }
    }

    /// Moves a cursor over the rows that may not be shown.
    func passOver(_ cursor: inout StatusCursor) {
        if waiters == 0 { cursor.finish() } else if holders == 0 { cursor.passHolders() }
    }
}
