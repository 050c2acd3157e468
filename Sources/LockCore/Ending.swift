public import LockVocabulary

/// What is reported when an ended session is taken apart.
struct Ending {
    /// Whether its process was killed, so that declared releases do not count.
    let wasKilled: Bool
    /// Whether its slot is free afterwards.
    var isForgotten = false
    /// How many grants ended without a release.
    var lost = 0
    /// One of them, a write grant if there was one.
    var example: (name: LockName, mode: LockMode, token: Token)?
}

/// The end of sessions.
///
///              last lines are still to come        `closeSession`               nothing is left, and `forgetSession`
///  [ OPEN ] ───────────────────────────────▶ [ ENDING ] ─────────▶ [ ENDED ] ─────────────────────────────────▶ (gone)
///
/// - ENDING: its requests count as gone, because a process that has died may not get a lock. Its grants count until its last
///   lines are carried out: one of them may release a lock.
/// - ENDED: its grants count as gone as well (`isOver`), and are removed in pieces.
extension LockTable {
    /// Notes that a session has ended, and that its last lines are still to be carried out. Its requests are not granted.
    ///
    /// If several sessions end together, call this for all of them before the last lines of any. Otherwise a lock that one of
    /// them releases could be granted to another. Cost: constant; the requests are removed later.
    public mutating func beginEnd(of session: SessionID, at now: Instant) {
        advance(to: now)
        let slot = slot(of: session)
        guard sessions[slot].phase == .open else { return }
        sessions[slot].phase = .ending
        noteFact(.session, slot.raw)
        unfinishedEnds += 1
        if completesAtOnce {
            takeApart(slot)
        } else if sessions[slot].usage.waiters > 0 {
            agenda.takeApart(slot, of: sessions[slot].account)
        }
    }

    /// Ends a session: ends its grants, and removes its waiting requests without an answer (G6).
    ///
    /// The session may give no more commands, and keeps its slot until `forgetSession`. If its process was killed, declared
    /// releases (`releaseAtEnd`) do not count. If `isLater`, all is removed later, for a caller that may end many sessions.
    public mutating func closeSession(
        _ session: SessionID, wasKilled: Bool = false, isLater: Bool = false, at now: Instant
    ) {
        advance(to: now)
        let slot = slot(of: session)
        if sessions[slot].phase == .open { unfinishedEnds += 1 }
        sessions[slot].phase = .ended
        endings[slot] = Ending(wasKilled: wasKilled)
        noteFact(.session, slot.raw)
        if isLater, !completesAtOnce { stepsLeft = 0 }
        takeApart(slot)
        if endings[slot] != nil { agenda.takeApart(slot, of: sessions[slot].account) }
    }

    /// Frees the slot of a session that was closed, now or when it is taken apart.
    public mutating func forgetSession(_ session: SessionID) {
        let slot = slot(of: session)
        if endings[slot] != nil {
            endings[slot]?.isForgotten = true
            noteFact(.session, slot.raw)
        } else {
            forget(slot)
        }
    }

    /// Whether the caller has not called `forgetSession`.
    public func isRemembered(_ session: SessionID) -> Bool { endings[slot(of: session)]?.isForgotten != true }

    /// Whether a session that was closed is taken apart.
    public func isTakenApart(_ session: SessionID) -> Bool { endings[slot(of: session)] == nil }

    private mutating func forget(_ session: Slot<Session>) {
        precondition(sessions[session].owners.isEmpty, "the session was not closed")
        if sessions[session].hasSlots { removeRoom(of: session) }
        if let labels = sessions[session].labels { self.labels.remove(labels) }
        sessions.remove(session)
        noteFact(.session, session.raw)
    }

    /// Removes what an ended session has, as long as there are steps left. Returns whether nothing is left to remove.
    @discardableResult
    mutating func takeApart(_ session: Slot<Session>) -> Bool {
        sessions[session].phase == .ended ? removeAll(of: session) : removeRequests(of: session)
    }

    private mutating func removeRequests(of session: Slot<Session>) -> Bool {
        var touched: [Slot<Lock>] = []
        var walk = sessions[session].owners.walk()
        while stepsLeft > 0, sessions[session].usage.waiters > 0, let owner = walk.next(in: owners) {
            while stepsLeft > 0, let waiter = owners[owner].waiters.first {
                touched.append(drop(waiter, keepingOwner: true))
            }
            removeIfIdle(owner)
        }
        reconcile(touched)
        return sessions[session].usage.waiters == 0
    }

    private mutating func removeAll(of session: Slot<Session>) -> Bool {
        var touched: [Slot<Lock>] = []
        while stepsLeft > 0, let owner = sessions[session].owners.first {
            while stepsLeft > 0, let waiter = owners[owner].waiters.first {
                touched.append(drop(waiter, keepingOwner: true))
            }
            while stepsLeft > 0, let grant = owners[owner].grants.first {
                touched.append(grants[grant].lock)
                endWithSession(grant)
            }
            takeStep()
            if owners[owner].isIdle { removeOwner(owner) }
        }
        let isDone = sessions[session].owners.isEmpty
        if isDone { finishEnd(of: session) }
        reconcile(touched)
        return isDone
    }

    /// Ends a grant of an ended session. The caller reconciles the lock.
    mutating func endWithSession(_ grant: Slot<Grant>) {
        takeStep()
        guard stopCaching(grant, keepingOwner: true) else { return }
        let record = grants[grant]
        let session = owners[record.owner].session
        let isReleased =
            record.isReleasedAtEnd && endings[session]?.wasKilled == false && !hasExpired(grant)
        if !isReleased { countLost(record, of: session) }
        emit(isReleased ? .released : .died, grant)
        endGrant(grant, cleanly: isReleased, keepingOwner: true)
    }

    private mutating func countLost(_ grant: Grant, of session: Slot<Session>) {
        guard var ending = endings[session] else { return }
        ending.lost += 1
        if ending.example.map({ grant.mode > $0.mode }) ?? true {
            ending.example = (name(of: grant.lock), grant.mode, grant.token)
        }
        endings[session] = ending
        noteFact(.session, session.raw)
    }

    private mutating func finishEnd(of session: Slot<Session>) {
        guard let ending = endings.removeValue(forKey: session) else { return }
        unfinishedEnds -= 1
        noteFact(.session, session.raw)
        if let example = ending.example {
            effects.append(.diedHolding(id(of: session), example.name, example.token, grants: ending.lost))
        }
        guard ending.isForgotten else { return }
        effects.append(.ended(id(of: session)))
        forget(session)
    }
}
