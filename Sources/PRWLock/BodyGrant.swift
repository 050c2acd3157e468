public import CTask
public import LockVocabulary
import LockWire

/// A grant for the body of one scoped call, with the owner that the body runs as.
struct BodyGrant {
    let hold: Hold
    fileprivate let owner: LockOwner
    fileprivate let lease: Lease
    fileprivate let ownership: Ownership

    fileprivate enum Ownership {
        /// The owner of the request that calls; it goes on afterwards.
        case ofCaller
        /// An owner for one body after another. It comes back if nothing goes wrong.
        case ofPool
        /// The owner of a cached grant, which keeps it.
        case ofCachedGrant
    }

    /// Runs what holds the grant, and puts its owner to use again.
    func returningOwner<Value>(
        to cell: LockCell, for mode: LockMode, _ run: (HeldScope) async throws -> Value
    ) async throws -> Value {
        var scope = HeldScope(owner: owner, lease: lease)
        scope.add(hold)
        do {
            let value = try await run(scope)
            if case .ofPool = ownership { cell.giveBack(owner, for: mode) }
            return value
        } catch {
            // What the body asked for may not be undone yet.
            if case .ofCaller = ownership { owner.spend() }
            throw error
        }
    }
}

extension RWLock {
    /// Holds the lock to read while a body runs that does not wait.
    ///
    /// The body runs in the caller's task, also if the lock is lost: there is nothing in it that waits. The call then throws
    /// `LockLost` when the body has ended. Pass `onLoss` to have the body in a child task, which a loss cancels.
    ///
    /// If this client has the lock cached (<doc:CachedGrants>), the call waits for nothing and asks no daemon. See
    /// `withReadLock` for the parameters and errors.
    @inlinable @inline(__always)
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        _ body: () throws -> Result
    ) async throws -> Result {
        guard timeout == nil, lease == nil, note.isEmpty, mayEnter, let entered = entries.enterToRead() else {
            return try await runAcquired(.read, timeout, lease, renewsLease, note, body)
        }
        return try await runEntered(.read, entered, body)
    }

    /// Holds the lock alone while a body runs that does not wait.
    ///
    /// The body runs in the caller's task, also if the lock is lost: there is nothing in it that waits. The call then throws
    /// `LockLost` when the body has ended. Pass `onLoss` to have the body in a child task, which a loss cancels.
    ///
    /// If this client has the lock cached (<doc:CachedGrants>), the call waits for nothing and asks no daemon. See
    /// `withReadLock` for the parameters and errors.
    @inlinable @inline(__always)
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        _ body: () throws -> Result
    ) async throws -> Result {
        guard timeout == nil, lease == nil, note.isEmpty, mayEnter, let entered = entries.enterToWrite()
        else {
            return try await runAcquired(.write, timeout, lease, renewsLease, note, body)
        }
        return try await runEntered(.write, entered, body)
    }

    /// Whether the task is to use cached grants: it is not cancelled, and has no owner as which it must ask.
    @usableFromInline var mayEnter: Bool {
        @inlinable @inline(__always) get {
            (entries.owners.areNone || !currentTaskHasOwner) && !current_task_is_cancelled()
        }
    }

    @usableFromInline var currentTaskHasOwner: Bool {
        @inline(never) get { LockOwner.current != nil }
    }

    @inlinable @inline(__always)
    func runEntered<Value>(
        _ mode: LockMode, _ entered: CachedEntries.Entered, _ body: () throws -> Value
    ) async throws -> Value {
        guard entries.isServed, entries.isHeld(entered) else {
            stepBack(entered)
            return try await runAcquired(mode, nil, nil, false, "", body)
        }
        let value: Value
        do { value = try body() } catch {
            if !entries.leave(entered) { try await releaseAfterError(entered) }
            throw error
        }
        if !entries.leave(entered) { try await releaseAtDaemon(entered) }
        return value
    }

    @usableFromInline @inline(never)
    func stepBack(_ entered: CachedEntries.Entered) { cell.stepBack(entered) }

    /// Throws only the loss: it explains more than the error that the body made of it.
    @usableFromInline @inline(never)
    func releaseAfterError(_ entered: CachedEntries.Entered) async throws {
        do { try await releaseAtDaemon(entered) } catch let lost as LockLost { throw lost } catch {}
    }

    /// Releases a grant that another request wants, or finds that it is lost.
    @usableFromInline @inline(never)
    func releaseAtDaemon(_ entered: CachedEntries.Entered) async throws {
        let cached = cell.cached(entered)
        cell.remove(entered)
        guard let cached else {
            throw LockLost(
                lock: name, token: entered.entry.token, cause: client.isClosed ? .closed : .disconnected)
        }
        let time = CallTime(asking: CallTime.patience)
        try await cached.connection.outcome(of: .release(cached.grant), time).confirm()
    }

    @usableFromInline @inline(never)
    func runAcquired<Value>(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Duration?, _ renewsLease: Bool, _ note: String,
        _ body: () throws -> Value
    ) async throws -> Value {
        let held = try await acquireForBody(mode, timeout, Lease(lease, renewsLease), note)
        return try await held.returningOwner(to: cell, for: mode) { try await $0.runHere(body) }
    }

    /// Acquires the lock for a body: a cached grant if there is one.
    ///
    /// A body of a task that has an owner runs as that owner, and its grant is not cached: two locks that one owner holds
    /// are two places where the daemon may find a circle (G8), and one owner is never in two tasks.
    func acquireForBody(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Lease, _ note: String
    ) async throws -> BodyGrant {
        let current = LockOwner.current
        let isCacheable = current == nil && lease.length == nil && note.isEmpty && mode != .update
        // A timeout may be one to refuse.
        let isValid = timeout.map(Checked.isTimeout) ?? true
        if isCacheable, isValid, !Task.isCancelled, let entered = cell.enter(mode),
            let cached = cell.cached(entered)
        {
            let hold = Hold(cached, under: Hold.Slot(cell: cell, entered: entered))
            return BodyGrant(hold: hold, owner: cached.owner, lease: lease, ownership: .ofCachedGrant)
        }
        let owner = current ?? (isCacheable ? cell.takeOwner(for: mode) : LockOwner())
        let request = try Acquire(
            name, mode, timeout: timeout, lease: lease.length, note: note, owner: owner.id,
            mayCache: isCacheable)
        let hold: Hold
        do {
            hold = try await client.acquire(request)
        } catch {
            // The request may not be undone yet.
            owner.spend()
            throw error
        }
        let isCached = isCacheable && hold.cache(in: cell, of: owner)
        return BodyGrant(
            hold: hold, owner: owner, lease: lease,
            ownership: isCached ? .ofCachedGrant : current == nil ? .ofPool : .ofCaller)
    }
}
