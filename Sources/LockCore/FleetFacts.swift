import LockVocabulary

/// The fleet's part of a table that is built again from its facts, and its invariants.
///
/// That a claim is held is no fact: whether it is, follows from what the fleet holds. The caller tells again about locks that
/// have no other fact, by `setFleetHold` and `setClaimed`, and which are recalled.
extension LockTable {
    mutating func restoreFleet(_ fact: Fact.Counters.Fleet) throws(BrokenInvariant) {
        guard sharedNames != nil, fact.serial != 0 else {
            throw BrokenInvariant(description: "facts: a fleet, which the table does not have")
        }
        addAccount(AccountID(rawValue: 0))
        let slot = Slot<Session>(raw: fact.slot)
        let record = Session(serial: fact.serial, account: AccountID(rawValue: 0), share: Share())
        guard sessions.place(record, at: slot, isVacant: { $0.isVacant }) else {
            throw BrokenInvariant(description: "facts: no session can have the slot of the fleet")
        }
        fleet = slot
        nextSharedToken = fact.nextToken
    }

    /// Finds out which locks are shared, and whether the host may have claims on them.
    mutating func restoreSharing() throws(BrokenInvariant) {
        for raw in 0..<locks.bound {
            let lock = Slot<Lock>(raw: raw)
            guard !locks[lock].isVacant else { continue }
            let isShared = isShared(name(of: lock))
            // With other prefixes than before, sessions could hold what this host has no claim on.
            let isStrange = locks[lock].holders.contains(in: grants) {
                isFleet($0) ? !isShared : isShared != (grants[$0].token.rawValue >= 1 << 62)
            }
            guard !isStrange, isShared || !locks[lock].sharing.contains(.waits) else {
                throw BrokenInvariant(description: "facts: a lock was shared, or is shared now")
            }
            guard isShared else { continue }
            locks[lock].sharing.insert(.shared)
            if fleetHold(of: lock) != .all { locks[lock].sharing.insert(.claimed) }
            var probes: UInt32 = 0
            func count(_ waiter: Slot<Waiter>) {
                guard waiters[waiter].isProbe else { return }
                probes += 1
                sessions[owners[waiters[waiter].owner].session].probes += 1
            }
            locks[lock].contenders.forEach(in: waiters) { count($0) }
            locks[lock].readers.forEach(in: waiters) { count($0) }
            if let upgrade = locks[lock].upgrade { count(upgrade) }
            changeStake(of: lock) { $0.probes = probes }
            // The caller is told of all of them, and tells what they are to be. One that only the fleet holds was recalled: it is as
            // one that is not there.
            if locks[lock].isUnused { removeLock(lock) } else { noteShared(lock) }
        }
    }

    /// Throws if an invariant of shared locks does not hold.
    func checkFleet() throws(BrokenInvariant) {
        var (owners, records, shared, probes) = (0, 0, 0, 0)
        for raw in 0..<locks.bound {
            let lock = Slot<Lock>(raw: raw)
            guard !locks[lock].isVacant else { continue }
            let record = locks[lock]
            try expect(
                record.isShared == isShared(name(of: lock)), "a lock is shared, or not, against its name")
            guard record.isShared else { continue }
            shared += 1
            let stake = stake(of: lock)
            probes += Int(stake.probes)
            try expect(stakes[UInt64(raw)] != nil, "a shared lock has no stake")
            try expect(
                (stake.grant != nil) == record.sharing.contains(.holds)
                    && (stake.waiter != nil) == record.sharing.contains(.waits),
                "the fleet's grant or request is not known")
            try expect(
                (stake.owner != nil) == (stake.grant != nil || stake.waiter != nil),
                "the fleet has an owner with nothing, or none for what it has")
            if let grant = stake.grant {
                try expect(
                    isFleet(grant) && grants[grant].lock == lock && record.exclusive == grant,
                    "the fleet's grant is another's, or excludes nothing")
            }
            if let waiter = stake.waiter {
                try expect(
                    isFleet(waiter) && waiters[waiter].lock == lock
                        && waiters[waiter].upgrades == stake.grant,
                    "the fleet's request is another's")
            }
            try expect(
                record.sharing.contains(.claimed) || fleetHold(of: lock) == .all,
                "sessions may have what the host has no claim on")
            try expect(!record.hasCached, "a grant of a shared lock is cached")
            try expect(
                !record.sharing.contains(.deferred) || stake.recall != .none && stake.waiter == nil,
                "a request of the fleet is put off that is not to be")
            owners += stake.owner == nil ? 0 : 1
            records += (stake.grant == nil ? 0 : 1) + (stake.waiter == nil ? 0 : 1)
        }
        for raw in 0..<sessions.bound { probes -= Int(sessions[Slot(raw: raw)].probes) }
        try expect(probes == 0, "locks and sessions have not the same requests that were not to wait")
        try expect(stakes.count == shared, "a lock that is gone, or not shared, has a stake")
        try expect(records == fleetRecords, "what the fleet has is miscounted")
        if let fleet {
            try expect(Int(sessions[fleet].owners.count) == owners, "the fleet has an owner without a lock")
        }
    }

    private func expect(_ condition: Bool, _ fault: String) throws(BrokenInvariant) {
        if !condition { throw BrokenInvariant(description: "invariant 15: \(fault)") }
    }
}
