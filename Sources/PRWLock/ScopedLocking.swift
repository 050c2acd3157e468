import LockVocabulary
import LockWire

/// What happens to a body when its lock is lost.
public enum LossHandling: Sendable {
    /// The body is cancelled, as a task is.
    case cancelBody
    /// The body continues. It can check ``Grant/lost`` itself.
    case letBodyFinish
}

extension RWLock {
    /// Holds the lock to read while the body runs.
    ///
    /// The body runs as an owner (``LockOwner``), so a request for this lock in the body is recursion. If the lock is lost,
    /// the body is cancelled, and the call throws `LockLost` whatever the body returns or throws. So the lock was held to
    /// the end if the call returns.
    ///
    /// The body runs in a child task with the caller's isolation, and the caller waits for it.
    /// - Parameters:
    ///   - timeout: how long to wait for the lock; without limit if nil, not at all if zero or less.
    ///   - lease: after how long the grant expires unless it is renewed, greater than zero; never if nil.
    ///   - note: a text that others see beside this grant or request. Characters beyond 255 encoded bytes are cut off.
    ///   - onLoss: whether the body is cancelled when the lock is lost.
    ///   - isolation: the actor that the body is isolated to; the caller's by default.
    ///   - body: gets the grant, and may change its mode.
    /// - Throws: `LockError` if the lock was not granted; `LockLost`; what the body throws; `CancellationError`.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        try await withLock(.read, timeout, lease, note, onLoss, body)
    }

    /// Holds the lock to read while a body runs that does not need the grant.
    ///
    /// See `withReadLock` for the parameters and errors.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withLock(.read, timeout, lease, note, onLoss) { _ in try await body() }
    }

    /// Holds the lock to update while the body runs: beside readers, and alone after the grant is upgraded.
    ///
    /// ```swift
    /// try await lock.withUpdateLock { grant in
    ///     guard await needsWork() else { return }
    ///     try await grant.upgrade()
    ///     try await work()
    /// }
    /// ```
    /// See `withReadLock` for the parameters and errors.
    public func withUpdateLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        try await withLock(.update, timeout, lease, note, onLoss, body)
    }

    /// Holds the lock alone while the body runs.
    ///
    /// See `withReadLock` for the parameters and errors.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        try await withLock(.write, timeout, lease, note, onLoss, body)
    }

    /// Holds the lock alone while a body runs that does not need the grant.
    ///
    /// See `withReadLock` for the parameters and errors.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        onLoss: LossHandling = .cancelBody,
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withLock(.write, timeout, lease, note, onLoss) { _ in try await body() }
    }

    private func withLock<Value>(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Duration?, _ note: String, _ onLoss: LossHandling,
        isolation: isolated (any Actor)? = #isolation, _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        let owner = LockOwner.current ?? LockOwner()
        let request = try Acquire(name, mode, timeout: timeout, lease: lease, note: note, owner: owner.id)
        let hold = try await client.acquire(request)
        switch onLoss {
        case .cancelBody: return try await hold.runCancellable(as: owner, body)
        case .letBodyFinish: return try await hold.run(as: owner, body)
        }
    }
}

extension Hold {
    /// Runs the body under this grant, and releases the grant.
    ///
    /// - Throws: `LockLost` if the lock was not held to the end, in preference to what the body throws.
    fileprivate func run<Value>(
        as owner: LockOwner, isolation: isolated (any Actor)? = #isolation,
        _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        var grant = Grant(self)
        let value: Value
        do {
            value = try await owner.withOwnerOfThisTask { try await body(&grant) }
        } catch {
            // A loss explains more than the error that the body made of it.
            do { try await grant.release() } catch let lost as LockLost { throw lost } catch {}
            throw error
        }
        try await grant.release()
        return value
    }

    /// Runs the body in a child task, which is cancelled when this grant is lost.
    ///
    /// A task can only be cancelled as a whole. If the body ran in the caller's task, that task would stay cancelled after
    /// the caller has caught the error.
    fileprivate func runCancellable<Value>(
        as owner: LockOwner, isolation: isolated (any Actor)? = #isolation,
        _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        try await withoutActuallyEscaping(body) { body in
            _ = isolation  // isolates this closure as the caller is
            // Safe to send: the caller waits until the child has ended.
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
    /// Unchecked: the body's task has ended when the caller gets the value, so no other task uses it.
    private struct Returned<Value>: @unchecked Sendable {
        let value: Value
    }
}
