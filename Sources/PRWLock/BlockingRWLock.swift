public import LockVocabulary
import LockWire

/// A reader-writer lock for programs without concurrency; see ``RWLock`` for what a lock is.
///
/// ```swift
/// let lock = BlockingRWLock("jobs")
/// try lock.withWriteLock {
///     // alone
/// }
/// ```
///
/// Every call blocks its thread. A lock that is made without a client has a client of its own. Make locks that are held
/// together with one client (`BlockingClient.lock`): otherwise a thread that waits for itself is not noticed.
public struct BlockingRWLock {
    /// The name of the lock.
    public let name: LockName
    /// The client that asks the daemon for this lock.
    public let client: BlockingClient
    /// What the client keeps for this lock.
    private let cell: BlockingCell
    @usableFromInline let entries: CachedEntries

    /// A lock with any name. Bytes that a lock's name cannot have are percent-encoded.
    ///
    /// - Precondition: the name is not empty, and has at most 255 bytes once encoded.
    public init(_ name: String, client: BlockingClient = BlockingClient()) {
        guard let encoded = LockName(encoding: name) else {
            preconditionFailure("a lock's name is 1 to 255 bytes: \(name)")
        }
        self.init(encoded, client: client)
    }

    /// A lock with a name that is encoded already.
    public init(_ name: LockName, client: BlockingClient = BlockingClient()) {
        self.name = name
        self.client = client
        cell = client.cells.cell(name)
        entries = cell.entries
    }

    /// Acquires the lock to read, beside other readers and one updater.
    ///
    /// Without a timeout the call can wait for ever: as long as the lock is not free and a daemon runs. If the daemon goes
    /// away, the call asks the next one for the time that is left, and throws `LockError.unreachable` if none comes within
    /// two seconds. Nothing but a signal that ends the program interrupts it.
    /// - Parameters:
    ///   - timeout: how long to wait, the start of a daemon included; without limit if nil, not at all if zero. If
    ///     the daemon does not answer, the call throws `LockError.unreachable` 750 ms after the timeout.
    ///   - lease: after how long the grant expires unless it is renewed, greater than zero; never if nil.
    ///   - note: a text that others see beside this grant or request. Characters beyond 255 encoded bytes are cut off.
    /// - Throws: `LockError`, which is `LockError.invalidArgument` if the timeout is negative, the lease is not greater than
    ///   zero, or one of them is longer than 876,000 hours.
    public func acquireRead(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant {
        try acquire(.read, timeout, lease, note)
    }

    /// Acquires the lock to read beside readers, with the right to become the writer; see
    /// ``acquireRead(timeout:lease:note:)``.
    public func acquireUpdate(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant {
        try acquire(.update, timeout, lease, note)
    }

    /// Acquires the lock alone; see ``acquireRead(timeout:lease:note:)``.
    public func acquireWrite(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant {
        try acquire(.write, timeout, lease, note)
    }

    /// Acquires the lock to read; returns nil if it is not free in time. See ``acquireRead(timeout:lease:note:)``.
    public func tryRead(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant? {
        try tryAcquire(.read, timeout, lease, note)
    }

    /// Acquires the lock to update; returns nil if it is not free in time. See ``acquireRead(timeout:lease:note:)``.
    public func tryUpdate(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant? {
        try tryAcquire(.update, timeout, lease, note)
    }

    /// Acquires the lock alone; returns nil if it is not free in time. See ``acquireRead(timeout:lease:note:)``.
    public func tryWrite(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant? {
        try tryAcquire(.write, timeout, lease, note)
    }

    /// Holds the lock to read while the body runs; see ``acquireRead(timeout:lease:note:)`` for the parameters, and for how
    /// long the call waits.
    ///
    /// The body is not interrupted if the lock is lost.
    /// - Throws: `LockError` if the lock was not granted; `LockLost` if the lock was not held to the end, in preference to
    ///   what the body throws; what the body throws.
    @inlinable
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "", _ body: () throws -> Result
    ) throws -> Result {
        guard timeout == nil, lease == nil, note.isEmpty, let entered = entries.enterFirstToRead() else {
            return try runAcquired(.read, timeout, lease, note, body)
        }
        return try runEntered(.read, entered, body)
    }

    /// Holds the lock to read while the body runs, which gets the grant; see ``acquireRead(timeout:lease:note:)`` for the
    /// parameters.
    ///
    /// - Throws: what `withReadLock` throws for a body that does not get the grant.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        _ body: (inout BlockingGrant) throws -> Result
    ) throws -> Result {
        try acquire(.read, timeout, lease, note).whileHeld(body)
    }

    /// Holds the lock to update while the body runs, which may upgrade the grant; see
    /// `withReadLock`.
    public func withUpdateLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        _ body: (inout BlockingGrant) throws -> Result
    ) throws -> Result {
        try acquire(.update, timeout, lease, note).whileHeld(body)
    }

    /// Holds the lock alone while the body runs; see `withReadLock`.
    @inlinable
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "", _ body: () throws -> Result
    ) throws -> Result {
        guard timeout == nil, lease == nil, note.isEmpty, let entered = entries.enterToWrite() else {
            return try runAcquired(.write, timeout, lease, note, body)
        }
        return try runEntered(.write, entered, body)
    }

    /// Holds the lock alone while the body runs, which gets the grant; see `withReadLock`.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        _ body: (inout BlockingGrant) throws -> Result
    ) throws -> Result {
        try acquire(.write, timeout, lease, note).whileHeld(body)
    }

    @usableFromInline @inline(never)
    func runAcquired<Value>(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Duration?, _ note: String, _ body: () throws -> Value
    ) throws -> Value {
        try acquire(mode, timeout, lease, note).whileHeld { _ in try body() }
    }

    @inlinable @inline(__always)
    func runEntered<Value>(
        _ mode: LockMode, _ entered: CachedEntries.Entered, _ body: () throws -> Value
    ) throws -> Value {
        guard entries.isServed else {
            stepBack(entered)
            return try runAcquired(mode, nil, nil, "", body)
        }
        let value: Value
        do { value = try body() } catch {
            try leaveAfterError(entered)
            throw error
        }
        if !entries.leave(entered) { try releaseAtDaemon(entered) }
        return value
    }

    @usableFromInline @inline(never)
    func stepBack(_ entered: CachedEntries.Entered) { cell.stepBack(entered) }

    /// Throws only the loss: it explains more than the error that the body made of it.
    @usableFromInline @inline(never)
    func leaveAfterError(_ entered: CachedEntries.Entered) throws {
        if entries.leave(entered) { return }
        do { try releaseAtDaemon(entered) } catch let lost as LockLost { throw lost } catch {}
    }

    /// Releases a grant that another request wants, or finds that it is lost.
    @usableFromInline @inline(never)
    func releaseAtDaemon(_ entered: CachedEntries.Entered) throws {
        guard let cached = cell.take(entered) else {
            throw LockLost(lock: name, token: entered.entry.token, cause: .disconnected)
        }
        let time = CallTime(asking: CallTime.patience)
        try cached.session.outcome(of: .release(cached.grant), time).confirm()
    }

    private func acquire(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Duration?, _ note: String
    ) throws(LockError) -> BlockingGrant {
        let terms = try Acquire(
            name, mode, timeout: timeout, lease: lease, note: note, owner: .session,
            mayCache: mode != .update && lease == nil && note.isEmpty)
        return try client.acquire(terms)
    }

    private func tryAcquire(
        _ mode: LockMode, _ timeout: Duration, _ lease: Duration?, _ note: String
    ) throws(LockError) -> BlockingGrant? {
        do throws(LockError) {
            return try acquire(mode, timeout, lease, note)
        } catch {
            if case .timedOut = error { return nil }
            throw error
        }
    }
}

/// A lock that is held by this thread: the end of this value releases it; see ``Grant``.
public struct BlockingGrant: ~Copyable {
    private let grant: Session.GrantID
    private let session: BlockingSession
    /// The cell of the lock, and the slot under which the grant is held; nil if the daemon has to release it.
    private var slot: (cell: BlockingCell, entered: CachedEntries.Entered)?
    /// Whether the grant was left under its slot, for the next call.
    private var isLeft = false

    init(_ grant: Session.GrantID, of session: BlockingSession) {
        self.grant = grant
        self.session = session
    }

    /// A cached grant that is held under its slot.
    init(
        _ grant: Session.GrantID, of session: BlockingSession, in cell: BlockingCell,
        _ entered: CachedEntries.Entered
    ) {
        self.init(grant, of: session)
        slot = (cell, entered)
    }

    deinit {
        if isLeft { return }
        if let slot {
            if slot.cell.entries.leave(slot.entered) { return }
            _ = slot.cell.take(slot.entered)
        }
        session.abandon(grant)
    }

    var terms: Session.Terms { session.terms(of: grant) }

    /// The name of the lock.
    public var lock: LockName { terms.name }

    /// The mode in which the lock is held.
    public var mode: LockMode { terms.mode }

    /// The fencing token; see ``Grant/token``.
    public var token: Token { terms.token }

    /// Whether the last writer died or lost the lock before it released it; see ``Grant/previousOwnerDied``.
    public var previousOwnerDied: Bool { terms.ownerDied != nil }

    /// The mark of the lock, if it has one; see ``Grant/mark``.
    public var mark: Mark? { terms.ownerDied }

    /// How the grant was lost, as far as the daemon has sent it by now; nil as long as it is held.
    public var lost: LockLost? { session.loss(of: grant) }

    /// Changes the mode to `write`, after all other readers have left. If the upgrade fails, the grant keeps its mode.
    ///
    /// Without a timeout the call can wait for ever: as long as others read. If the daemon goes away, it throws `LockLost`.
    /// - Parameter timeout: how long to wait; without limit if nil, not at all if zero.
    /// - Throws: what ``Grant/upgrade(timeout:)`` throws, except `CancellationError`; `LockError.invalidArgument` for a timeout
    ///   that is negative or longer than 876,000 hours.
    public mutating func upgrade(timeout: Duration? = nil) throws {
        endCaching()
        try perform(.upgrade(grant), CallTime(waiting: try TimeLimit(timeout: timeout)))
    }

    /// Changes the mode to a weaker one, `read` or `update`. No writer comes in between (G10).
    ///
    /// The call waits at most 10 seconds for the daemon. If the daemon goes away, it throws `LockLost`.
    /// - Throws: what ``Grant/downgrade(to:)`` throws.
    public mutating func downgrade(to mode: LockMode = .read) throws {
        endCaching()
        try perform(.downgrade(grant, to: mode))
    }

    /// Starts the lease again, with the former length if nil.
    ///
    /// The call waits at most 10 seconds for the daemon. If the daemon goes away, it throws `LockLost`.
    /// - Throws: what ``Grant/renew(lease:)`` throws, except `CancellationError`; `LockError.invalidArgument` for a lease that
    ///   is not greater than zero or longer than 876,000 hours.
    public func renew(lease: Duration? = nil) throws {
        try perform(.renew(grant, lease: try lease.map(Checked.lease).map(TimeLimit.upTo)))
    }

    /// Releases the lock.
    ///
    /// The call waits at most 10 seconds for the daemon. If the daemon goes away, it throws `LockLost`.
    /// - Throws: `LockLost` if the lock was not held to the end; `LockError.unreachable` if the daemon does not answer for
    ///   10 seconds: it releases the lock when it reads the request.
    public consuming func release() throws {
        if let slot {
            if slot.cell.entries.leave(slot.entered) {
                (self.slot, isLeft) = (nil, true)
                return
            }
            endCaching()
        }
        try perform(.release(grant))
    }

    /// From now on the daemon has to release the grant.
    private mutating func endCaching() {
        if let slot { _ = slot.cell.take(slot.entered) }
        slot = nil
    }

    private func perform(_ call: Session.Call, _ time: CallTime = CallTime(asking: CallTime.patience)) throws
    {
        try session.outcome(of: call, time).confirm()
    }

    /// Runs the body, and releases the lock.
    consuming func whileHeld<Result>(
        _ body: (inout BlockingGrant) throws -> Result
    ) throws -> Result {
        let result: Result
        do {
            if terms.isShared, let lost { throw lost }
            result = try body(&self)
        } catch {
            // A loss explains more than the error that the body made of it.
            do { try release() } catch let lost as LockLost { throw lost } catch {}
            throw error
        }
        try release()
        return result
    }
}
