public import LockVocabulary
import LockWire

/// A reader-writer lock for all processes of this host, or of this user, by its name.
///
/// ```swift
/// let lock = RWLock("jobs")
/// try await lock.withWriteLock {
///     // alone
/// }
/// ```
///
/// The value is a name and a way to the daemon. Two values with one name are the same lock, in any process. A lock exists
/// while it is held or waited for: it need not be created or removed.
///
/// Any number of readers hold a lock together, and one updater beside them. A writer holds it alone. A waiting writer
/// keeps new readers out. If a holder dies, it holds nothing from that moment, and the next holder sees
/// ``Grant/previousOwnerDied``. See ``LockOwner`` for recursion and deadlocks.
///
/// Names are compared by bytes: `"\u{e9}"` and `"e\u{301}"` are two names.
public struct RWLock: Sendable {
    /// The name of the lock.
    public let name: LockName
    /// The client that asks the daemon for this lock.
    public let client: Client
    /// What the client keeps for this lock.
    let cell: LockCell
    @usableFromInline let entries: CachedEntries

    /// A lock with any name. Bytes that a lock's name cannot have are percent-encoded.
    ///
    /// - Precondition: the name is not empty, and has at most 255 bytes once encoded. For names from outside, use
    ///   `LockName(encoding:)`, which returns nil for any other.
    public init(_ name: String, client: Client = .shared) {
        guard let encoded = LockName(encoding: name) else {
            preconditionFailure("a lock's name is 1 to 255 bytes: \(name)")
        }
        self.init(encoded, client: client)
    }

    /// A lock with a name that is encoded already.
    public init(_ name: LockName, client: Client = .shared) {
        self.name = name
        self.client = client
        cell = client.cells.cell(name)
        entries = cell.entries
    }

    /// Acquires the lock to read, beside other readers and one updater.
    ///
    /// The lock is held until the grant is released or goes out of scope. Prefer `withReadLock`, which also stops the work
    /// when the lock is lost.
    ///
    /// Without a timeout the call can wait for ever: as long as the lock is not free and a daemon runs. If the daemon goes
    /// away, the call asks the next one for the time that is left, and throws `LockError.unreachable` if none comes within
    /// two seconds. See ``LockOwner`` for the tasks of one process that would wait for each other.
    /// - Parameters:
    ///   - timeout: how long to wait, from the call on, the start of a daemon included; without limit if nil, not at all if
    ///     zero. If the daemon does not answer, the call throws `LockError.unreachable` 750 ms after the timeout.
    ///   - lease: after how long the grant expires unless it is renewed, greater than zero; never if nil.
    ///   - note: a text that others see beside this grant or request. Characters beyond 255 encoded bytes are cut off.
    /// - Throws: `LockError`, which is `LockError.invalidArgument` if the timeout is negative, the lease is not greater than
    ///   zero, or one of them is longer than 876,000 hours; `CancellationError` if the task is cancelled, and then the lock
    ///   is not held.
    public func acquireRead(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant {
        try await acquire(.read, timeout: timeout, lease: lease, note: note)
    }

    /// Acquires the lock to read beside readers, with the right to become the writer (``Grant/upgrade(timeout:)``).
    ///
    /// See ``acquireRead(timeout:lease:note:)`` for the parameters and errors.
    public func acquireUpdate(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant {
        try await acquire(.update, timeout: timeout, lease: lease, note: note)
    }

    /// Acquires the lock alone.
    ///
    /// See ``acquireRead(timeout:lease:note:)`` for the parameters and errors.
    public func acquireWrite(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant {
        try await acquire(.write, timeout: timeout, lease: lease, note: note)
    }

    /// Acquires the lock to read; returns nil if it is not free in time.
    ///
    /// - Parameters:
    ///   - timeout: how long to wait; not at all if zero.
    ///   - lease: after how long the grant expires unless it is renewed, greater than zero; never if nil.
    ///   - note: a text that others see beside this grant or request.
    /// - Throws: what ``acquireRead(timeout:lease:note:)`` throws, except `LockError.timedOut`.
    public func tryRead(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant? {
        try await tryAcquire(.read, timeout: timeout, lease: lease, note: note)
    }

    /// Acquires the lock to update; returns nil if it is not free in time.
    ///
    /// See ``tryRead(timeout:lease:note:)`` for the parameters and errors.
    public func tryUpdate(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant? {
        try await tryAcquire(.update, timeout: timeout, lease: lease, note: note)
    }

    /// Acquires the lock alone; returns nil if it is not free in time.
    ///
    /// See ``tryRead(timeout:lease:note:)`` for the parameters and errors.
    public func tryWrite(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant? {
        try await tryAcquire(.write, timeout: timeout, lease: lease, note: note)
    }

    /// Whether a token names a grant that is held on this lock, in any process.
    ///
    /// - Parameters:
    ///   - token: the token of a grant.
    ///   - timeout: how long the daemon may be silent before the call throws `LockError.unreachable`.
    /// - Throws: `LockError`; `CancellationError` if the task is cancelled.
    public func validate(_ token: Token, timeout: Duration = Client.defaultTimeout) async throws -> Bool {
        let (reply, _) = try await client.ask(.validate(name, token), timeout: timeout)
        return if case .valid = reply { true } else { false }
    }

    private func acquire(
        _ mode: LockMode, timeout: Duration?, lease: Duration?, note: String
    ) async throws -> Grant {
        // The grant may outlive the body that requests it.
        LockOwner.current?.spend()
        let request = try Acquire(name, mode, timeout: timeout, lease: lease, note: note)
        return Grant(try await client.acquire(request))
    }

    private func tryAcquire(
        _ mode: LockMode, timeout: Duration, lease: Duration?, note: String
    ) async throws -> Grant? {
        do {
            return try await acquire(mode, timeout: timeout, lease: lease, note: note)
        } catch LockError.timedOut {
            return nil
        }
    }
}

extension RWLock: CustomStringConvertible {
    /// The plain text of the lock's name.
    public var description: String { name.decoded }
}

extension Acquire {
    /// A request of the current owner; of a new one if there is none.
    init(
        _ name: LockName, _ mode: LockMode, timeout: Duration?, lease: Duration?, note: String,
        owner: OwnerID = (LockOwner.current ?? LockOwner()).id, mayCache: Bool = false
    ) throws(LockError) {
        self.init(
            name: name, mode: mode, wait: try TimeLimit(timeout: timeout),
            lease: try TimeLimit(lease: lease), owner: owner, note: Note(fitting: note), mayCache: mayCache)
    }
}

extension Note {
    /// As many characters of a text as fit.
    init(fitting text: String) {
        var count = 0
        let fitting = text.prefix { character in
            count += NameAlphabet.encode(character.utf8).utf8.count
            return count <= LockName.maximumLength
        }
        self = Note(encoding: String(fitting)) ?? .none
    }
}
