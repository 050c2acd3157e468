public import LockVocabulary

/// What a holder can do with a grant.
extension LockTable {
    /// Gives a grant back. Returns its token.
    public mutating func release(
        _ name: LockName, _ choice: GrantChoice = .only, by session: SessionID, at now: Instant
    ) -> Result<Token, Refusal> {
        advance(to: now)
        return chooseGrant(name, choice, of: session).map { grant in
            let token = grants[grant].token
            end(grant, as: .released)
            return token
        }
    }

    /// Gives back all that an owner holds and withdraws all that it waits for, in one step.
    ///
    /// The requests are answered `cancelled` by effects, in no stated order. Returns how many grants and requests there were.
    public mutating func releaseAll(
        of owner: OwnerID, by session: SessionID, at now: Instant
    ) -> (grants: Int, waiters: Int) {
        advance(to: now)
        guard let owner = findOwner(owner, of: slot(of: session)) else { return (0, 0) }
        var touched: [Slot<Lock>] = []
        // All requests first: none of them may be granted by the end of the owner's own grants.
        while let waiter = owners[owner].waiters.first {
            touched.append(waiters[waiter].lock)
            refuse(waiter, .cancelled, as: .cancelled, keepingOwner: true)
        }
        let waiters = touched.count
        while let grant = owners[owner].grants.first {
            touched.append(grants[grant].lock)
            emit(.released, grant)
            endGrant(grant, cleanly: true, keepingOwner: true)
        }
        removeIfIdle(owner)
        // All grants before any lock is settled: what others are granted by it is granted once.
        reconcile(touched)
        return (touched.count - waiters, waiters)
    }

    /// Gives a grant back for when its session ends: no mark is then left (G11), unless it is known that the process was
    /// killed. Returns its token.
    ///
    /// Until then nothing changes. It is for whoever ends without being able to say a last word.
    public mutating func releaseAtEnd(
        _ name: LockName, _ choice: GrantChoice = .only, by session: SessionID, at now: Instant
    ) -> Result<Token, Refusal> {
        advance(to: now)
        return chooseGrant(name, choice, of: session).map { grant in
            grants[grant].isReleasedAtEnd = true
            return grants[grant].token
        }
    }

    /// Whether a session has given back a grant for when it ends.
    public func releasesAtEnd(_ session: SessionID) -> Bool {
        sessions[slot(of: session)].owners.contains(in: owners) { owner in
            owners[owner].grants.contains(in: grants) { grants[$0].isReleasedAtEnd }
        }
    }

    /// Makes a grant weaker, under the same token, with nothing in between (G10).
    public mutating func downgrade(
        _ name: LockName, _ choice: GrantChoice = .only, to mode: LockMode, by session: SessionID,
        at now: Instant
    ) -> Decision {
        advance(to: now)
        switch chooseGrant(name, choice, of: session) {
        case .failure(let refusal): return .refused(refusal)
        case .success(let grant):
            guard mode < grants[grant].mode, waitingUpgrade(of: grant) == nil else {
                return .refused(.wrongMode)
            }
            let lock = grants[grant].lock
            if grants[grant].mode == .write { setMark(false, lock) }
            grants[grant].mode = mode
            locks[lock].setMode(mode, of: grant)
            emit(.downgraded, grant)
            let granted = summary(grant)
            reconcile(lock)
            return .granted(granted)
        }
    }

    /// Makes a lease end that much later from now (G9); without a length, as long as it was given before.
    ///
    /// Returns the token and the lease; nil is one without end.
    public mutating func renew(
        _ name: LockName, _ choice: GrantChoice = .only, lease: TimeLimit?, by session: SessionID,
        at now: Instant
    ) -> Result<(token: Token, lease: Duration?), Refusal> {
        advance(to: now)
        return chooseGrant(name, choice, of: session).flatMap { grant in
            if let lease {
                grants[grant].lease = Lease(lease)
            } else if grants[grant].lease.duration == nil {
                return .failure(.noLease)
            }
            startLease(grant, at: now)
            return .success((grants[grant].token, grants[grant].lease.duration))
        }
    }

    /// Whether a token is that of a grant on this lock (G7).
    public mutating func validate(_ name: LockName, _ token: Token, at now: Instant) -> Bool {
        advance(to: now)
        return names.find(name).flatMap { findGrant(token, on: $0) } != nil
    }

    /// Takes a grant away from whoever has it. Its session is told by an effect.
    public mutating func revoke(_ name: LockName, _ token: Token, at now: Instant) -> Result<Void, Refusal> {
        advance(to: now)
        guard let lock = names.find(name), let grant = findGrant(token, on: lock)
        else { return .failure(.notHeld) }
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
