public import LockVocabulary
import LockWire

/// A reader-writer lock for programs without concurrency; see `RWLock` for what it is.
///
/// ```swift
/// let lock = BlockingRWLock("jobs")
/// try lock.withWriteLock {
///     // alone
/// }
/// ```
///
/// Every call blocks its thread. A lock that is made without a client has a client of its own; locks that are held
/// together belong to one client (`BlockingClient.lock`), or a deadlock with oneself is not noticed.
public struct BlockingRWLock {
    public let name: LockName
    private let client: BlockingClient

    /// A lock by any name; see `RWLock.init(_:client:)`.
    public init(_ name: String, client: BlockingClient = BlockingClient()) {
        guard let encoded = LockName(encoding: name) else {
            preconditionFailure("a lock's name is 1 to 255 bytes: \(name)")
        }
        self.init(encoded, client: client)
    }

    /// A lock by a name that is one.
    public init(_ name: LockName, client: BlockingClient = BlockingClient()) {
        self.name = name
        self.client = client
    }

    /// Gets the lock to read; see `RWLock.acquireRead` for the parameters.
    public func acquireRead(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant {
        try acquire(.read, timeout, lease, note)
    }

    /// Gets the lock to read beside readers, and perhaps to write later.
    public func acquireUpdate(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant {
        try acquire(.update, timeout, lease, note)
    }

    /// Gets the lock alone.
    public func acquireWrite(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant {
        try acquire(.write, timeout, lease, note)
    }

    /// Gets the lock to read, or nil if it cannot be had now, or in time.
    public func tryRead(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant? {
        try tryAcquire(.read, timeout, lease, note)
    }

    /// Gets the lock to update, or nil if it cannot be had now, or in time.
    public func tryUpdate(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant? {
        try tryAcquire(.update, timeout, lease, note)
    }

    /// Gets the lock alone, or nil if it cannot be had now, or in time.
    public func tryWrite(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) throws(LockError) -> BlockingGrant? {
        try tryAcquire(.write, timeout, lease, note)
    }

    /// Holds the lock to read while the body runs.
    ///
    /// - Throws: `LockError` if the lock could not be had; `LockLost` if it was not held to the end, whatever the body
    ///   made of it; what the body throws.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "", _ body: () throws -> Result
    ) throws -> Result {
        try acquire(.read, timeout, lease, note).whileHeld { _ in try body() }
    }

    /// Holds the lock to update while the body runs, which may upgrade the grant; see `withReadLock`.
    public func withUpdateLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        _ body: (inout BlockingGrant) throws -> Result
    ) throws -> Result {
        try acquire(.update, timeout, lease, note).whileHeld(body)
    }

    /// Holds the lock alone while the body runs; see `withReadLock`.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "", _ body: () throws -> Result
    ) throws -> Result {
        try acquire(.write, timeout, lease, note).whileHeld { _ in try body() }
    }

    private func acquire(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Duration?, _ note: String
    ) throws(LockError) -> BlockingGrant {
        let terms = Acquire(name, mode, timeout: timeout, lease: lease, note: note, owner: .session)
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

/// A lock that is held by this thread; see `Grant`.
public struct BlockingGrant: ~Copyable {
    private let grant: Session.GrantID
    private let session: BlockingSession

    init(_ grant: Session.GrantID, of session: BlockingSession) {
        self.grant = grant
        self.session = session
    }

    deinit { session.abandon(grant) }

    private var terms: Session.Terms { session.terms(of: grant) }

    /// The lock that is held.
    public var lock: LockName { terms.name }

    /// The mode that it is held in.
    public var mode: LockMode { terms.mode }

    /// The fencing token; see `Grant.token`.
    public var token: Token { terms.token }

    /// Whether the last writer died, or lost the lock, before it released it.
    public var previousOwnerDied: Bool { terms.ownerDied }

    /// Whether it was lost, and how, as far as the daemon has said so by now; nil as long as it is held.
    public var lost: LockLost? { session.loss(of: grant) }

    /// Becomes the writer, after all other readers have left; the grant stands as it was if this fails.
    public mutating func upgrade(timeout: Duration? = nil) throws {
        try perform(.upgrade(grant), CallTime(waiting: TimeLimit(timeout: timeout)))
    }

    /// Goes on in a weaker mode.
    public mutating func downgrade(to mode: LockMode = .read) throws {
        try perform(.downgrade(grant, to: mode))
    }

    /// Begins its lease anew, with another length if one is given.
    public func renew(lease: Duration? = nil) throws {
        try perform(.renew(grant, lease: lease.map(TimeLimit.upTo)))
    }

    /// Gives the lock back.
    ///
    /// - Throws: `LockLost` if it was not held to the end.
    public consuming func release() throws { try perform(.release(grant)) }

    private func perform(_ ask: Session.Ask, _ time: CallTime = CallTime(asking: CallTime.patience)) throws {
        try session.outcome(of: ask, time).confirm()
    }

    /// Runs the body, and gives the lock back.
    fileprivate consuming func whileHeld<Result>(
        _ body: (inout BlockingGrant) throws -> Result
    ) throws -> Result {
        let result: Result
        do {
            result = try body(&self)
        } catch {
            // Whether the lock was lost says more than what the body made of it.
            do { try release() } catch let lost as LockLost { throw lost } catch {}
            throw error
        }
        try release()
        return result
    }
}
