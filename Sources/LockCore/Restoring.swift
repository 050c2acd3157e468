public import LockVocabulary

/// All facts of a table, sorted by kind.
public struct Facts: Sendable {
    var counters: Fact.Counters?
    var sessions: [(slot: UInt32, fact: Fact.Session)] = []
    var grants: [(slot: UInt32, fact: Fact.Grant)] = []
    var waiters: [(slot: UInt32, fact: Fact.Waiter)] = []
    var marks: [(slot: UInt32, fact: Fact.Mark)] = []

    public init() {}

    public mutating func add(_ fact: Fact, at slot: UInt32) {
        switch fact {
        case .counters(let fact): counters = fact
        case .session(let fact): sessions.append((slot, fact))
        case .grant(let fact): grants.append((slot, fact))
        case .waiter(let fact): waiters.append((slot, fact))
        case .mark(let fact): marks.append((slot, fact))
        }
    }
}

/// Builds a table again from its facts.
///
/// Sessions, grants and requests get the slots that they had, so that the keys of their facts stay true. All else is derived:
/// the owners, the locks, the rows by places and numbers, the holders by tokens, the deadlines, the counts and the indices.
/// Work that was under way begins again, which changes nothing where it was done: every lock is looked at for requests that
/// can be granted, and for holders to be told; what ended sessions have is taken apart.
extension LockTable {
    /// Gives an empty table the state that the facts describe. What is due by now is work to be done. Its own limits, patience and reserved tokens stay.
    ///
    /// - Throws: the invariant that does not hold, if the facts contradict each other. Then the table is of no use.
    public mutating func restore(_ facts: Facts, at now: Instant) throws(BrokenInvariant) {
        precondition(sessions.count == 0 && locks.count == 0, "the table is in use")
        guard let counters = facts.counters else { throw BrokenInvariant(description: "facts: no counters") }
        clock = now
        nextToken = counters.nextToken
        nextNumber = counters.nextNumber
        nextSerial = counters.nextSerial
        nextMark = counters.nextMark
        graceEnd = counters.graceEnd
        opened = counters.isOpening ? .beginning : nil
        keptCounters = counters
        stepsLeft = stepsInTurn
        try restoreSessions(facts.sessions)
        try restoreMarks(facts.marks)
        try restoreGrants(facts.grants)
        try restoreWaiters(facts.waiters)
        resumeWork()
        try checkInvariants()
    }

    private mutating func restoreSessions(_ facts: [(slot: UInt32, fact: Fact.Session)])
        throws(BrokenInvariant)
    {
        for (slot, fact) in facts {
            addAccount(fact.account)
            var record = Session(serial: fact.serial, account: fact.account, share: Share())
            record.wantsRecall = fact.wantsRecall
            record.hasReleaseAtEnd = fact.hasReleaseAtEnd
            let session = Slot<Session>(raw: slot)
            switch fact.phase {
            case .open: break
            case .ending: record.phase = .ending
            case .ended(let report):
                record.phase = .ended
                endings[session] = report.map { Ending($0) }
            }
            if record.phase == .ending || endings[session] != nil { unfinishedEnds += 1 }
            let isPlaced = fact.serial != 0 && sessions.place(record, at: session) { $0.isVacant }
            try expect(isPlaced, "two sessions at one slot")
        }
        sessions.finishPlacing { $0.isVacant }
    }

    private mutating func restoreMarks(_ facts: [(slot: UInt32, fact: Fact.Mark)]) throws(BrokenInvariant) {
        for (slot, fact) in facts.sorted(by: { $0.fact.number < $1.fact.number }) {
            let lock = Slot<Lock>(raw: slot)
            try expect(names.look(for: fact.lock) == nil, "two marks on one lock")
            let isPlaced = locks.place(Lock(name: .nowhere), at: lock) { $0.isVacant }
            try expect(isPlaced, "two marks at one slot")
            locks[lock].name = names.insert(fact.lock, for: lock)
            locks[lock].ownerDied = true
            markNumbers[lock] = fact.number
            marks.append(lock, in: &locks)
        }
        locks.finishPlacing { $0.isVacant }
    }

    private mutating func restoreGrants(_ facts: [(slot: UInt32, fact: Fact.Grant)]) throws(BrokenInvariant) {
        for (slot, fact) in facts.sorted(by: { $0.fact.token < $1.fact.token }) {
            let grant = Slot<Grant>(raw: slot)
            let owner = try owner(fact.owner, ofSessionAt: fact.session)
            let lock = lock(named: fact.lock)
            let session = owners[owner].session
            var record = Grant(
                token: fact.token, since: fact.since, lease: Lease(fact.lease), lock: lock, owner: owner,
                mode: fact.mode)
            record.isRecalled = fact.isRecalled
            record.isReleasedAtEnd = fact.isReleasedAtEnd
            if !fact.note.isEmpty { record.note = notes.insert(fact.note) }
            let isPlaced = grants.place(record, at: grant) { $0.isVacant }
            try expect(isPlaced, "two grants at one slot")
            owners[owner].grants.prepend(grant, in: &grants)
            charge(session, grants: 1)
            locks[lock].addHolder(
                grant, fact.mode, wantsRecall: sessions[session].wantsRecall, in: &grants)
            index(grant, on: lock)
            grants[grant].deadline = fact.due.map {
                agenda.insert(.grant(grant), due: $0, of: sessions[session].account)
            }
        }
        grants.finishPlacing { $0.isVacant }
    }

    private mutating func restoreWaiters(_ facts: [(slot: UInt32, fact: Fact.Waiter)]) throws(BrokenInvariant)
    {
        let inOrder = facts.sorted { $0.fact.number < $1.fact.number }
        for (slot, fact) in inOrder {
            let waiter = Slot<Waiter>(raw: slot)
            let owner = try owner(fact.owner, ofSessionAt: fact.session)
            let lock = lock(named: fact.lock)
            var record = Waiter(
                number: fact.number, place: fact.place, since: fact.since, timeout: fact.timeout,
                mode: fact.mode, lock: lock, owner: owner, lease: Lease(fact.lease), note: fact.note,
                tag: fact.tag)
            record.isImpatient = fact.isImpatient
            record.isPatient = fact.isPatient
            if let token = fact.upgrades {
                record.upgrades = findGrant(token, on: lock)
                try expect(record.upgrades != nil, "an upgrade without its grant")
                try expect(locks[lock].upgrade == nil, "two upgrades of one lock")
            }
            let isPlaced = waiters.place(record, at: waiter) { $0.isVacant }
            try expect(isPlaced, "two requests at one slot")
            try restorePlace(of: waiter, fact)
        }
        waiters.finishPlacing { $0.isVacant }
        // An impatient reader stands before patient ones that came earlier.
        for (slot, fact) in inOrder.sorted(by: {
            ($0.fact.place, $0.fact.number) < ($1.fact.place, $1.fact.number)
        }) {
            let waiter = Slot<Waiter>(raw: slot)
            let lock = waiters[waiter].lock
            locks[lock].addWaiter(waiter, fact.mode, isUpgrade: fact.upgrades != nil, in: &waiters)
        }
    }

    /// Enters a waiting request wherever it is found, but for its row.
    private mutating func restorePlace(of waiter: Slot<Waiter>, _ fact: Fact.Waiter) throws(BrokenInvariant) {
        let owner = waiters[waiter].owner
        let session = owners[owner].session
        owners[owner].waiters.prepend(waiter, in: &waiters)
        waiters[waiter].deadline = fact.due.map {
            agenda.insert(.waiter(waiter), due: $0, of: sessions[session].account)
        }
        if let tag = fact.tag {
            let former = labels[labels(of: session)].tags.updateValue(waiter, forKey: tag)
            try expect(former == nil, "two requests with one tag")
        }
        charge(session, waiters: 1)
        Self.changeStake(in: &waits, of: owner, owners, on: waiters[waiter].lock) { $0.add(waiter) }
        if fact.isPatient { patientReaders.append(waiter, in: &waiters) }
    }

    private mutating func owner(_ id: OwnerID, ofSessionAt slot: UInt32) throws(BrokenInvariant) -> Slot<
        Owner
    > {
        let session = Slot<Session>(raw: slot)
        try expect(sessions.reaches(session) && !sessions[session].isVacant, "an owner without a session")
        return findOwner(id, of: session) ?? addOwner(id, to: session)
    }

    private mutating func lock(named name: LockName) -> Slot<Lock> { names.look(for: name) ?? addLock(name) }

    /// Puts on the agenda whatever may be left to do.
    private mutating func resumeWork() {
        for raw in 0..<locks.bound {
            let lock = Slot<Lock>(raw: raw)
            if !locks[lock].isVacant, locks[lock].hasWaiters { resumeService(of: lock) }
        }
        for raw in 0..<sessions.bound {
            let session = Slot<Session>(raw: raw)
            guard !sessions[session].isVacant, sessions[session].phase != .open else { continue }
            let hasRest = endings[session] != nil || sessions[session].usage.waiters > 0
            if hasRest { agenda.takeApart(session, of: sessions[session].account) }
        }
    }

    private func expect(_ condition: Bool, _ fault: @autoclosure () -> String) throws(BrokenInvariant) {
        if !condition { throw BrokenInvariant(description: "facts: \(fault())") }
    }
}
