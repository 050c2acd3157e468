public import LockVocabulary

/// A lock for which requests of sessions wait.
public struct Contention: Sendable, Equatable {
    public let name: LockName
    /// How many requests wait.
    public let waiters: Int
    /// How long the oldest of them has waited.
    public let waited: Duration
}

/// How far a walk through the locks in the order of their slots has come. It has no meaning for another table.
public struct LockCursor: Sendable {
    fileprivate var next: UInt32 = 0

    public init() {}
}

/// Queries of what waits, which change nothing.
extension LockTable {
    /// Calls the body with locks for which requests of sessions wait, in no stated order, until it returns false or so many records
    /// are looked at. Returns whether all locks were looked at.
    ///
    /// It looks at records, and not at names, so it is quick with locks for which nothing waits. A lock that comes or goes
    /// during a walk may be left out, or come twice.
    public func forEachContention(
        from cursor: inout LockCursor, atMost most: Int, at now: Instant, _ body: (Contention) -> Bool
    ) -> Bool {
        let end = UInt32(min(Int(locks.bound), Int(cursor.next) + most))
        while cursor.next < end {
            let lock = Slot<Lock>(raw: cursor.next)
            cursor.next += 1
            if locks[lock].hasWaiters, let found = contention(of: lock, at: now), !body(found) { break }
        }
        return cursor.next >= locks.bound
    }

    /// What waits for the lock with this name; nil if nothing does.
    public func contention(of name: LockName, at now: Instant) -> Contention? {
        names.look(for: name).flatMap { contention(of: $0, at: now) }
    }

    private func contention(of lock: Slot<Lock>, at now: Instant) -> Contention? {
        guard let oldest = oldestWait(on: lock) else { return nil }
        return Contention(
            name: name(of: lock), waiters: sessionWaiters(of: lock), waited: oldest.duration(to: now))
    }

    /// Since when the oldest request of a session has waited for a lock; nil if none waits.
    ///
    /// The first request of each row is the oldest of its row: a request that shares the place of another goes behind it, and came
    /// later.
    func oldestWait(on lock: Slot<Lock>) -> Instant? {
        var oldest = firstOfSession(locks[lock].contenders.first).map { waiters[$0].since }
        oldest = .earliest(oldest, firstOfSession(locks[lock].readers.first).map { waiters[$0].since })
        guard let upgrade = locks[lock].upgrade, fleet == nil || !isFleet(upgrade) else { return oldest }
        return .earliest(oldest, waiters[upgrade].since)
    }

    /// A waiting request, or the next one if it is that of the fleet.
    private func firstOfSession(_ waiter: Slot<Waiter>?) -> Slot<Waiter>? {
        guard let waiter, fleet != nil, isFleet(waiter) else { return waiter }
        return waiters[waiter].rowLinks.next
    }
}
