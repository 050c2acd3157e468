public import LockVocabulary

/// The commands of holders.
extension LockTable {
    /// Releases a grant. Returns its token.
    public mutating func release(
        _ name: LockName, _ choice: GrantChoice = .only, by session: SessionID, at now: Instant
    ) -> Result<Token, Refusal> {
        advance(to: now)
        endIdle(name, choice, of: session)
        return chooseGrant(name, choice, of: session).map { grant in
            let token = grants[grant].token
            end(grant, as: .released)
            return token
        }
    }

    /// Releases all grants of an owner and cancels all its waiting requests, in one step.
    ///
    /// Effects answer the requests `cancelled`, in no particular order. Returns the numbers of grants and requests.
    public mutating func releaseAll(
        of owner: OwnerID, by session: SessionID, at now: Instant
    ) -> (grants: Int, waiters: Int) {
        advance(to: now)
        guard let owner = findOwner(owner, of: slot(of: session)) else { return (0, 0) }
        var touched: [Slot<Lock>] = []
        // Remove all requests before any grant. Otherwise the end of a grant could grant a request of the same owner.
        while let waiter = owners[owner].waiters.first {
            touched.append(waiters[waiter].lock)
            refuse(waiter, .cancelled, as: .cancelled, keepingOwner: true)
        }
        let waiters = touched.count
        var released = 0
        while let grant = owners[owner].grants.first {
            touched.append(grants[grant].lock)
            // A cached grant that is not held ends as well, and does not count.
            guard stopCaching(grant, keepingOwner: true) else { continue }
            emit(.released, grant)
            endGrant(grant, cleanly: true, keepingOwner: true)
            released += 1
        }
        removeIfIdle(owner)
        // Reconcile only after all grants have ended, so that each lock is served once.
        reconcile(touched)
        return (released, waiters)
    }

    /// Declares that a grant is released when its session ends, so that the end leaves no mark (G11). Returns its token.
    ///
    /// Nothing changes until the session ends, and the declaration is void if the process was killed. It is for commands
    /// that end without the chance to send a last line.
    public mutating func releaseAtEnd(
        _ name: LockName, _ choice: GrantChoice = .only, by session: SessionID, at now: Instant
    ) -> Result<Token, Refusal> {
        advance(to: now)
        return chooseHeldGrant(name, choice, of: session).map { grant in
            grants[grant].isReleasedAtEnd = true
            sessions[slot(of: session)].hasReleaseAtEnd = true
            noteFact(.grant, grant.raw)
            noteFact(.session, slot(of: session).raw)
            return grants[grant].token
        }
    }

    /// Whether a session has ever declared the release of a grant for its end.
    public func releasesAtEnd(_ session: SessionID) -> Bool {
        sessions[slot(of: session)].hasReleaseAtEnd
    }

    /// Weakens the mode of a grant under the same token, without a moment in which the owner holds nothing (G10).
    public mutating func downgrade(
        _ name: LockName, _ choice: GrantChoice = .only, to mode: LockMode, by session: SessionID,
        at now: Instant
    ) -> Decision {
        advance(to: now)
        switch chooseHeldGrant(name, choice, of: session) {
        case .failure(let refusal): return .refused(refusal)
        case .success(let grant):
            guard mode < grants[grant].mode, waitingUpgrade(of: grant) == nil else {
                return .refused(.wrongMode)
            }
            let lock = grants[grant].lock
            if grants[grant].mode == .write { setMark(nil, lock) }
            grants[grant].mode = mode
            noteFact(.grant, grant.raw)
            locks[lock].setMode(mode, of: grant)
            emit(.downgraded, grant)
            let granted = summary(grant)
            reconcile(lock)
            return .granted(granted)
        }
    }

    /// Starts the lease of a grant again from now (G9), with its former length if none is given.
    ///
    /// Returns the token and the lease; nil is a lease without end.
    public mutating func renew(
        _ name: LockName, _ choice: GrantChoice = .only, lease: TimeLimit?, by session: SessionID,
        at now: Instant
    ) -> Result<(token: Token, lease: Duration?), Refusal> {
        advance(to: now)
        return chooseHeldGrant(name, choice, of: session).flatMap { grant in
            if let lease {
                grants[grant].lease = Lease(lease)
            } else if grants[grant].lease.duration == nil {
                return .failure(.noLease)
            }
            startLease(grant, at: now)
            return .success((grants[grant].token, grants[grant].lease.duration))
        }
    }

    /// Whether a token belongs to a grant on this lock (G7).
    public mutating func validate(_ name: LockName, _ token: Token, at now: Instant) -> Bool {
        advance(to: now)
        return names.find(name).flatMap { findGrant(token, on: $0) } != nil
    }

    /// Takes a grant away from its holder. An effect tells the session.
    public mutating func revoke(_ name: LockName, _ token: Token, at now: Instant) -> Result<Void, Refusal> {
        advance(to: now)
        guard let lock = names.find(name), let grant = findGrant(token, on: lock)
        else { return .failure(.notHeld) }
        guard stopCaching(grant) else {
            // Its session has nothing to be told: it holds nothing, and finds the slot taken.
            reconcile(lock)
            return .success(())
        }
        effects.append(.revoked(id(of: owners[grants[grant].owner].session), name, token))
        end(grant, as: .revoked)
        return .success(())
    }

    private mutating func end(_ grant: Slot<Grant>, as kind: ChangeKind) {
        let lock = grants[grant].lock
        emit(kind, grant)
        endGrant(grant, cleanly: kind == .released)
        reconcile(lock)
    }
}
