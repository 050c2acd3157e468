import LockVocabulary
import LockWire

/// What becomes of the work under a lock that is lost.
public enum LossHandling: Sendable {
    /// The body is cancelled, as a task is.
    case cancelBody
    /// The body goes on, and looks itself (`Grant.lost`).
    case letBodyFinish
}

extension RWLock {
    /// Holds the lock to read while the body runs.
    ///
    /// The body runs as an owner (`LockOwner`): to ask for this lock again in it is recursion. If the lock is lost
    /// meanwhile, the body is cancelled, and whatever it returns or throws, the caller gets `LockLost`. So a call that
    /// returns held the lock to the end.
    ///
    /// The body runs in a child task, where the caller is isolated; the caller waits for it.
    /// - Parameters:
    ///   - timeout: how long to wait for the lock; without end if nil, not at all if zero.
    ///   - lease: after how long the grant ends by itself unless it is renewed; never if nil.
    ///   - note: what others are told who ask for whom they wait; cut off after 255 bytes.
    ///   - onLoss: whether the body is cancelled when the lock is lost.
    ///   - body: gets the grant, and may change its mode.
    /// - Throws: `LockError` if the lock could not be had; `LockLost`; what the body throws; `CancellationError`.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        let terms = ScopedTerms(mode: .read, timeout: timeout, lease: lease, note: note, onLoss: onLoss)
        return try await withLock(terms, body)
    }

    /// Holds the lock to read while the body runs.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async throws -> Result {
        let terms = ScopedTerms(mode: .read, timeout: timeout, lease: lease, note: note, onLoss: onLoss)
        return try await withLock(terms) { _ in try await body() }
    }

    /// Holds the lock to update while the body runs: beside readers, and alone once the grant is upgraded.
    ///
    /// ```swift
    /// try await lock.withUpdateLock { grant in
    ///     guard try needsWork() else { return }
    ///     try await grant.upgrade()
    ///     try work()
    /// }
    /// ```
    /// See `withReadLock` for the parameters.
    public func withUpdateLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        let terms = ScopedTerms(mode: .update, timeout: timeout, lease: lease, note: note, onLoss: onLoss)
        return try await withLock(terms, body)
    }

    /// Holds the lock alone while the body runs; see `withReadLock` for the parameters.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        let terms = ScopedTerms(mode: .write, timeout: timeout, lease: lease, note: note, onLoss: onLoss)
        return try await withLock(terms, body)
    }

    /// Holds the lock alone while the body runs.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async throws -> Result {
        let terms = ScopedTerms(mode: .write, timeout: timeout, lease: lease, note: note, onLoss: onLoss)
        return try await withLock(terms) { _ in try await body() }
    }

    /// How the lock is asked for, and what is done if it is lost.
    private struct ScopedTerms {
        let mode: LockMode
        let timeout: Duration?
        let lease: Duration?
        let note: String
        let onLoss: LossHandling
    }

    private func withLock<Value>(
        _ terms: ScopedTerms, isolation: isolated (any Actor)? = #isolation,
        _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        let owner = LockOwner.current ?? LockOwner()
        let request = Acquire(
            name, terms.mode, timeout: terms.timeout, lease: terms.lease, note: terms.note, owner: owner.id)
        let hold = try await client.acquire(request)
        switch terms.onLoss {
        case .cancelBody: return try await hold.runCancellable(as: owner, body)
        case .letBodyFinish: return try await hold.run(as: owner, body)
        }
    }
}

extension Hold {
    /// Runs the body under this grant, and releases it.
    ///
    /// - Throws: `LockLost` if it was not held to the end, before all that the body throws.
    fileprivate func run<Value>(
        as owner: LockOwner, isolation: isolated (any Actor)? = #isolation,
        _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        var grant = Grant(self)
        let value: Value
        do {
            value = try await owner.withOwnerOfThisTask { try await body(&grant) }
        } catch {
            // Whether the lock was lost says more than what the body made of it.
            do { try await grant.release() } catch let lost as LockLost { throw lost } catch {}
            throw error
        }
        try await grant.release()
        return value
    }

    /// Runs the body in a child task, which is cancelled when this grant is lost.
    ///
    /// A task of its own, because there is no other way to cancel a part of a task: were the caller's own task
    /// cancelled, it would stay so after the caller has caught the error.
    fileprivate func runCancellable<Value>(
        as owner: LockOwner, isolation: isolated (any Actor)? = #isolation,
        _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        try await withoutActuallyEscaping(body) { body in
            _ = isolation  // so that this closure is isolated as the caller is
            // Safe to send: the caller waits until the child is done with them.
            nonisolated(unsafe) let body = body
            let isOver = Promise<Bool>()
            fate.whenFulfilled { isOver.fulfil($0 != nil) }
            return try await withThrowingTaskGroup(of: Returned<Value>.self) { group in
                _ = isolation
                group.addTask {
                    defer { isOver.fulfil(false) }
                    return Returned(value: try await self.run(as: owner, body))
                }
                let isLost = await isOver.value
                if isLost { group.cancelAll() }
                guard let returned = try await group.next() else { throw CancellationError() }
                return returned.value
            }
        }
    }

    /// What a body returned, on its way to the caller.
    ///
    /// Unchecked: the body's task has ended when the caller gets it, so that nobody else uses it.
    private struct Returned<Value>: @unchecked Sendable {
        let value: Value
    }
}
