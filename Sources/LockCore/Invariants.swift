import LockVocabulary

/// An invariant that does not hold: a fault of this program.
public struct BrokenInvariant: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
}

/// The invariants, with their numbers in README.md. A check walks all records.
extension LockTable {
    /// Throws if one of the invariants does not hold.
    public func checkInvariants() throws(BrokenInvariant) {
        var seen = Seen()
        try expect(names.isSound, "11: a search by a name does not find its lock")
        try expect(names.count == locks.count, "11: a lock is not in the tree of names")
        for raw in 0..<locks.bound where !locks[Slot(raw: raw)].isVacant {
            let lock = Slot<Lock>(raw: raw)
            try expect(!locks[lock].isUnused, "11: a lock without grants, waiters and mark exists")
            try expect(names.lock(of: locks[lock].name) == lock, "11: a name leads to another lock")
            try checkHolders(of: lock, &seen)
            try checkQueue(of: lock, &seen)
            seen.locks += 1
            seen.marked += locks[lock].ownerDied ? 1 : 0
            if seen.locks == locks.count { break }
        }
        try expect(seen.locks == locks.count, "12: the locks are miscounted")
        var sessionCount = 0
        for raw in 0..<sessions.bound where !sessions[Slot(raw: raw)].isVacant {
            sessionCount += 1
            try checkSession(Slot(raw: raw), &seen)
            if sessionCount == sessions.count { break }
        }
        try expect(sessionCount == sessions.count, "12: the sessions are miscounted")
        try expect(seen.held == grants.count && seen.owned == grants.count, "12: a grant outside a list")
        try expect(seen.queued == waiters.count && seen.asked == waiters.count, "12: a waiter outside a list")
        try expect(seen.owners == owners.count, "12: an owner outside its session")
        for account in 0..<accounts.count {
            try expect(
                accounts[account] == seen.accounts[AccountID(rawValue: account)] ?? Usage(),
                "12: an account is miscounted")
        }
        try expect(tokens.count == seen.indexed, "9: a token without a grant")
        try checkMarks(seen.marked)
        try checkCached()
        try checkFleet()
        try expect(
            agenda.deadlineCount == seen.deadlines && agenda.isSound, "10: the deadlines are out of order")
        try expect(
            patientReaders.count == seen.patient && patientReaders.isSound(in: waiters),
            "10: the patient readers are listed wrongly")
        try expect(!completesAtOnce || !hasLateReaders, "10: a reader is patient for too long")
        if completesAtOnce { try expect(!hasWork, "10: something is overdue") }
    }

    private struct Seen {
        var locks = 0
        var owners = 0
        var held = 0
        var indexed = 0
        var owned = 0
        var queued = 0
        var asked = 0
        var marked = 0
        var deadlines = 0
        var patient = 0
        var accounts: [AccountID: Usage] = [:]
        /// The owners that the search for circles has entered, and whether it has left them again.
        var isLeft: [Slot<Owner>: Bool] = [:]
    }

    // MARK: - Locks

    private func checkMarks(_ marked: Int) throws(BrokenInvariant) {
        try expect(marks.isSound(in: locks) && marks.count == marked, "8: marks are linked wrongly")
        try expect(
            !marks.contains(in: locks) { locks[$0].mark == nil },
            "8: a lock without a mark is among the marks"
        )
    }

    private func checkHolders(of lock: Slot<Lock>, _ seen: inout Seen) throws(BrokenInvariant) {
        let record = locks[lock]
        var writers = 0
        var updaters = 0
        var recallers = 0
        var last = Token(rawValue: 0)
        try expect(record.holders.isSound(in: grants), "12: holders are linked wrongly")
        try record.holders.forEach(in: grants) { (slot) throws(BrokenInvariant) in
            let grant = grants[slot]
            try expect(grant.lock == lock, "12: a holder of another lock")
            if isFleet(slot) {
                try expect(grant.token == .ofFleet && record.isShared, "9: the fleet has a token")
            } else {
                let bound = record.isShared ? nextSharedToken : nextToken
                try expect(grant.token > last && grant.token < bound, "9: tokens do not rise")
                last = grant.token
            }
            if record.isIndexed, !isFleet(slot) {
                try expect(tokens[grant.token.rawValue] == slot, "9: a grant is not to be found by its token")
            }
            if grant.mode != .read {
                try expect(record.exclusive == slot, "2: an exclusive grant is not known")
            }
            if sessions[owners[grant.owner].session].wantsRecall { recallers += 1 }
            try expect(
                (grant.deadline == nil) == (grant.lease.duration == nil),
                "10: a lease has no end, or an end no lease")
            if grant.deadline != nil { seen.deadlines += 1 }
            writers += grant.mode == .write ? 1 : 0
            updaters += grant.mode == .update ? 1 : 0
        }
        let count = Int(record.holders.count)
        seen.held += count
        seen.indexed += record.isIndexed ? count - Int(record.fleetHolders) : 0
        try expect(writers == 0 || count == 1, "1: a writer is not alone")
        try expect(updaters <= 1, "1: two updaters")
        try expect((record.exclusive == nil) == (writers + updaters == 0), "2: the exclusive grant is wrong")
        try expect(
            record.exclusiveMode == (writers > 0 ? .write : updaters > 0 ? .update : .read),
            "2: the exclusive mode is wrong")
        try expect(recallers == record.recallers, "12: those to recall are miscounted")
        try expect(graceEnd == nil || count == Int(record.fleetHolders), "7: a grant within the grace")
    }

    private func checkQueue(of lock: Slot<Lock>, _ seen: inout Seen) throws(BrokenInvariant) {
        let record = locks[lock]
        // What can be granted waits for its turn.
        let isServed = !record.isUnsettled && opened == nil && !record.sharing.contains(.shut)
        if let upgrade = record.upgrade {
            let waiter = waiters[upgrade]
            seen.queued += 1
            guard let grant = waiter.upgrades.map({ grants[$0] }), grant.lock == lock, waiter.lock == lock
            else { throw BrokenInvariant(description: "invariant 3: the upgraded grant is gone") }
            try expect(grant.owner == waiter.owner, "3: the upgraded grant is another's")
            // In the grace a session holds nothing to upgrade, and the fleet waits as all do.
            let isBlocked = record.holders.count > 1 || !isServed || graceEnd != nil
            try expect(grant.mode != .write && isBlocked, "4: the upgrade could be had")
        }
        var writers = 0
        try checkRow(record.contenders, of: lock, &seen) { (waiter) throws(BrokenInvariant) in
            writers += waiter.mode == .write ? 1 : 0
            try expect(waiter.mode != .read, "12: a reader among the contenders")
        }
        try expect(writers == record.waitingWriters, "12: the waiting writers are miscounted")
        var patient = 0
        try checkRow(record.readers, of: lock, &seen) { (waiter) throws(BrokenInvariant) in
            try expect(waiter.mode == .read, "12: a contender among the readers")
            let isBehind = record.contenders.contains(in: waiters) {
                waiters[$0].mode == .write && !waiter.goesBefore(waiters[$0])
            }
            let isKeptOut =
                record.exclusiveMode == .write || record.upgrade != nil || isBehind || graceEnd != nil
            try expect(isKeptOut || !isServed, "6: a reader waits for nothing")
            try expect(
                isOver(waiter) || waiter.isPatient == (patience != nil && !waiter.isImpatient),
                "10: a reader is neither patient nor impatient")
            patient += waiter.isPatient ? 1 : 0
            try expect(
                waiter.isImpatient || waiter.place == waiter.number,
                "6: a patient reader has the place of another one")
            let held = held(by: waiter.owner, on: lock).count
            try expect(
                held == 0 || record.exclusiveMode == .write || !isServed, "6: a holder waits to read again")
        }
        seen.patient += patient
        if let front = record.contenders.first, graceEnd == nil, record.upgrade == nil, isServed {
            let conflict = waiters[front].mode == .write ? !record.holders.isEmpty : record.exclusive != nil
            try expect(conflict, "5: the front contender waits for nothing")
        }
    }

    private func checkRow(
        _ row: LinkedList<Waiter.InRow>, of lock: Slot<Lock>, _ seen: inout Seen,
        _ check: (Waiter) throws(BrokenInvariant) -> Void
    ) throws(BrokenInvariant) {
        var former: Waiter?
        try expect(row.isSound(in: waiters), "12: a row is linked wrongly")
        try row.forEach(in: waiters) { (slot) throws(BrokenInvariant) in
            let waiter = waiters[slot]
            try expect(waiter.lock == lock && waiter.upgrades == nil, "12: a waiter is in the wrong row")
            if let former {
                try expect(waiter.order > former.order, "5: waiters are not in the order of their places")
            }
            former = waiter
            try check(waiter)
        }
        seen.queued += Int(row.count)
    }

    // MARK: - Sessions

    private func checkSession(_ slot: Slot<Session>, _ seen: inout Seen) throws(BrokenInvariant) {
        let session = sessions[slot]
        var usage = Usage()
        var tagged = 0
        // The holders of other locks are counted by a walk, so they are miscounted only if a grant is outside a list.
        var heldOnIndexed: [Slot<Lock>: UInt32] = [:]
        try expect(session.owners.isSound(in: owners), "12: owners are linked wrongly")
        try session.owners.forEach(in: owners) { (owner) throws(BrokenInvariant) in
            let record = owners[owner]
            try expect(
                record.session == slot && (!record.isIdle || record.isSession || session.phase != .open),
                "12: an owner with nothing is there")
            try expect(
                slot == fleet || findOwner(id(of: owner), of: slot) == owner,
                "12: an owner is not to be found by its id")
            try expect(
                record.grants.isSound(in: grants) && record.waiters.isSound(in: waiters),
                "12: what an owner has is linked wrongly")
            var held: [Slot<Lock>: UInt32] = [:]
            try record.grants.forEach(in: grants) { (grant) throws(BrokenInvariant) in
                let lock = grants[grant].lock
                try expect(grants[grant].owner == owner, "12: a grant is another owner's")
                guard locks[lock].isIndexed else { return }
                held[lock, default: 0] += 1
                heldOnIndexed[lock, default: 0] += 1
            }
            for (lock, count) in held {
                try expect(self.held(by: owner, on: lock).count == count, "12: a stake is wrong")
            }
            var asked: [Slot<Lock>: UInt32] = [:]
            try record.waiters.forEach(in: waiters) { (waiter) throws(BrokenInvariant) in
                try expect(waiters[waiter].owner == owner, "12: a request is another owner's")
                asked[waiters[waiter].lock, default: 0] += 1
                tagged += waiters[waiter].tag == nil ? 0 : 1
                seen.deadlines += waiters[waiter].deadline == nil ? 0 : 1
            }
            for (lock, count) in asked {
                try expect(waits[Self.key(owner, lock)]?.count == count, "12: a waiting stake is wrong")
            }
            usage.grants += Int(record.grants.count)
            usage.waiters += Int(record.waiters.count)
            // A circle by time is found when the reader loses patience.
            if !record.waiters.isEmpty, !hasLateReaders { try goEveryWay(from: owner, &seen) }
        }
        for (lock, count) in heldOnIndexed where slot != fleet {
            try expect(held(by: nil, of: slot, on: lock).count == count, "12: a session's stake is wrong")
        }
        try expect(usage == session.usage, "12: a session is miscounted")
        try expect(
            tagged == session.labels.map { labels[$0].tags.count } ?? 0, "12: the tags are miscounted")
        seen.owners += Int(session.owners.count)
        if slot != fleet {
            seen.accounts[session.account, default: Usage()].grants += usage.grants
            seen.accounts[session.account, default: Usage()].waiters += usage.waiters
        }
        seen.owned += usage.grants
        seen.asked += usage.waiters
    }

    // MARK: - Circles

    /// Searches depth first from an owner that waits, over every edge once for all owners. To reach an owner that the search
    /// has not left again is to have found a circle.
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

    /// The owners that an owner waits for. Owners that it reaches through these, and what is over, are left out.
    private func waitedFor(by owner: Slot<Owner>) -> [Slot<Owner>] {
        var waitedFor: [Slot<Owner>] = []
        let isBehind = isBehind
        func isGone(_ waiter: Slot<Waiter>) -> Bool { isBehind && isOver(waiter) }
        owners[owner].waiters.forEach(in: waiters) { slot in
            guard !isGone(slot) else { return }
            let waiter = waiters[slot]
            let lock = locks[waiter.lock]
            lock.holders.forEach(in: grants) { holder in
                let conflicts = waiter.mode.conflicts(with: grants[holder].mode)
                if holder != waiter.upgrades, conflicts, !isBehind || !isOver(holder) {
                    waitedFor.append(grants[holder].owner)
                }
            }
            guard waiter.upgrades == nil else { return }
            if let upgrade = lock.upgrade, !isGone(upgrade) { waitedFor.append(waiters[upgrade].owner) }
            // Any two contenders conflict, so each waits for the one before it, and through it for all others.
            var ahead = waiter.mode == .read ? lock.contenders.last : waiter.rowLinks.previous
            while let contender = ahead {
                if waiter.mode.conflicts(with: waiters[contender].mode),
                    !waiter.goesBefore(waiters[contender]), !isGone(contender)
                {
                    waitedFor.append(waiters[contender].owner)
                    break
                }
                ahead = waiters[contender].rowLinks.previous
            }
            guard waiter.mode == .write else { return }
            lock.readers.forEach(in: waiters) { reader in
                if waiters[reader].goesBefore(waiter), !isGone(reader) {
                    waitedFor.append(waiters[reader].owner)
                }
            }
        }
        return waitedFor
    }

    private func expect(_ condition: Bool, _ rule: @autoclosure () -> String) throws(BrokenInvariant) {
        if !condition { throw BrokenInvariant(description: "invariant \(rule())") }
    }
}
