public import LockVocabulary

/// A lock that is held: whoever has this value holds it, and giving the value up gives the lock back.
///
/// It cannot be copied, so that nobody can release twice or use what was released. `release()` waits for the daemon's
/// word and says whether the lock was held to the end; a grant that just goes out of scope is given back in silence.
public struct Grant: ~Copyable, Sendable {
    private let hold: Hold

    init(_ hold: Hold) { self.hold = hold }

    deinit { hold.abandon() }

    /// The lock that is held.
    public var lock: LockName { hold.name }

    /// The mode that it is held in.
    public var mode: LockMode { hold.terms.mode }

    /// The fencing token: it is greater than that of every grant before, on any lock of this daemon (G7).
    ///
    /// Send it along with what is written to somebody else, who then refuses tokens lower than one seen already: so
    /// not even a holder that has lost the lock without noticing does harm. An upgrade gives a new one.
    public var token: Token { hold.terms.token }

    /// Whether the last writer died, or lost the lock, before it released it: what the lock protects may be half
    /// written, and wants a look. It stays so until a writer has released the lock in order (G11).
    public var previousOwnerDied: Bool { hold.terms.ownerDied }

    /// Whether it was lost, and how; nil as long as it is held.
    public var lost: LockLost? { hold.lost }

    /// For another task that wants to hear of its loss.
    public var lossWatch: LossWatch { LossWatch(hold: hold) }

    /// Becomes the writer, after all other readers have left; from `update` nobody else can come before.
    ///
    /// The grant stands as it was if this fails, but for `LockLost`. A task that is cancelled meanwhile gets a
    /// `CancellationError`, or the upgrade if that was quicker.
    /// - Parameter timeout: how long to wait; without end if nil. If the daemon does not answer in time, the grant is made
    ///   what it was, should it be upgraded all the same.
    /// - Throws: `LockError.timedOut`; `LockError.deadlock`, if another reader waits to become the writer as well.
    public mutating func upgrade(timeout: Duration? = nil) async throws {
        try await hold.upgrade(timeout: timeout)
    }

    /// Goes on in a weaker mode; nobody else gets in between as a writer (G10).
    public mutating func downgrade(to mode: LockMode = .read) async throws {
        try await hold.downgrade(to: mode)
    }

    /// Begins its lease anew, with another length if one is given.
    public func renew(lease: Duration? = nil) async throws {
        try await hold.renew(lease: lease)
    }

    /// Gives the lock back.
    ///
    /// It is not cut short by cancellation.
    /// - Throws: `LockLost` if it was not held to the end; `LockError.unreachable` if the daemon has not answered for ten
    ///   seconds: it carries the release out when it reads on.
    public consuming func release() async throws {
        try await hold.release()
    }
}

/// Tells when a grant is lost.
public struct LossWatch: Sendable {
    fileprivate let hold: Hold

    /// Waits until the grant is lost, and returns how; nil once it was released, or the task is cancelled.
    public func lost() async -> LockLost? {
        let news = Promise<LockLost?>()
        hold.fate.whenFulfilled { news.fulfil($0) }
        return await withTaskCancellationHandler {
            await news.value
        } onCancel: {
            news.fulfil(nil)
        }
    }
}
