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
    /// The body runs where the caller runs: on its actor, and with its task-local values. It runs as an owner
    /// (``LockOwner``), so a request for this lock in the body is recursion. If the lock is lost, also because the daemon
    /// goes away, the body is cancelled, and the call throws `LockLost` whatever the body returns or throws. So the lock
    /// was held to the end if the call returns.
    ///
    /// Without a timeout the call can wait for ever: as long as others hold the lock, over restarts of the daemon. It also
    /// waits for ever if the caller holds the lock in a conflicting mode and awaits this call in a child task; see
    /// ``LockOwner``. If the task is cancelled during the wait, the body does not run. If it is cancelled later, the body
    /// is cancelled, and the lock is released after the body.
    /// - Parameters:
    ///   - timeout: how long to wait for the lock; without limit if nil, not at all if zero. If the daemon does not
    ///     answer, the call throws `LockError.unreachable` 750 ms after the timeout.
    ///   - lease: after how long the grant expires if this process is stopped, greater than zero; never if nil.
    ///   - renewsLease: whether the client renews the lease while the body runs, at each third of its length. If not, the
    ///     lock is lost at the end of the lease, unless the body renews it (``Grant/renew(lease:)``).
    ///   - note: a text that others see beside this grant or request. Characters beyond 255 encoded bytes are cut off.
    ///   - onLoss: whether the body is cancelled when the lock is lost. Then it runs in a child task of the caller's.
    ///   - body: gets the grant, and may change its mode.
    /// - Throws: `LockError` if the lock was not granted, which is `LockError.invalidArgument` for a negative timeout or a
    ///   lease of zero; `LockLost`; what the body throws; `CancellationError`; `LockError.unreachable` if the daemon does
    ///   not confirm the release within 10 seconds: it releases the lock when it reads the request.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        try await withLock(.read, timeout, Lease(lease, renewsLease), note, onLoss, body)
    }

    /// Holds the lock to read while a body runs that does not need the grant.
    ///
    /// See `withReadLock` for the parameters and errors.
    public func withReadLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withLock(.read, timeout, Lease(lease, renewsLease), note, onLoss) { _ in try await body() }
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
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        try await withLock(.update, timeout, Lease(lease, renewsLease), note, onLoss, body)
    }

    /// Holds the lock alone while the body runs.
    ///
    /// See `withReadLock` for the parameters and errors.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: (inout Grant) async throws -> Result
    ) async throws -> Result {
        try await withLock(.write, timeout, Lease(lease, renewsLease), note, onLoss, body)
    }

    /// Holds the lock alone while a body runs that does not need the grant.
    ///
    /// See `withReadLock` for the parameters and errors.
    public func withWriteLock<Result>(
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withLock(.write, timeout, Lease(lease, renewsLease), note, onLoss) { _ in try await body() }
    }

    private func withLock<Value>(
        _ mode: LockMode, _ timeout: Duration?, _ lease: Lease, _ note: String, _ onLoss: LossHandling,
        _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        let held = try await acquireForBody(mode, timeout, lease, note)
        return try await held.returningOwner(to: cell, for: mode) { scope in
            try await scope.run(onLoss) {
                var grant = Grant(lentBy: held.hold)
                return try await body(&grant)
            }
        }
    }
}

/// The lease of a scoped call.
struct Lease {
    let length: Duration?
    /// How often the client renews it; nil for never.
    let renewalInterval: Duration?

    init(_ length: Duration?, _ isRenewed: Bool) {
        self.length = length
        renewalInterval = isRenewed ? length.map { $0 / 3 } : nil
    }
}

/// One or several grants that are held while a body runs.
struct HeldScope {
    private(set) var holds: [Hold] = []
    private let owner: LockOwner
    private let lease: Lease

    init(owner: LockOwner, lease: Lease) { (self.owner, self.lease) = (owner, lease) }

    mutating func add(_ hold: Hold) {
        holds.append(hold)
        if let interval = lease.renewalInterval { hold.keepRenewed(every: interval) }
    }

    /// Acquires one more lock, unless a grant is lost meanwhile. If this throws, all grants are released.
    mutating func acquire(_ request: Acquire, _ time: CallTime, from client: Client) async throws {
        do {
            add(
                holds.isEmpty
                    ? try await client.acquire(request, time)
                    : try await runCancellable { try await client.acquire(request, time) })
            if let lost { throw lost }
        } catch {
            let failure = lost ?? error
            for hold in holds.reversed() { hold.abandon() }
            throw failure
        }
    }

    private var lost: LockLost? { holds.lazy.compactMap(\.lost).first }

    /// Runs the body under the grants, and releases them.
    ///
    /// - Throws: `LockLost` if a lock was not held to the end, in preference to what the body throws.
    func run<Value>(_ onLoss: LossHandling, _ body: () async throws -> Value) async throws -> Value {
        try await releasing {
            switch onLoss {
            case .cancelBody: try await runCancellable(body)
            case .letBodyFinish: try await owner.withOwnerOfThisTask(body)
            }
        }
    }

    /// Runs a body that does not wait, in the caller's task, and releases the grants.
    func runHere<Value>(_ body: () throws -> Value) async throws -> Value {
        try await releasing { try body() }
    }

    private func releasing<Value>(_ body: () async throws -> Value) async throws -> Value {
        let value: Value
        do {
            if let lost = holds.lazy.filter(\.isShared).compactMap(\.lost).first { throw lost }
            value = try await body()
        } catch {
            // A loss explains more than the error that the body made of it.
            do { try await release() } catch let lost as LockLost { throw lost } catch {}
            throw error
        }
        try await release()
        return value
    }

    /// Releases all grants, the last one first, in the time of one release. Throws the first loss, or else the first error.
    private func release() async throws {
        let time = CallTime(asking: CallTime.patience)
        if owner.isSpent { for hold in holds { hold.endCaching() } }
        var failure: (any Error)?
        for hold in holds.reversed() {
            do { try await hold.release(time) } catch {
                if failure == nil || (error is LockLost && !(failure is LockLost)) { failure = error }
            }
        }
        if let failure { throw failure }
    }

    /// Runs the body in a child task, which is cancelled when a grant is lost.
    ///
    /// A task can only be cancelled as a whole. If the body ran in the caller's task, that task would stay cancelled after
    /// the caller has caught the error. The child begins at once on the caller's thread, and a body that does not wait
    /// ends there. So it costs no switch between threads.
    ///
    /// - Parameter isolation: the caller's actor. A closure is isolated to it only if it uses this parameter.
    private func runCancellable<Value>(
        isolation: isolated (any Actor)? = #isolation,
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        try await withoutActuallyEscaping(body) { body in
            _ = isolation
            // Safe to send: the caller waits until the child has ended.
            nonisolated(unsafe) let body = body
            let isLost = Promise<Bool>()
            return try await withThrowingTaskGroup(of: Returned<Value>.self) { group in
                _ = isolation
                group.addImmediateTask {
                    _ = isolation
                    defer { isLost.fulfil(false) }
                    return Returned(value: try await owner.withOwnerOfThisTask(body))
                }
                if isLost.valueNow == nil {
                    for hold in holds { hold.fate.whenFulfilled { isLost.fulfil($0 != nil) } }
                    if await isLost.value { group.cancelAll() }
                }
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
