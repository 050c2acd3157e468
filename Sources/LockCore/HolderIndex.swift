import LockVocabulary

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
        var grant = locks[lock].firstHolder
        while !grant.isNone, grants[grant].token != token { grant = grants[grant].nextHolder }
        return grant.isNone ? nil : grant
    }

    /// What an owner holds of a lock.
    @inline(__always)
    func held(by owner: Slot<Owner>, on lock: Slot<Lock>) -> Stake {
        if locks[lock].isIndexed { return holds[Self.key(owner, lock)] ?? Stake() }
        var stake = Stake()
        var grant = locks[lock].firstHolder
        while !grant.isNone {
            if grants[grant].owner == owner { stake.add(grant.raw) }
            grant = grants[grant].nextHolder
        }
        return stake
    }

    /// What an owner of a session, or the whole session, holds of a lock.
    @inline(__always)
    func held(by owner: OwnerID?, of session: Slot<Session>, on lock: Slot<Lock>) -> Stake {
        if let owner {
            guard let owner = findOwner(owner, of: session) else { return Stake() }
            return held(by: owner, on: lock)
        }
        if locks[lock].isIndexed { return stake(in: holds, on: lock, owner: nil, of: session) }
        var stake = Stake()
        var grant = locks[lock].firstHolder
        while !grant.isNone {
            if owners[grants[grant].owner].session == session { stake.add(grant.raw) }
            grant = grants[grant].nextHolder
        }
        return stake
    }

    /// Puts a new grant into the index if its lock is there, or its lock if the holders have become many.
    @inline(__always)
    mutating func index(_ grant: Slot<Grant>, on lock: Slot<Lock>) {
        if locks[lock].isIndexed {
            addToIndex(grant)
        } else if locks[lock].holders > Lock.fewHolders {
            locks[lock].isIndexed = true
            var holder = locks[lock].firstHolder
            while !holder.isNone {
                addToIndex(holder)
                holder = grants[holder].nextHolder
            }
        }
    }

    private mutating func addToIndex(_ grant: Slot<Grant>) {
        let record = grants[grant]
        tokens.set(record.token.rawValue, to: grant)
        Self.changeStake(in: &holds, of: record.owner, owners, on: record.lock) { $0.add(grant.raw) }
    }

    /// Takes a grant that has ended, whose record was this, out of the index, and its lock with the last of them.
    mutating func removeFromIndex(_ grant: Slot<Grant>, _ record: Grant) {
        tokens.remove(record.token.rawValue)
        Self.changeStake(in: &holds, of: record.owner, owners, on: record.lock) { $0.remove(grant.raw) }
        if locks[record.lock].holders == 0 { locks[record.lock].isIndexed = false }
    }
}
