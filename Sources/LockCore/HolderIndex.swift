import LockVocabulary

/// The grants, or the waiting requests, that an owner has on a lock: how many, and which one if there is only one.
///
/// It keeps the exclusive or of all their slots, which is the slot itself while there is one. So adding and removing need no
/// list.
struct Stake<Record>: BitwiseCopyable {
    private(set) var count: UInt32 = 0
    private var combined: UInt32 = 0

    mutating func add(_ slot: Slot<Record>) {
        count += 1
        combined ^= slot.raw
    }

    mutating func remove(_ slot: Slot<Record>) {
        count -= 1
        combined ^= slot.raw
    }

    /// The slot, if there is exactly one.
    var only: Slot<Record>? { count == 1 ? Slot(raw: combined) : nil }

    /// The stake of both together.
    static func + (left: Stake, right: Stake) -> Stake {
        var sum = left
        sum.count += right.count
        sum.combined ^= right.combined
        return sum
    }
}

/// Finds grants among a lock's holders: a walk for a few holders, hash tables for many.
///
/// Most locks have one holder, and an entry in a hash table costs a cache miss, so these locks have none. A lock enters the
/// index, with all its holders, when they become more than `Lock.fewHolders`, and leaves the index with the last holder. So
/// a lock at the threshold does not enter and leave with every grant.
extension LockTable {
    /// The grant with this token on this lock.
    func findGrant(_ token: Token, on lock: Slot<Lock>) -> Slot<Grant>? {
        // The grants of the fleet have no token.
        guard token > .ofFleet else { return nil }
        if locks[lock].isIndexed {
            guard let grant = tokens[token.rawValue], grants[grant].lock == lock else { return nil }
            return grant
        }
        return locks[lock].holders.first(in: grants) { grants[$0].token == token }
    }

    /// The grants of an owner on a lock.
    @inline(__always)
    func held(by owner: Slot<Owner>, on lock: Slot<Lock>) -> Stake<Grant> {
        if locks[lock].isIndexed { return holds[Self.key(owner, lock)] ?? Stake() }
        return held(on: lock) { grants[$0].owner == owner }
    }

    /// The grants on a lock of an owner, or of the whole session without an owner.
    @inline(__always)
    func held(by owner: OwnerID?, of session: Slot<Session>, on lock: Slot<Lock>) -> Stake<Grant> {
        if let owner {
            guard let owner = findOwner(owner, of: session) else { return Stake() }
            return held(by: owner, on: lock)
        }
        if locks[lock].isIndexed { return stake(in: holds, on: lock, owner: nil, of: session) }
        return held(on: lock) { owners[grants[$0].owner].session == session }
    }

    @inline(__always)
    private func held(on lock: Slot<Lock>, _ counts: (Slot<Grant>) -> Bool) -> Stake<Grant> {
        var stake = Stake<Grant>()
        locks[lock].holders.forEach(in: grants) { if counts($0) { stake.add($0) } }
        return stake
    }

    /// Adds a new grant to the index if its lock is indexed, and indexes the lock if it has too many holders for a walk.
    @inline(__always)
    mutating func index(_ grant: Slot<Grant>, on lock: Slot<Lock>) {
        if locks[lock].isIndexed {
            addToIndex(grant)
        } else if locks[lock].holders.count > Lock.fewHolders {
            locks[lock].isIndexed = true
            var holders = locks[lock].holders.walk()
            while let holder = holders.next(in: grants) { addToIndex(holder) }
        }
    }

    private mutating func addToIndex(_ grant: Slot<Grant>) {
        let record = grants[grant]
        if record.token > .ofFleet { tokens.set(record.token.rawValue, to: grant) }
        Self.changeStake(in: &holds, of: record.owner, owners, on: record.lock) { $0.add(grant) }
    }

    /// Removes an ended grant from the index, and with the last grant its lock.
    mutating func removeFromIndex(_ grant: Slot<Grant>, _ record: Grant) {
        if record.token > .ofFleet { tokens.remove(record.token.rawValue) }
        Self.changeStake(in: &holds, of: record.owner, owners, on: record.lock) { $0.remove(grant) }
        if locks[record.lock].holders.isEmpty { locks[record.lock].isIndexed = false }
    }

    // MARK: - Stakes in a table

    /// The key of an owner's stake on a lock.
    static func key(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> UInt64 {
        UInt64(owner.raw) << 32 | UInt64(lock.raw)
    }

    /// The key of the common stake on a lock of all named owners of a session.
    private static func key(_ session: Slot<Session>, _ lock: Slot<Lock>) -> UInt64 {
        UInt64(session.raw | 1 << 31) << 32 | UInt64(lock.raw)
    }

    /// Changes the stake of an owner on a lock. A named owner's change also goes into the common stake of its session.
    @inline(__always)
    static func changeStake<Record>(
        in table: inout IntegerTable<Stake<Record>>, of owner: Slot<Owner>, _ owners: borrowing Slab<Owner>,
        on lock: Slot<Lock>, _ change: (inout Stake<Record>) -> Void
    ) {
        func changed(_ stake: inout Stake<Record>) -> Bool {
            change(&stake)
            return stake.count > 0
        }
        table.update(key(owner, lock), changed)
        if !owners[owner].isSession { table.update(key(owners[owner].session, lock), changed) }
    }

    /// The stake on a lock of an owner, or of the whole session without an owner.
    @inline(__always)
    func stake<Record>(
        in table: borrowing IntegerTable<Stake<Record>>, on lock: Slot<Lock>, owner: OwnerID?,
        of session: Slot<Session>
    ) -> Stake<Record> {
        if let owner {
            guard let owner = findOwner(owner, of: session) else { return Stake() }
            return table[Self.key(owner, lock)] ?? Stake()
        }
        let own = sessions[session].itself.flatMap { table[Self.key($0, lock)] } ?? Stake()
        return sessions[session].labels == nil ? own : own + (table[Self.key(session, lock)] ?? Stake())
    }
}
