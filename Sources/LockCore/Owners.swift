import LockVocabulary

/// Who asks within a session, and what the session calls its owners and requests.
extension LockTable {
    /// The owner, if it holds or waits for anything, or is the session itself.
    @inline(__always)
    func findOwner(_ id: OwnerID, of session: Slot<Session>) -> Slot<Owner>? {
        if id.isSession { return sessions[session].itself }
        return sessions[session].labels.flatMap { labels[$0].owners[id] }
    }

    /// What the session calls an owner.
    func id(of owner: Slot<Owner>) -> OwnerID { owners[owner].id.map { ownerIDs[$0] } ?? .session }

    mutating func addOwner(_ id: OwnerID, to session: Slot<Session>) -> Slot<Owner> {
        var record = Owner(session: session)
        if !id.isSession { record.id = ownerIDs.insert(id) }
        let owner = owners.insert(record)
        sessions[session].owners.prepend(owner, in: &owners)
        if id.isSession {
            sessions[session].itself = owner
        } else {
            labels[labels(of: session)].owners[id] = owner
        }
        return owner
    }

    /// Forgets an owner with an id that has nothing any more.
    mutating func removeIfIdle(_ owner: Slot<Owner>) {
        if owners[owner].isIdle, !owners[owner].isSession { removeOwner(owner) }
    }

    mutating func removeOwner(_ owner: Slot<Owner>) {
        let session = owners[owner].session
        sessions[session].owners.remove(owner, in: &owners)
        if let id = owners[owner].id {
            labels[labels(of: session)].owners[ownerIDs[id]] = nil
            ownerIDs.remove(id)
        } else {
            sessions[session].itself = nil
        }
        owners.remove(owner)
    }

    /// Where the labels of a session stand, made when it first uses one.
    mutating func labels(of session: Slot<Session>) -> Slot<Labels> {
        if let labels = sessions[session].labels { return labels }
        let slot = labels.insert(Labels())
        sessions[session].labels = slot
        return slot
    }

    /// The waiting request of a session that has a tag.
    func waiter(_ tag: Tag, of session: Slot<Session>) -> Slot<Waiter>? {
        sessions[session].labels.flatMap { labels[$0].tags[tag] }
    }

    /// The grant of a session on a lock that a choice means.
    @inline(__always)
    func chooseGrant(
        _ name: LockName, _ choice: GrantChoice, of session: SessionID
    ) -> Result<Slot<Grant>, Refusal> {
        let session = slot(of: session)
        guard let lock = names.find(name) else { return .failure(.notHeld) }
        if let token = choice.token {
            guard let grant = findGrant(token, on: lock),
                case let owner = grants[grant].owner, owners[owner].session == session,
                choice.owner == nil || choice.owner == id(of: owner)
            else { return .failure(.notHeld) }
            return .success(grant)
        }
        let stake = held(by: choice.owner, of: session, on: lock)
        guard stake.count > 0 else { return .failure(.notHeld) }
        return stake.only.map { .success($0) } ?? .failure(.ambiguous)
    }
}
