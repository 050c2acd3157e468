import LockVocabulary

/// The owners of a session, and the names by which a session knows its owners and requests.
extension LockTable {
    /// The owner with this id; nil if it has neither a grant nor a request.
    @inline(__always)
    func findOwner(_ id: OwnerID, of session: Slot<Session>) -> Slot<Owner>? {
        if id.isSession { return sessions[session].itself }
        return sessions[session].labels.flatMap { labels[$0].owners[id] }
    }

    /// The id by which the session knows an owner.
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

    /// Removes an owner without grants and requests, unless it is the session itself.
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

    /// The labels of a session. The record is made at the first use.
    mutating func labels(of session: Slot<Session>) -> Slot<Labels> {
        if let labels = sessions[session].labels { return labels }
        let slot = labels.insert(Labels())
        sessions[session].labels = slot
        return slot
    }

    /// The waiting request of a session with this tag.
    func waiter(_ tag: Tag, of session: Slot<Session>) -> Slot<Waiter>? {
        sessions[session].labels.flatMap { labels[$0].tags[tag] }
    }

    /// The grant of a session on a lock that a choice selects.
    @inline(__always)
    func chooseGrant(
        _ name: LockName, _ choice: GrantChoice, of session: SessionID
    ) -> Result<Slot<Grant>, Refusal> {
        let session = slot(of: session)
        guard let lock = names.look(for: name) else { return .failure(.notHeld) }
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
