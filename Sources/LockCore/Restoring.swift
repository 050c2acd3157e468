public import LockVocabulary

/// Builds a table again from its facts.
///
/// Sessions, grants and requests get the slots that they had, so that the keys of their facts stay true. All else is derived:
/// the owners, the locks, the rows by places and numbers, the holders by tokens, the deadlines, the counts and the indices.
/// Work that was under way begins again, which changes nothing where it was done: every lock is looked at for requests that
/// can be granted, and for holders to be told; what ended sessions have is taken apart.
///
/// The records of a kind are placed as their facts come. Then they are linked in the order of their numbers.
extension LockTable {
    /// Gives an empty table the state that the facts describe. What is due by now is work to be done. Its own limits, patience and reserved tokens stay.
    ///
    /// - Parameter forEachFact: calls its argument with each fact of a kind and its slot, in any order. So no copy of all facts
    ///   is made.
    /// - Throws: the invariant that does not hold, if the facts contradict each other. Then the table is of no use.
    public mutating func restore(
        at now: Instant,
        _ forEachFact: (FactKey.Kind, (UInt32, Fact) throws(BrokenInvariant) -> Void) throws(BrokenInvariant)
            -> Void
    ) throws(BrokenInvariant) {
        precondition(sessions.count == 0 && locks.count == 0, "the table is in use")
        clock = now
        stepsLeft = stepsInTurn
        var upgrades: [(waiter: Slot<Waiter>, token: Token)] = []
        for kind in [FactKey.Kind.counters, .session, .mark, .grant, .waiter] {
            try forEachFact(kind) { (slot, fact) throws(BrokenInvariant) in
                switch fact {
                case .counters(let fact): try restore(fact)
                case .session(let fact): try restore(fact, at: Slot(raw: slot))
                case .mark(let fact): try restore(fact, at: Slot(raw: slot))
                case .grant(let fact): try restore(fact, at: Slot(raw: slot))
                case .waiter(let fact):
                    try restore(fact, at: Slot(raw: slot))
                    if let token = fact.upgrades { upgrades.append((Slot(raw: slot), token)) }
                }
            }
            switch kind {
            case .counters: try expect(keptCounters != nil, "no counters")
            case .session: sessions.finishPlacing { $0.isVacant }
            case .mark:
                locks.finishPlacing { $0.isVacant }
                linkMarks()
            case .grant:
                grants.finishPlacing { $0.isVacant }
                linkGrants()
            case .waiter:
                waiters.finishPlacing { $0.isVacant }
                for (waiter, token) in upgrades { try restoreUpgrade(waiter, of: token) }
                linkWaiters()
            }
        }
        try restoreSharing()
        resumeWork()
        try checkInvariants()
    }

    private mutating func restore(_ fact: Fact.Counters) throws(BrokenInvariant) {
        nextToken = fact.nextToken
        nextNumber = fact.nextNumber
        nextSerial = fact.nextSerial
        nextMark = fact.nextMark
        graceEnd = fact.graceEnd
        opened = fact.isOpening ? .beginning : nil
        keptCounters = fact
        if let shared = fact.fleet { try restoreFleet(shared) }
    }

    private mutating func restore(_ fact: Fact.Session, at session: Slot<Session>) throws(BrokenInvariant) {
        addAccount(fact.account)
        var record = Session(serial: fact.serial, account: fact.account, share: Share())
        record.wantsRecall = fact.wantsRecall
        record.hasReleaseAtEnd = fact.hasReleaseAtEnd
        record.hasSlots = fact.hasSlots
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
        if fact.hasSlots { addRoom(SlotRoom(nil), to: session) }
    }

    private mutating func restore(_ fact: Fact.Mark, at lock: Slot<Lock>) throws(BrokenInvariant) {
        try expect(names.look(for: fact.lock) == nil, "two marks on one lock")
        let isPlaced = locks.place(Lock(name: .nowhere), at: lock) { $0.isVacant }
        try expect(isPlaced, "two marks at one slot")
        locks[lock].name = names.insert(fact.lock, for: lock)
        locks[lock].mark = fact.mark
        markNumbers[lock] = fact.number
    }

    private mutating func linkMarks() {
        for (lock, _) in markNumbers.sorted(by: { $0.value < $1.value }) { marks.append(lock, in: &locks) }
    }

    private mutating func restore(_ fact: Fact.Grant, at grant: Slot<Grant>) throws(BrokenInvariant) {
        let lock = lock(named: fact.lock)
        let owner = try owner(fact.owner, ofSessionAt: fact.session, on: lock)
        var record = Grant(
            token: fact.token, since: fact.since, lease: Lease(fact.lease), lock: lock, owner: owner,
            mode: fact.mode)
        record.isRecalled = fact.isRecalled
        record.isReleasedAtEnd = fact.isReleasedAtEnd
        if !fact.note.isEmpty { record.note = notes.insert(fact.note) }
        record.deadline = fact.due.map { agenda.insert(.grant(grant), due: $0, of: account(of: owner)) }
        let isPlaced = grants.place(record, at: grant) { $0.isVacant }
        try expect(isPlaced, "two grants at one slot")
        guard let slot = fact.slot else { return }
        let cache = caches.insert(
            CachedGrant(grant: grant, index: slot.index, isWanted: slot.isWanted))
        let isLinked = link(cache, grant, Slot(raw: fact.session))
        try expect(isLinked, "two grants in one slot, or none in a session without slots")
    }

    private mutating func linkGrants() {
        for (_, grant) in grants.sorted(by: { $0.isVacant ? nil : $0.token }) {
            let (lock, owner) = (grants[grant].lock, grants[grant].owner)
            let session = owners[owner].session
            guard session != fleet else {
                linkFleetGrant(grant, on: lock)
                continue
            }
            owners[owner].grants.prepend(grant, in: &grants)
            charge(session, grants: 1)
            locks[lock].addHolder(
                grant, grants[grant].mode, wantsRecall: sessions[session].wantsRecall, in: &grants)
            index(grant, on: lock)
        }
    }

    private mutating func restore(_ fact: Fact.Waiter, at waiter: Slot<Waiter>) throws(BrokenInvariant) {
        let lock = lock(named: fact.lock)
        let owner = try owner(fact.owner, ofSessionAt: fact.session, on: lock)
        var record = Waiter(
            number: fact.number, place: fact.place, since: fact.since, timeout: fact.timeout,
            mode: fact.mode, lock: lock, owner: owner, lease: Lease(fact.lease), note: fact.note,
            tag: fact.tag)
        record.isImpatient = fact.isImpatient
        record.isPatient = fact.isPatient
        record.deadline = fact.due.map { agenda.insert(.waiter(waiter), due: $0, of: account(of: owner)) }
        let isPlaced = waiters.place(record, at: waiter) { $0.isVacant }
        try expect(isPlaced, "two requests at one slot")
        guard let tag = fact.tag else { return }
        let former = labels[labels(of: owners[owner].session)].tags.updateValue(waiter, forKey: tag)
        try expect(former == nil, "two requests with one tag")
    }

    private mutating func restoreUpgrade(_ waiter: Slot<Waiter>, of token: Token) throws(BrokenInvariant) {
        let lock = waiters[waiter].lock
        let grant = isFleet(waiter) ? stake(of: lock).grant : findGrant(token, on: lock)
        waiters[waiter].upgrades = grant
        try expect(waiters[waiter].upgrades != nil, "an upgrade without its grant")
        try expect(locks[lock].upgrade == nil, "two upgrades of one lock")
        locks[lock].addWaiter(waiter, waiters[waiter].mode, isUpgrade: true, in: &waiters)
    }

    private mutating func linkWaiters() {
        for (_, waiter) in waiters.sorted(by: { $0.isVacant ? nil : $0.number }) {
            let owner = waiters[waiter].owner
            guard !isFleet(owner) else {
                linkFleetWaiter(waiter)
                continue
            }
            owners[owner].waiters.prepend(waiter, in: &waiters)
            charge(owners[owner].session, waiters: 1)
            Self.changeStake(in: &waits, of: owner, owners, on: waiters[waiter].lock) { $0.add(waiter) }
            if waiters[waiter].isPatient { patientReaders.append(waiter, in: &waiters) }
        }
        // An impatient reader stands before patient ones that came earlier.
        for (_, waiter) in waiters.sorted(by: { $0.isVacant || $0.upgrades != nil ? nil : $0.order }) {
            let lock = waiters[waiter].lock
            locks[lock].addWaiter(waiter, waiters[waiter].mode, isUpgrade: false, in: &waiters)
        }
    }

    private mutating func owner(
        _ id: OwnerID, ofSessionAt slot: UInt32, on lock: Slot<Lock>
    ) throws(BrokenInvariant) -> Slot<Owner> {
        let session = Slot<Session>(raw: slot)
        if session == fleet { return fleetOwner(of: lock) }
        try expect(sessions.reaches(session) && !sessions[session].isVacant, "an owner without a session")
        return findOwner(id, of: session) ?? addOwner(id, to: session)
    }

    private mutating func lock(named name: LockName) -> Slot<Lock> {
        names.findOrInsert(name, in: &locks)
    }

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
