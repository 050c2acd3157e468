public import LockVocabulary

/// What happened to somebody other than the one who gave the command, or later than it.
public enum Effect: Sendable, Equatable {
    /// A waiting request was granted.
    case granted(SessionID, Tag?, LockName, GrantSummary)
    /// A waiting request was refused.
    case refused(SessionID, Tag?, LockName, LockMode, Refusal)
    /// A lease ended, and the grant with it (G9).
    case expired(SessionID, LockName, Token, LockMode)
    /// A grant was taken away.
    case revoked(SessionID, LockName, Token)
    /// Somebody waits for what a session holds that asked to be told.
    case recalled(SessionID, LockName, Token)
    /// A session ended while it held locks: how many, and one of them with its token, a write grant if there was one.
    case diedHolding(SessionID, LockName, Token, grants: Int)
    /// There were too many marks (G11), and this lock's was the oldest.
    case markForgotten(LockName)
    /// For those who watch; made only while `isObserved`, after the answer to the request that it is about.
    indirect case changed(Change)
}

/// One step in the life of a grant or a waiting request.
public struct Change: Sendable, Equatable {
    public let kind: ChangeKind
    public let name: LockName
    public let session: SessionID
    public let mode: LockMode
    /// Nil for a request.
    public let token: Token?
    public let owner: OwnerID
    /// Of the request that this is about.
    public var tag: Tag?
    /// Of the request that this is about, if it waited.
    public var request: UInt64?
    /// Of the grant that the request wants to change.
    public var upgrades: Token?
}

/// Emitting changes, and recalls.
extension LockTable {
    /// Tells those who watch what happens to a grant.
    @inline(__always)
    mutating func emit(_ kind: ChangeKind, _ grant: Slot<Grant>) {
        if isObserved { effects.append(.changed(change(kind, grant))) }
    }

    /// Tells those who watch what happens to a request.
    @inline(__always)
    mutating func emit(_ kind: ChangeKind, _ waiter: Slot<Waiter>) {
        if isObserved { effects.append(.changed(change(kind, waiter))) }
    }

    /// Tells those who watch of a grant, and which request it answers; before that, what an upgrade did to the grant.
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

    /// What watchers hear of a grant as it stands.
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

    /// Tells holders who asked for it that somebody waits for what they hold, each once for a grant.
    mutating func recallHolders(of lock: Slot<Lock>) {
        guard locks[lock].recallers > 0, locks[lock].hasWaiters else { return }
        var holders = locks[lock].holders.walk()
        while let grant = holders.next(in: grants) { recall(grant) }
    }

    /// The same for the grant that was made last: the others were told when those who wait came.
    @inline(__always)
    mutating func recallLastHolder(of lock: Slot<Lock>) {
        guard locks[lock].recallers > 0, locks[lock].hasWaiters else { return }
        if let grant = locks[lock].holders.last { recall(grant) }
    }

    private mutating func recall(_ grant: Slot<Grant>) {
        let session = owners[grants[grant].owner].session
        guard !grants[grant].isRecalled, sessions[session].wantsRecall, isWaitedFor(grant) else { return }
        grants[grant].isRecalled = true
        effects.append(.recalled(id(of: session), name(of: grants[grant].lock), grants[grant].token))
    }
}
