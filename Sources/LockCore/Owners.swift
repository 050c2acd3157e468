import LockVocabulary

/// Owners and their stakes in locks.
extension LockTable {
    /// The owner, if it holds or waits for anything.
    func findOwner(_ id: OwnerID, of session: Slot<Session>) -> Slot<Owner>? {
        if id.isSession {
            let itself = sessions[session].itself
            return itself.isNone ? nil : itself
        }
        return sessions[session].named[id]
    }

    mutating func addOwner(_ id: OwnerID, to session: Slot<Session>) -> Slot<Owner> {
        var record = Owner()
        record.session = session
        record.id = id
        record.next = sessions[session].firstOwner
        let owner = owners.insert(record)
        if !record.next.isNone { owners[record.next].previous = owner }
        sessions[session].firstOwner = owner
        if id.isSession { sessions[session].itself = owner } else { sessions[session].named[id] = owner }
        return owner
    }

    mutating func removeOwner(_ owner: Slot<Owner>) {
        let record = owners[owner]
        if record.previous.isNone {
            sessions[record.session].firstOwner = record.next
        } else {
            owners[record.previous].next = record.next
        }
        if !record.next.isNone { owners[record.next].previous = record.previous }
        if record.id.isSession {
            sessions[record.session].itself = .none
        } else {
            sessions[record.session].named[record.id] = nil
        }
        owners.remove(owner)
    }

    // MARK: - Stakes

    /// The key of an owner's stake in a lock.
    static func key(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> UInt64 {
        UInt64(owner.raw) << 32 | UInt64(lock.raw)
    }

    /// The key of what a session's named owners have together in a lock.
    private static func key(_ session: Slot<Session>, _ lock: Slot<Lock>) -> UInt64 {
        UInt64(session.raw | 1 << 31) << 32 | UInt64(lock.raw)
    }

    /// Changes what an owner has in a lock, and with it what the session's named owners have together.
    static func changeStake(
        in table: inout IntegerTable<Stake>, of owner: Slot<Owner>, _ owners: borrowing Slab<Owner>,
        on lock: Slot<Lock>, _ change: (inout Stake) -> Void
    ) {
        func changed(_ stake: inout Stake) -> Bool {
            change(&stake)
            return stake.count > 0
        }
        table.update(key(owner, lock), changed)
        if !owners[owner].id.isSession { table.update(key(owners[owner].session, lock), changed) }
    }

    /// What an owner, or a whole session, has in a lock.
    func stake(
        in table: IntegerTable<Stake>, on lock: Slot<Lock>, owner: OwnerID?, of session: Slot<Session>
    ) -> Stake {
        if let owner {
            guard let owner = findOwner(owner, of: session) else { return Stake() }
            return table[Self.key(owner, lock)] ?? Stake()
        }
        let itself = sessions[session].itself
        let own = itself.isNone ? nil : table[Self.key(itself, lock)]
        let named = sessions[session].named.isEmpty ? nil : table[Self.key(session, lock)]
        return (own ?? Stake()) + (named ?? Stake())
    }

    /// The grant of a session on a lock that a choice means.
    func chooseGrant(
        _ name: LockName, _ choice: GrantChoice, of session: Slot<Session>
    ) -> Result<Slot<Grant>, RefusedCommand> {
        guard let lock = names.find(name, in: locks) else { return .failure(RefusedCommand(.notHeld)) }
        if let token = choice.token {
            guard let grant = tokens[token.rawValue], grants[grant].lock == lock,
                case let owner = grants[grant].owner, owners[owner].session == session,
                choice.owner == nil || choice.owner == owners[owner].id
            else { return .failure(RefusedCommand(.notHeld)) }
            return .success(grant)
        }
        let stake = stake(in: holds, on: lock, owner: choice.owner, of: session)
        guard stake.count > 0 else { return .failure(RefusedCommand(.notHeld)) }
        guard let only = stake.only else { return .failure(RefusedCommand(.ambiguous)) }
        return .success(Slot(raw: only))
    }
}
