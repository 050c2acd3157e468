import LockVocabulary

/// How many grants or waiting requests there are, and which it is when there is but one.
///
/// The exclusive or of all places is the place itself when there is one: so adding and taking away need no list.
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

    /// The only one.
    var only: Slot<Record>? { count == 1 ? Slot(raw: combined) : nil }

    /// Both together.
    static func + (left: Stake, right: Stake) -> Stake {
        var sum = left
        sum.count += right.count
        sum.combined ^= right.combined
        return sum
    }
}

/// Finding one grant among a lock's holders: few by looking at each, many by an index.
///
/// Most locks have one holder, and places in a hash table are cold ones: they are not to be paid for those. A lock
/// comes into the index, with all its holders, when it has more than `Lock.fewHolders`, and leaves it with the last
/// of them, so that no lock goes in and out with every grant.
extension LockTable {
    /// The grant on a lock that has a token.
    func findGrant(_ token: Token, on lock: Slot<Lock>) -> Slot<Grant>? {
        if locks[lock].isIndexed {
            guard let grant = tokens[token.rawValue], grants[grant].lock == lock else { return nil }
            return grant
        }
        return locks[lock].holders.first(in: grants) { grants[$0].token == token }
    }

    /// What an owner holds of a lock.
    @inline(__always)
    func held(by owner: Slot<Owner>, on lock: Slot<Lock>) -> Stake<Grant> {
        if locks[lock].isIndexed { return holds[Self.key(owner, lock)] ?? Stake() }
        return held(on: lock) { grants[$0].owner == owner }
    }

    /// What an owner of a session, or the whole session, holds of a lock.
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

    /// Puts a new grant into the index if its lock is there, or its lock if the holders have become many.
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
        tokens.set(record.token.rawValue, to: grant)
        Self.changeStake(in: &holds, of: record.owner, owners, on: record.lock) { $0.add(grant) }
    }

    /// Takes a grant that has ended, whose record was this, out of the index, and its lock with the last of them.
    mutating func removeFromIndex(_ grant: Slot<Grant>, _ record: Grant) {
        tokens.remove(record.token.rawValue)
        Self.changeStake(in: &holds, of: record.owner, owners, on: record.lock) { $0.remove(grant) }
        if locks[record.lock].holders.isEmpty { locks[record.lock].isIndexed = false }
    }

    // MARK: - Stakes in a table

    /// The key of an owner's stake in a lock.
    static func key(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> UInt64 {
        UInt64(owner.raw) << 32 | UInt64(lock.raw)
    }

    /// The key of what a session's named owners have together in a lock.
    private static func key(_ session: Slot<Session>, _ lock: Slot<Lock>) -> UInt64 {
        UInt64(session.raw | 1 << 31) << 32 | UInt64(lock.raw)
    }

    /// Changes what an owner has in a lock, and with it what the session's named owners have together.
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

    /// What an owner, or a whole session, has in a lock.
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
