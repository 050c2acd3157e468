public import LockVocabulary

/// A consequence of a command for another session, or of the passing of time.
public enum Effect: Sendable, Equatable {
    /// A waiting request was granted.
    case granted(SessionID, Tag?, LockName, GrantSummary)
    /// A waiting request was refused.
    case refused(SessionID, Tag?, LockName, LockMode, Refusal)
    /// A lease ended, and the grant with it (G9).
    case expired(SessionID, LockName, Token, LockMode)
    /// A grant was taken away.
    case revoked(SessionID, LockName, Token)
    /// A request waits for this grant, and the session of the grant has asked for recalls.
    case recalled(SessionID, LockName, Token)
    /// A session ended while it held locks. The lock and the token are an example, a write grant if the session had one.
    case diedHolding(SessionID, LockName, Token, grants: Int)
    /// A session that was forgotten before all its grants were removed has nothing any more.
    case ended(SessionID)
    /// The mark of this lock was the oldest of more marks than the limit (G11), and was removed.
    case markForgotten(LockName)
    /// A change for watchers. Emitted only while `isObserved`, and after the answer to the request that caused it.
    indirect case changed(Change)
}

/// One step in the life of a grant or of a request.
public struct Change: Sendable, Equatable {
    public let kind: ChangeKind
    public let name: LockName
    public let session: SessionID
    public let mode: LockMode
    /// The token of the grant; nil for a request.
    public let token: Token?
    public let owner: OwnerID
    /// The tag of the request.
    public var tag: Tag?
    /// The number of the request, if it waited.
    public var request: UInt64?
    /// The token of the grant that the request wants to upgrade.
    public var upgrades: Token?
}

/// Emits changes for watchers, and recalls for holders.
extension LockTable {
    /// Emits a change of a grant, if there are watchers.
    @inline(__always)
    mutating func emit(_ kind: ChangeKind, _ grant: Slot<Grant>) {
        if isObserved { effects.append(.changed(change(kind, grant))) }
    }

    /// Emits a change of a request, if there are watchers.
    @inline(__always)
    mutating func emit(_ kind: ChangeKind, _ waiter: Slot<Waiter>) {
        if isObserved { effects.append(.changed(change(kind, waiter))) }
    }

    /// Emits that a request was granted, if there are watchers.
    ///
    /// An upgrade ends the former token of its grant. `former` says so, and is emitted first.
    @inline(__always)
    mutating func emitGranted(
        _ grant: Slot<Grant>, _ tag: Tag?, request: UInt64?, former: Change? = nil
    ) {
        guard isObserved else { return }
        if let former { effects.append(.changed(former)) }
        var change = change(.granted, grant)
        change.tag = tag
        change.request = request
        effects.append(.changed(change))
    }

    /// The change that describes a grant in its present state.
    func change(_ kind: ChangeKind, _ grant: Slot<Grant>) -> Change {
        let record = grants[grant]
        let session = id(of: owners[record.owner].session)
        return Change(
            kind: kind, name: name(of: record.lock), session: session, mode: record.mode, token: record.token,
            owner: id(of: record.owner))
    }

    private func change(_ kind: ChangeKind, _ waiter: Slot<Waiter>) -> Change {
        let record = waiters[waiter]
        let session = id(of: owners[record.owner].session)
        return Change(
            kind: kind, name: name(of: record.lock), session: session, mode: record.mode, token: nil,
            owner: id(of: record.owner), tag: record.tag, request: record.number,
            upgrades: record.upgrades.map { grants[$0].token })
    }

    // MARK: - Recall

    /// Recalls the grants of a lock for which a request waits, each grant once, where the session has asked for recalls.
    mutating func recallHolders(of lock: Slot<Lock>) {
        guard locks[lock].recallers > 0, locks[lock].hasWaiters else { return }
        if let exclusive = locks[lock].exclusive { recall(exclusive) }
        // The grant that a waiting upgrade is about conflicts only with other requests.
        if let upgrade = locks[lock].upgrade, let grant = waiters[upgrade].upgrades { recall(grant) }
        // Only a writer or an upgrade waits for the readers.
        guard locks[lock].keepsReadersOut, !locks[lock].hasRecalledAll else { return }
        locks[lock].hasRecalledAll = true
        locks[lock].beginRecalls()
        recallMore(of: lock)
    }

    /// Goes on with a walk along the holders; what is left over goes on the agenda.
    mutating func recallMore(of lock: Slot<Lock>) {
        guard locks[lock].keepsReadersOut else { return locks[lock].endRecalls() }
        while stepsLeft > 0, let grant = locks[lock].takeNextToRecall(in: grants) {
            takeStep()
            recall(grant)
        }
        if let next = locks[lock].nextToRecall { agenda.recall(lock, of: account(of: grants[next].owner)) }
    }

    /// Recalls only the newest grant. The older grants were recalled when the waiting requests arrived.
    @inline(__always)
    mutating func recallLastHolder(of lock: Slot<Lock>) {
        guard locks[lock].recallers > 0, locks[lock].hasWaiters else { return }
        if let grant = locks[lock].holders.last { recall(grant) }
    }

    mutating func recall(_ grant: Slot<Grant>) {
        let session = owners[grants[grant].owner].session
        guard !grants[grant].isRecalled, sessions[session].wantsRecall, isWaitedFor(grant) else { return }
        grants[grant].isRecalled = true
        noteFact(.grant, grant.raw)
        effects.append(.recalled(id(of: session), name(of: grants[grant].lock), grants[grant].token))
    }
}
