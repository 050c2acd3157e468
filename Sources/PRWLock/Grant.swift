public import LockVocabulary

/// A lock that is held: the owner of this value holds it, and the end of this value releases it.
///
/// A grant cannot be copied, so it is released once and not used afterwards. `release()` waits for the daemon's answer
/// and reports a loss. A grant that goes out of scope is released without waiting.
public struct Grant: ~Copyable, Sendable {
    let hold: Hold
    /// Whether a `with…Lock` lends the grant to its body, and releases it itself.
    private let isLent: Bool

    init(_ hold: Hold) { (self.hold, isLent) = (hold, false) }

    init(lentBy hold: Hold) { (self.hold, isLent) = (hold, true) }

    deinit { if !isLent { hold.abandon() } }

    /// The name of the lock.
    public var lock: LockName { hold.terms.name }

    /// The mode in which the lock is held.
    public var mode: LockMode { hold.terms.mode }

    /// The fencing token: greater than the token of every earlier grant, on any lock of this daemon (G7).
    ///
    /// Send the token with every write to another system, and have that system refuse tokens lower than one that it has
    /// seen. Then a holder that lost the lock without noticing does no harm. An upgrade changes the token.
    public var token: Token { hold.terms.token }

    /// Whether the last writer died or lost the lock before it released it, so that the protected data may be half written.
    ///
    /// It stays true until a writer releases the lock in order (G11).
    public var previousOwnerDied: Bool { hold.terms.ownerDied != nil }

    /// The mark behind ``previousOwnerDied``; nil if the lock has none.
    ///
    /// It is `.maybe` if hosts share the lock and one of them died: only that host knew whether it had a writer.
    public var mark: Mark? { hold.terms.ownerDied }

    /// How the grant was lost; nil as long as it is held.
    public var lost: LockLost? { hold.lost }

    /// A value by which another task waits for the loss of this grant.
    public var lossWatch: LossWatch { LossWatch(hold: hold) }

    /// Changes the mode to `write`, after all other readers have left.
    ///
    /// No other writer comes before an upgrade from `update`. If the upgrade fails, the grant keeps its mode and token,
    /// except after `LockLost`. If the task is cancelled, the call throws `CancellationError`, or returns if the upgrade
    /// was granted first. Without a timeout the call waits as long as another reader keeps the lock, which is for ever if
    /// that is a child task that this task awaits; see ``LockOwner``. If the daemon goes away, the grant is lost.
    /// - Parameter timeout: how long to wait; without limit if nil, not at all if zero. If the daemon does not answer in
    ///   time, the client undoes the upgrade, should the daemon grant it later.
    /// - Throws: `LockError.timedOut`; `LockError.invalidArgument` if the timeout is negative; `LockError.deadlock` if
    ///   another reader waits for its upgrade as well; `LockError.wrongMode` if the mode is `write`;
    ///   `LockError.unreachable` 750 ms after the timeout if the daemon does not answer; `LockLost`; `CancellationError`.
    public mutating func upgrade(timeout: Duration? = nil) async throws {
        try await hold.upgrade(timeout: timeout)
    }

    /// Changes the mode to a weaker one. No writer comes in between (G10).
    ///
    /// - Parameter mode: `read` or `update`.
    /// - Throws: `LockError.wrongMode` if the mode is not weaker; `LockError.unreachable` if the daemon does not answer for
    ///   10 seconds; `LockLost`, also if the daemon goes away. Cancellation does not end the call.
    public mutating func downgrade(to mode: LockMode = .read) async throws {
        try await hold.downgrade(to: mode)
    }

    /// Starts the lease again. In a scoped call the client does this by itself, unless `renewsLease` is false.
    ///
    /// - Parameter lease: the new length, greater than zero; the former length if nil.
    /// - Throws: `LockError.unreachable` if the daemon does not answer for 10 seconds; `LockError.invalidArgument` for
    ///   another length; `LockLost`, also if the daemon goes away; `CancellationError`, and then the lease may have been
    ///   renewed.
    public func renew(lease: Duration? = nil) async throws {
        try await hold.renew(lease: lease)
    }

    /// Releases the lock.
    ///
    /// Cancellation does not end the call.
    /// - Throws: `LockLost` if the lock was not held to the end; `LockError.unreachable` if the daemon does not answer for
    ///   10 seconds: it releases the lock when it reads the request.
    public consuming func release() async throws {
        try await hold.release()
    }
}

/// Waits for the loss of a grant, also in another task than its holder's.
public struct LossWatch: Sendable {
    let hold: Hold

    /// Waits until the grant is lost, and returns how; returns nil when it is released or the task is cancelled.
    ///
    /// The end of the daemon's connection is a loss. Otherwise the call waits as long as the grant is held.
    public func lost() async -> LockLost? {
        let news = Promise<LockLost?>()
        let number = hold.fate.whenFulfilled { news.fulfil($0) }
        defer { hold.fate.forget(number) }
        return await withTaskCancellationHandler {
            await news.value
        } onCancel: {
            news.fulfil(nil)
        }
    }
}
