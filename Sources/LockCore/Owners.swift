import LockVocabulary

/// Owners and their stakes in locks.
extension LockTable {
    /// The owner, if it holds or waits for anything, or is the session itself.
    @inline(__always)
    func findOwner(_ id: OwnerID, of session: Slot<Session>) -> Slot<Owner>? {
        if id.isSession {
            let itself = sessions[session].itself
            return itself.isNone ? nil : itself
        }
        let words = sessions[session].words
        return words.isNone ? nil : sessionWords[words].owners[id]
    }

    /// The word of an owner.
    func id(of owner: Slot<Owner>) -> OwnerID {
        let word = owners[owner].word
        return word.isNone ? .session : ownerWords[word]
    }

    mutating func addOwner(_ id: OwnerID, to session: Slot<Session>) -> Slot<Owner> {
        var record = Owner()
        record.session = session
        record.next = sessions[session].firstOwner
        if !id.isSession { record.word = ownerWords.insert(id) }
        let owner = owners.insert(record)
        if !record.next.isNone { owners[record.next].previous = owner }
        sessions[session].firstOwner = owner
        if id.isSession {
            sessions[session].itself = owner
        } else {
            sessionWords[words(of: session)].owners[id] = owner
        }
        return owner
    }

    /// Forgets an owner with a word that has nothing any more.
    mutating func removeIfIdle(_ owner: Slot<Owner>) {
        if owners[owner].isIdle, !owners[owner].isSession { removeOwner(owner) }
    }

    mutating func removeOwner(_ owner: Slot<Owner>) {
        let record = owners[owner]
        if record.previous.isNone {
            sessions[record.session].firstOwner = record.next
        } else {
            owners[record.previous].next = record.next
        }
        if !record.next.isNone { owners[record.next].previous = record.previous }
        if record.isSession {
            sessions[record.session].itself = .none
        } else {
            sessionWords[words(of: record.session)].owners[ownerWords[record.word]] = nil
            ownerWords.remove(record.word)
        }
        owners.remove(owner)
    }

    /// Where the words of a session stand, made when it first uses one.
    mutating func words(of session: Slot<Session>) -> Slot<SessionWords> {
        if sessions[session].words.isNone { sessions[session].words = sessionWords.insert(SessionWords()) }
        return sessions[session].words
    }

    /// The waiting request of a session that has a tag.
    func waiter(_ tag: Tag, of session: Slot<Session>) -> Slot<Waiter>? {
        let words = sessions[session].words
        return words.isNone ? nil : sessionWords[words].tags[tag]
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
    @inline(__always)
    static func changeStake(
        in table: inout IntegerTable<Stake>, of owner: Slot<Owner>, _ owners: borrowing Slab<Owner>,
        on lock: Slot<Lock>, _ change: (inout Stake) -> Void
    ) {
        func changed(_ stake: inout Stake) -> Bool {
            change(&stake)
            return stake.count > 0
        }
        table.update(key(owner, lock), changed)
        if !owners[owner].isSession { table.update(key(owners[owner].session, lock), changed) }
    }

    /// What an owner, or a whole session, has in a lock.
    @inline(__always)
    func stake(
        in table: borrowing IntegerTable<Stake>, on lock: Slot<Lock>, owner: OwnerID?,
        of session: Slot<Session>
    ) -> Stake {
        if let owner {
            guard let owner = findOwner(owner, of: session) else { return Stake() }
            return table[Self.key(owner, lock)] ?? Stake()
        }
        let itself = sessions[session].itself
        let own = itself.isNone ? nil : table[Self.key(itself, lock)]
        let named = sessions[session].words.isNone ? nil : table[Self.key(session, lock)]
        return (own ?? Stake()) + (named ?? Stake())
    }

    /// The grant of a session on a lock that a choice means.
    @inline(__always)
    func chooseGrant(
        _ name: LockName, _ choice: GrantChoice, of session: Slot<Session>
    ) -> Result<Slot<Grant>, RefusedCommand> {
        guard let lock = names.find(name) else { return .failure(RefusedCommand(.notHeld)) }
        if let token = choice.token {
            guard let grant = findGrant(token, on: lock),
                case let owner = grants[grant].owner, owners[owner].session == session,
                choice.owner == nil || choice.owner == id(of: owner)
            else { return .failure(RefusedCommand(.notHeld)) }
            return .success(grant)
        }
        let stake = held(by: choice.owner, of: session, on: lock)
        guard stake.count > 0 else { return .failure(RefusedCommand(.notHeld)) }
        guard let only = stake.only else { return .failure(RefusedCommand(.ambiguous)) }
        return .success(Slot(raw: only))
    }
}
