public import LockVocabulary
public import LockWire
import Rendezvous

/// The holders and waiters of a lock at one moment.
public struct LockStatus: Hashable, Sendable {
    /// An owner that holds the lock: its process, mode, owner, token and note, how long it has held the lock (`age`), and
    /// how much of its lease is left.
    public typealias Holder = Row.Holder
    /// A request that waits for the lock: its process, mode, owner and note, how long it has waited (`waited`), and how
    /// long it may wait in all (`timeout`). An upgrade has the token of its grant (`upgrades`).
    public typealias Waiter = Row.Waiter

    /// The holders, in the order in which they acquired the lock.
    public let holders: [Holder]
    /// The waiters, in the order in which they will get the lock if nothing changes.
    public let waiters: [Waiter]
    /// The hosts that claim the lock, if hosts share it.
    public let claims: [Claim]
    /// The hosts that wait for a claim, in the order in which they will get it if nothing changes.
    public let claimWaiters: [Claim]

    /// A host, and the mode in which it claims the lock for its processes.
    public typealias Claim = Row.Claim
}

/// One lock in a list: its name, the strongest mode that is held, the numbers of its holders and waiters, and whether its
/// last writer died (`ownerDied`). For a lock that hosts share, also which host claims it (`claim`).
public typealias LockSummary = Row.Lock

/// What a lock has cost: how often and how long requests waited for it and it was held, and its longest wait with the process
/// that held it (`behind`).
public typealias LockCosts = Row.Hot

/// A change of a lock's holders or waiters: what happened (`change`), and the process, mode, owner and token of the grant,
/// or of the request that waits.
public typealias LockChange = Notice.Changed

extension Client {
    /// How long a question waits for a silent daemon if the caller states no timeout: 10 seconds.
    public static let defaultTimeout = Duration.seconds(10)

    /// The holders and waiters of a lock.
    ///
    /// If the daemon goes away, the call asks the next one within the same time. A task that is cancelled does not wait.
    /// - Parameters:
    ///   - lock: the name of the lock.
    ///   - timeout: how long the daemon may be silent before the call throws `LockError.unreachable`.
    /// - Throws: `LockError`; `CancellationError` if the task is cancelled.
    public func status(
        of lock: LockName, timeout: Duration = defaultTimeout
    ) async throws -> LockStatus {
        let (_, rows) = try await ask(.status(lock), timeout: timeout)
        return LockStatus(rows: rows)
    }

    /// The locks that are held or waited for, in the order of their names' bytes.
    ///
    /// If the daemon goes away, the call asks the next one within the same time. A task that is cancelled does not wait.
    /// - Parameters:
    ///   - prefix: lists only the names that begin with this text.
    ///   - after: lists only the names after this one, to continue where a list with a limit ended.
    ///   - limit: the number of locks that the list has at most, at least 1; no limit if nil.
    ///   - timeout: how long the daemon may be silent before the call throws `LockError.unreachable`. A long list may take
    ///     longer.
    /// - Throws: `LockError`, which is `LockError.invalidArgument` for a prefix of more than 255 encoded bytes or a limit
    ///   below 1; `CancellationError` if the task is cancelled.
    public func list(
        prefix: String = "", after: LockName? = nil, limit: Int? = nil, timeout: Duration = defaultTimeout
    ) async throws -> [LockSummary] {
        let question = Verb.list(
            prefix: try Checked.prefix(prefix), after: after, limit: try Checked.limit(limit))
        let (_, rows) = try await ask(question, timeout: timeout)
        return rows.compactMap { if case .lock(let lock) = $0 { lock } else { nil } }
    }

    /// The locks for which requests wait, those for which most wait first, or those with the longest present wait.
    ///
    /// If the daemon goes away, the call asks the next one within the same time. A task that is cancelled does not wait.
    /// - Parameters:
    ///   - prefix: lists only the names that begin with this text.
    ///   - rank: the order of the list.
    ///   - limit: the number of locks that the list has at most, from 1 to 1,000; 100 if nil.
    ///   - timeout: how long the daemon may be silent before the call throws `LockError.unreachable`.
    /// - Throws: `LockError`, which is `LockError.invalidArgument` for a prefix of more than 255 encoded bytes or a limit
    ///   below 1; `CancellationError` if the task is cancelled.
    public func list(
        prefix: String = "", by rank: WaitRank, limit: Int? = nil, timeout: Duration = defaultTimeout
    ) async throws -> [LockSummary] {
        let question = Verb.list(
            prefix: try Checked.prefix(prefix), after: nil, limit: try Checked.limit(limit), by: rank)
        let (_, rows) = try await ask(question, timeout: timeout)
        return rows.compactMap { if case .lock(let lock) = $0 { lock } else { nil } }
    }

    /// What locks have cost since the daemon's process began to serve: the few hundred that cost most, the worst first.
    ///
    /// If the daemon goes away, the call asks the next one within the same time. A task that is cancelled does not wait.
    /// - Parameters:
    ///   - prefix: lists only the names that begin with this text.
    ///   - rank: the order of the list.
    ///   - limit: the number of locks that the list has at most, at least 1; 100 if nil.
    ///   - timeout: how long the daemon may be silent before the call throws `LockError.unreachable`.
    /// - Throws: `LockError`, which is `LockError.invalidArgument` for a prefix of more than 255 encoded bytes or a limit
    ///   below 1; `CancellationError` if the task is cancelled.
    public func hot(
        prefix: String = "", by rank: HotRank = .waited, limit: Int? = nil, timeout: Duration = defaultTimeout
    ) async throws -> [LockCosts] {
        let question = Verb.hot(
            prefix: try Checked.prefix(prefix), by: rank, limit: try Checked.limit(limit))
        let (_, rows) = try await ask(question, timeout: timeout)
        return rows.compactMap { if case .hot(let costs) = $0 { costs } else { nil } }
    }

    /// Waits for the daemon's answer to a `PING`. The call connects, and starts the user's own daemon, if needed.
    ///
    /// If the daemon goes away, the call asks the next one within the same time.
    /// - Parameter timeout: how long to wait for the answer.
    /// - Throws: `LockError.unreachable` if there is none in this time; `CancellationError` if the task is cancelled.
    public func ping(timeout: Duration = defaultTimeout) async throws {
        _ = try await ask(.ping, timeout: timeout)
    }
}

extension RWLock {
    /// The holders and waiters of the lock; see ``Client/status(of:timeout:)``.
    ///
    /// - Parameter timeout: how long the daemon may be silent before the call throws `LockError.unreachable`.
    /// - Throws: `LockError`; `CancellationError` if the task is cancelled.
    public func status(timeout: Duration = Client.defaultTimeout) async throws -> LockStatus {
        try await client.status(of: name, timeout: timeout)
    }
}

extension LockStatus {
    init(rows: [Row]) {
        holders = rows.compactMap { if case .holder(let holder) = $0 { holder } else { nil } }
        waiters = rows.compactMap { if case .waiter(let waiter) = $0 { waiter } else { nil } }
        claims = rows.compactMap { if case .claim(let claim) = $0 { claim } else { nil } }
        claimWaiters = rows.compactMap { if case .claimWaiter(let claim) = $0 { claim } else { nil } }
    }
}
