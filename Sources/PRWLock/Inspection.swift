public import LockVocabulary
public import LockWire
import Rendezvous

/// Who holds a lock and who waits for it, at one moment.
public struct LockStatus: Hashable, Sendable {
    public typealias Holder = Row.Holder
    public typealias Waiter = Row.Waiter

    /// Those who hold it, in the order in which they got it.
    public let holders: [Holder]
    /// Those who wait for it, in the order in which they will get it, if nothing changes.
    public let waiters: [Waiter]
}

/// One lock in a list of locks.
public typealias LockSummary = Row.Lock

/// What happened on a lock.
public typealias LockChange = Notice.Changed

extension Client {
    /// How long a question waits for a daemon that says nothing.
    public static let defaultTimeout = Duration.seconds(10)

    /// Who holds a lock and who waits for it.
    ///
    /// - Parameter timeout: how long the daemon may say nothing until this is an error; the same for all questions.
    public func status(
        of lock: LockName, timeout: Duration = defaultTimeout
    ) async throws -> LockStatus {
        let (_, rows) = try await ask(.status(lock), timeout: timeout)
        return LockStatus(rows: rows)
    }

    /// The locks that somebody holds or waits for, in the order of their names' bytes.
    ///
    /// - Parameters:
    ///   - prefix: only those whose names begin so.
    ///   - after: only those whose names come after this one, to go on where a list of `limit` ended.
    ///   - limit: at most so many; all if nil.
    ///   - timeout: how long the daemon may say nothing; a long list may take longer.
    public func list(
        prefix: String = "", after: LockName? = nil, limit: Int? = nil, timeout: Duration = defaultTimeout
    ) async throws -> [LockSummary] {
        let question = Verb.list(prefix: NameAlphabet.encode(prefix), after: after, limit: limit)
        let (_, rows) = try await ask(question, timeout: timeout)
        return rows.compactMap { if case .lock(let lock) = $0 { lock } else { nil } }
    }

    /// What happens on locks from now on, until the stream is given up.
    ///
    /// It has a session of its own. Of more than 10,000 changes that nobody has taken yet, the oldest go.
    /// - Parameter prefix: only on those whose names begin so.
    /// - Throws: `LockError` when the daemon cannot be reached, or goes away.
    public func watch(prefix: String = "") -> AsyncThrowingStream<LockChange, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(10_000)) { changes in
            let connection = Connection(greeting: greeting) { notice in
                if case .changed(let change) = notice { changes.yield(change) }
            }
            connection.end.whenFulfilled { changes.finish(throwing: $0) }
            changes.onTermination = { _ in connection.close() }
            start(connection)
            let watch = Verb.watch(prefix: NameAlphabet.encode(prefix))
            connection.submit(.other(watch), .unlimited).outcome.whenFulfilled { outcome in
                if case .refused(let error) = outcome { changes.finish(throwing: error) }
            }
        }
    }

    /// Asks the daemon for a sign of life; connects, and starts the user's own daemon, if need be.
    ///
    /// - Throws: `LockError.unreachable` if there is none in this time.
    public func ping(timeout: Duration = defaultTimeout) async throws {
        _ = try await ask(.ping, timeout: timeout)
    }
}

extension RWLock {
    /// Who holds the lock and who waits for it.
    public func status(timeout: Duration = Client.defaultTimeout) async throws -> LockStatus {
        try await client.status(of: name, timeout: timeout)
    }
}

extension LockStatus {
    init(rows: [Row]) {
        holders = rows.compactMap { if case .holder(let holder) = $0 { holder } else { nil } }
        waiters = rows.compactMap { if case .waiter(let waiter) = $0 { waiter } else { nil } }
    }
}
