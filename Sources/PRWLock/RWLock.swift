public import LockVocabulary
import LockWire

/// A reader-writer lock for all processes of this host (or of this user), by its name.
///
/// ```swift
/// let lock = RWLock("jobs")
/// try await lock.withWriteLock {
///     // alone
/// }
/// ```
///
/// The value is only the name and the way to the daemon: two locks with one name are the same lock, in whatever process.
/// A lock exists while somebody holds it or waits for it, and need not be made or removed.
///
/// Any number of readers hold it together, and one updater beside them; a writer holds it alone. A waiting writer lets no
/// new reader in. A holder that dies holds nothing any more at once; the next one learns of it
/// (`Grant.previousOwnerDied`). Whoever asks is an owner: see `LockOwner` for recursion and deadlocks.
public struct RWLock: Sendable {
    public let name: LockName
    public let client: Client

    /// A lock by any name: bytes that a lock's name cannot have are spelled with `%`.
    ///
    /// - Precondition: the name is not empty, and at most 255 bytes long when spelled so. For names that come from
    ///   outside, `LockName(encoding:)` says no.
    public init(_ name: String, client: Client = .shared) {
        guard let encoded = LockName(encoding: name) else {
            preconditionFailure("a lock's name is 1 to 255 bytes: \(name)")
        }
        self.init(encoded, client: client)
    }

    /// A lock by a name that is one.
    public init(_ name: LockName, client: Client = .shared) {
        self.name = name
        self.client = client
    }

    /// Gets the lock to read.
    ///
    /// The grant is the holder's until it is released or goes out of scope. Prefer `withReadLock`, which also stops the
    /// work when the lock is lost.
    /// - Parameters:
    ///   - timeout: how long to wait; without end if nil, not at all if zero. It counts from the call on, whatever goes
    ///     before the request: the start of a daemon, or one that leaves. A daemon that does not answer is waited for
    ///     less than a second longer, and is `LockError.unreachable` then.
    ///   - lease: after how long the grant ends by itself unless it is renewed; never if nil.
    ///   - note: what others are told who ask for whom they wait; cut off after 255 bytes.
    /// - Throws: `LockError`; `CancellationError` if the task is cancelled, and then nothing is held.
    public func acquireRead(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant {
        try await acquire(.read, timeout: timeout, lease: lease, note: note)
    }

    /// Gets the lock to read beside readers, and perhaps to write later (`Grant.upgrade`); see `acquireRead`.
    public func acquireUpdate(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant {
        try await acquire(.update, timeout: timeout, lease: lease, note: note)
    }

    /// Gets the lock alone; see `acquireRead`.
    public func acquireWrite(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant {
        try await acquire(.write, timeout: timeout, lease: lease, note: note)
    }

    /// Gets the lock to read, or nil if it cannot be had now, or in time.
    ///
    /// - Throws: what `acquireRead` throws, but for `LockError.timedOut`.
    public func tryRead(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant? {
        try await tryAcquire(.read, timeout: timeout, lease: lease, note: note)
    }

    /// Gets the lock to update, or nil if it cannot be had now, or in time; see `tryRead`.
    public func tryUpdate(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant? {
        try await tryAcquire(.update, timeout: timeout, lease: lease, note: note)
    }

    /// Gets the lock alone, or nil if it cannot be had now, or in time; see `tryRead`.
    public func tryWrite(
        timeout: Duration = .zero, lease: Duration? = nil, note: String = ""
    ) async throws -> Grant? {
        try await tryAcquire(.write, timeout: timeout, lease: lease, note: note)
    }

    /// Whether a token still is that of a grant on this lock; any process may ask.
    public func validate(_ token: Token, timeout: Duration = Client.defaultTimeout) async throws -> Bool {
        let (reply, _) = try await client.ask(.validate(name, token), timeout: timeout)
        return if case .valid = reply { true } else { false }
    }

    private func acquire(
        _ mode: LockMode, timeout: Duration?, lease: Duration?, note: String
    ) async throws -> Grant {
        let terms = Acquire(name, mode, timeout: timeout, lease: lease, note: note)
        return Grant(try await client.acquire(terms))
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
    public var description: String { name.decoded }
}

extension Acquire {
    /// A request of whoever is the owner here.
    init(
        _ name: LockName, _ mode: LockMode, timeout: Duration?, lease: Duration?, note: String,
        owner: OwnerID = (LockOwner.current ?? LockOwner()).id
    ) {
        precondition(lease.map { $0 > .zero } ?? true, "a lease has a length")
        self.init(
            name: name, mode: mode, wait: TimeLimit(timeout: timeout),
            lease: lease.map(TimeLimit.upTo) ?? .forever, owner: owner, note: Note(fitting: note))
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
