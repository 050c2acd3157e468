import LockVocabulary

/// A rule that does not hold: a fault of this program.
public struct BrokenInvariant: Error, CustomStringConvertible {
    public let description: String
}

/// The invariants, by the numbers that README.md gives them. To check them costs in proportion to all there is.
extension LockTable {
    /// Throws if one of the invariants does not hold.
    public func checkInvariants() throws(BrokenInvariant) {
        var seen = Seen()
        for lock in try locksInOrder() {
            try checkHolders(of: lock, &seen)
            try checkQueue(of: lock, &seen)
            try checkUse(of: lock)
            seen.marked += locks[lock].ownerDied ? 1 : 0
        }
        var raw: UInt32 = 0
        while raw < sessions.bound, seen.sessions < sessions.count {
            if sessions[Slot(raw: raw)].serial > 0 {
                seen.sessions += 1
                try checkSession(Slot(raw: raw), &seen)
            }
            raw += 1
        }
        try expect(seen.sessions == sessions.count, "12: the sessions are miscounted")
        try expect(seen.held == grants.count && seen.owned == grants.count, "12: a grant outside a list")
        try expect(seen.queued == waiters.count && seen.asked == waiters.count, "12: a waiter outside a list")
        try expect(seen.owners == owners.count, "12: an owner outside its session")
        for (account, stakes) in accounts.enumerated() {
            let (grants, waiters) = seen.accounts[account] ?? (0, 0)
            try expect(
                stakes.grants == grants && stakes.waiters == waiters, "12: an account is miscounted")
        }
        try expect(tokens.count == seen.indexed, "9: a token without a grant")
        try checkMarks(seen.marked)
        try expect(
            deadlines.count == seen.deadlines && deadlines.isSound, "10: the deadlines are out of order")
        if let first = deadlines.first { try expect(first > clock, "10: something is overdue") }
    }

    private struct Seen {
        var sessions = 0
        var owners = 0
        var held = 0
        var indexed = 0
        var owned = 0
        var queued = 0
        var asked = 0
        var marked = 0
        var deadlines = 0
        var accounts: [Int: (grants: Int, waiters: Int)] = [:]
        /// The owners that were come to on the search for circles, and whether they were left again.
        var isLeft: [Slot<Owner>: Bool] = [:]
    }

    // MARK: - Locks

    private func locksInOrder() throws(BrokenInvariant) -> [Slot<Lock>] {
        var listed: [Slot<Lock>] = []
        names.forEach(prefix: "", after: nil) {
            listed.append($0)
            return true
        }
        try expect(listed.count == locks.count, "11: a lock is not in the tree of names")
        for (lock, next) in zip(listed, listed.dropFirst()) {
            try expect(name(of: lock) < name(of: next), "11: names are out of order")
        }
        return listed
    }

    private func checkMarks(_ marked: Int) throws(BrokenInvariant) {
        var count = 0
        var previous = Slot<Lock>.none
        var lock = marks.first
        while !lock.isNone {
            try expect(
                locks[lock].ownerDied && locks[lock].previousMarked == previous, "8: marks are linked wrongly"
            )
            count += 1
            previous = lock
            lock = locks[lock].nextMarked
        }
        try expect(
            count == marks.count && count == marked && previous == marks.last, "8: the marks are miscounted")
    }

    private func checkHolders(of lock: Slot<Lock>, _ seen: inout Seen) throws(BrokenInvariant) {
        let record = locks[lock]
        var modes: [LockMode: Int] = [:]
        var count = 0
        var recallers = 0
        var last = Token(rawValue: 0)
        var previous = Slot<Grant>.none
        var slot = record.firstHolder
        while !slot.isNone {
            let grant = grants[slot]
            try expect(
                grant.lock == lock && grant.previousHolder == previous, "12: holders are linked wrongly")
            try expect(grant.token > last && grant.token < nextToken, "9: tokens do not rise")
            try expect(findGrant(grant.token, on: lock) == slot, "9: a grant is not to be found by its token")
            seen.indexed += record.isIndexed ? 1 : 0
            if grant.mode != .read {
                try expect(record.exclusive == slot, "2: an exclusive grant is not known")
            }
            if sessions[owners[grant.owner].session].wantsRecall { recallers += 1 }
            if grant.deadline != DeadlineHeap<Due>.none {
                seen.deadlines += 1
                try expect(grant.lease > 0, "10: a grant without a lease has an end")
            } else {
                try expect(grant.lease == 0, "10: a lease has no end")
            }
            modes[grant.mode, default: 0] += 1
            last = grant.token
            previous = slot
            count += 1
            slot = grant.nextHolder
        }
        seen.held += count
        let writers = modes[.write] ?? 0
        let updaters = modes[.update] ?? 0
        try expect(writers == 0 || count == 1, "1: a writer is not alone")
        try expect(updaters <= 1, "1: two updaters")
        try expect(record.exclusive.isNone == (writers + updaters == 0), "2: the exclusive grant is wrong")
        try expect(
            record.exclusiveMode == (writers > 0 ? .write : updaters > 0 ? .update : .read),
            "2: the exclusive mode is wrong")
        try expect(count == record.holders && previous == record.lastHolder, "12: the holders are miscounted")
        try expect(recallers == record.recallers, "12: those to recall are miscounted")
        try expect(graceEnd == nil || count == 0, "7: a grant within the grace")
    }

    private func checkQueue(of lock: Slot<Lock>, _ seen: inout Seen) throws(BrokenInvariant) {
        let record = locks[lock]
        if !record.upgrade.isNone {
            let waiter = waiters[record.upgrade]
            seen.queued += 1
            try expect(waiter.lock == lock && waiter.mode == .write, "3: the upgrade is of another lock")
            try expect(grants[waiter.upgrades].lock == lock, "3: the upgraded grant is gone")
            try expect(grants[waiter.upgrades].owner == waiter.owner, "3: the upgraded grant is another's")
            try expect(
                grants[waiter.upgrades].mode != .write && record.holders > 1, "4: the upgrade could be had")
        }
        var writers = 0
        try checkRow(record.contenders, of: lock, &seen) { (waiter) throws(BrokenInvariant) in
            writers += waiter.mode == .write ? 1 : 0
            try expect(waiter.mode != .read, "12: a reader among the contenders")
        }
        try expect(writers == record.waitingWriters, "12: the waiting writers are miscounted")
        try checkRow(record.readers, of: lock, &seen) { (waiter) throws(BrokenInvariant) in
            try expect(waiter.mode == .read, "12: a contender among the readers")
            let isKeptOut = record.exclusiveMode == .write || record.keepsReadersOut || graceEnd != nil
            try expect(isKeptOut, "6: a reader waits for nothing")
            let held = held(by: waiter.owner, on: lock).count
            try expect(held == 0 || record.exclusiveMode == .write, "6: a holder waits to read again")
        }
        if case let front = record.contenders.first, !front.isNone, graceEnd == nil {
            let conflict = waiters[front].mode == .write ? record.holders > 0 : !record.exclusive.isNone
            try expect(conflict || !record.upgrade.isNone, "5: the front contender waits for nothing")
        }
    }

    private func checkRow(
        _ row: WaitQueue, of lock: Slot<Lock>, _ seen: inout Seen,
        _ check: (Waiter) throws(BrokenInvariant) -> Void
    ) throws(BrokenInvariant) {
        var count = 0
        var number: UInt64?
        var slot = row.first
        while !slot.isNone {
            let waiter = waiters[slot]
            try expect(waiter.lock == lock && waiter.upgrades.isNone, "12: a waiter is in the wrong row")
            if let number { try expect(waiter.number > number, "5: waiters are not in the order of coming") }
            number = waiter.number
            try check(waiter)
            count += 1
            slot = waiter.next
        }
        seen.queued += count
        try expect(count == row.count, "12: a row is miscounted")
    }

    private func checkUse(of lock: Slot<Lock>) throws(BrokenInvariant) {
        try expect(!locks[lock].isUnused, "11: a lock that nobody uses is there")
        try expect(
            names.find(name(of: lock)) == lock, "11: a lock is not to be found by its name")
    }

    // MARK: - Sessions

    private func checkSession(_ slot: Slot<Session>, _ seen: inout Seen) throws(BrokenInvariant) {
        let session = sessions[slot]
        var heldTotal = 0
        var askedTotal = 0
        var tagged = 0
        var heldByAll: [Slot<Lock>: UInt32] = [:]
        var owner = session.firstOwner
        while !owner.isNone {
            let record = owners[owner]
            try expect(
                record.session == slot && (!record.isIdle || record.isSession),
                "12: an owner with nothing is there")
            try expect(
                findOwner(id(of: owner), of: slot) == owner, "12: an owner is not to be found by its word")
            var held: [Slot<Lock>: UInt32] = [:]
            var grant = record.firstGrant
            while !grant.isNone {
                try expect(grants[grant].owner == owner, "12: grants are linked wrongly")
                held[grants[grant].lock, default: 0] += 1
                heldByAll[grants[grant].lock, default: 0] += 1
                heldTotal += 1
                grant = grants[grant].nextOwned
            }
            for (lock, count) in held {
                try expect(self.held(by: owner, on: lock).count == count, "12: a stake is wrong")
            }
            var asked: [Slot<Lock>: UInt32] = [:]
            var waiter = record.firstWaiter
            while !waiter.isNone {
                try expect(waiters[waiter].owner == owner, "12: requests are linked wrongly")
                asked[waiters[waiter].lock, default: 0] += 1
                askedTotal += 1
                tagged += waiters[waiter].tag == nil ? 0 : 1
                if waiters[waiter].deadline != DeadlineHeap<Due>.none { seen.deadlines += 1 }
                waiter = waiters[waiter].nextOwned
            }
            for (lock, count) in asked {
                try expect(waits[Self.key(owner, lock)]?.count == count, "12: a waiting stake is wrong")
            }
            if !record.firstWaiter.isNone { try goEveryWay(from: owner, &seen) }
            seen.owners += 1
            owner = record.next
        }
        for (lock, count) in heldByAll {
            let stake = self.held(by: nil, of: slot, on: lock)
            try expect(stake.count == count, "12: a session's stake is wrong")
        }
        try expect(
            heldTotal == session.grants && askedTotal == session.waiters, "12: a session is miscounted")
        try expect(
            tagged == (session.words.isNone ? 0 : sessionWords[session.words].tags.count),
            "12: the tags are miscounted")
        seen.accounts[session.account, default: (0, 0)].grants += heldTotal
        seen.accounts[session.account, default: (0, 0)].waiters += askedTotal
        seen.owned += heldTotal
        seen.asked += askedTotal
    }

    // MARK: - Circles

    /// Goes every way from an owner that waits, each edge once for all owners; whoever comes to an owner that it
    /// has not left again has gone round in a circle.
    private func goEveryWay(from start: Slot<Owner>, _ seen: inout Seen) throws(BrokenInvariant) {
        var ahead = [(owner: start, leaving: false)]
        while let (owner, leaving) = ahead.popLast() {
            if leaving {
                seen.isLeft[owner] = true
            } else if let left = seen.isLeft[owner] {
                try expect(left, "13: owners wait for each other in a circle")
            } else {
                seen.isLeft[owner] = false
                ahead.append((owner, true))
                ahead += waitedFor(by: owner).map { ($0, false) }
            }
        }
    }

    /// Those whom an owner waits for, but for some to whom a way leads over others of them.
    private func waitedFor(by owner: Slot<Owner>) -> [Slot<Owner>] {
        var waitedFor: [Slot<Owner>] = []
        var slot = owners[owner].firstWaiter
        while !slot.isNone {
            let waiter = waiters[slot]
            let lock = locks[waiter.lock]
            var holder = lock.firstHolder
            while !holder.isNone {
                if holder != waiter.upgrades, waiter.mode.conflicts(with: grants[holder].mode) {
                    waitedFor.append(grants[holder].owner)
                }
                holder = grants[holder].nextHolder
            }
            if waiter.upgrades.isNone {
                if !lock.upgrade.isNone { waitedFor.append(waiters[lock.upgrade].owner) }
                // Contenders conflict with each other: each waits for the one before, and so for all.
                var before = waiter.mode == .read ? lock.contenders.last : waiter.previous
                while !before.isNone, !waiter.mode.conflicts(with: waiters[before].mode) {
                    before = waiters[before].previous
                }
                if !before.isNone { waitedFor.append(waiters[before].owner) }
            }
            slot = waiter.nextOwned
        }
        return waitedFor
    }

    private func expect(_ condition: Bool, _ rule: @autoclosure () -> String) throws(BrokenInvariant) {
        if !condition { throw BrokenInvariant(description: "invariant \(rule())") }
    }
}
