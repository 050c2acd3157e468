public import LockVocabulary
import LockWire

/// What a body knows of the locks that it holds together.
public struct HeldLocks: Sendable {
    private let holds: [Hold]
    private let terms: [Session.Terms]

    fileprivate init(_ holds: [Hold]) {
        self.holds = holds
        terms = holds.map(\.terms)
    }

    /// The names of the locks, in the order in which they were acquired: the order of their bytes.
    public var names: [LockName] { terms.map(\.name) }

    /// The fencing token of the grant on one of the locks; nil for any other lock. See ``Grant/token``.
    public func token(of lock: LockName) -> Token? { terms.first { $0.name == lock }?.token }

    /// The locks of which the last writer died or lost the lock before it released it; see ``Grant/previousOwnerDied``.
    public var previousOwnerDied: [LockName] { terms.filter { $0.ownerDied != nil }.map(\.name) }

    /// How the first lost grant was lost; nil as long as none is.
    public var lost: LockLost? { holds.lazy.compactMap(\.lost).first }
}

extension HeldLocks: CustomStringConvertible {
    /// The names and tokens.
    public var description: String {
        terms.map { "\($0.name) (\($0.mode), token \($0.token))" }.joined(separator: ", ")
    }
}

extension Client {
    /// Holds several locks while the body runs.
    ///
    /// ```swift
    /// try await client.withLocks(reading: ["rates"], writing: ["accounts/1", "accounts/2"]) {
    ///     try await work()
    /// }
    /// ```
    ///
    /// The client acquires the locks one after another, in the order of their names' bytes. If all programs acquire them in
    /// this order, no deadlock is possible among them. If one lock is not granted, or one is lost while another is waited
    /// for, the call releases what it has and throws. A name that is given twice is acquired once, to write if it is among
    /// `writing`.
    ///
    /// The body runs as that of `RWLock.withWriteLock` does: where the caller runs, as an owner (``LockOwner``), cancelled
    /// when one of the locks is lost. What is said there of waits, cancellation and the daemon's end holds here too.
    /// - Parameters:
    ///   - reading: the names of the locks to hold to read.
    ///   - writing: the names of the locks to hold alone.
    ///   - timeout: how long to wait for all of them together; without limit if nil, not at all if zero.
    ///   - lease: after how long each grant expires if this process is stopped, greater than zero; never if nil.
    ///   - renewsLease: whether the client renews the leases from the first grant on until the body ends.
    ///   - note: a text that others see beside the grants and requests. Characters beyond 255 encoded bytes are cut off.
    ///   - onLoss: whether the body is cancelled when a lock is lost.
    ///   - body: gets what is known of the locks, for example their tokens.
    /// - Throws: `LockError` if a lock was not granted, which is `LockError.invalidArgument` for a name of no or too many
    ///   bytes; `LockLost`; what the body throws; `CancellationError`.
    public func withLocks<Result>(
        reading: [String] = [], writing: [String] = [],
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: (HeldLocks) async throws -> Result
    ) async throws -> Result {
        let owner = LockOwner.current ?? LockOwner()
        let lease = Lease(lease, renewsLease)
        let time = try CallTime(waiting: TimeLimit(timeout: timeout))
        let requests = try LockOrder.sorted(reading: reading, writing: writing).map { name, mode in
            try Acquire(name, mode, timeout: timeout, lease: lease.length, note: note, owner: owner.id)
        }
        var scope = HeldScope(owner: owner, lease: lease)
        do {
            for request in requests { try await scope.acquire(request, time, from: self) }
            let held = HeldLocks(scope.holds)
            return try await scope.run(onLoss) { try await body(held) }
        } catch {
            // What this call asked for may not be undone yet.
            owner.spend()
            throw error
        }
    }

    /// Holds several locks while a body runs that needs to know nothing of them.
    ///
    /// See `withLocks` for the parameters and errors.
    public func withLocks<Result>(
        reading: [String] = [], writing: [String] = [],
        timeout: Duration? = nil, lease: Duration? = nil, renewsLease: Bool = true, note: String = "",
        onLoss: LossHandling = .cancelBody, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withLocks(
            reading: reading, writing: writing, timeout: timeout, lease: lease, renewsLease: renewsLease,
            note: note, onLoss: onLoss
        ) { _ in try await body() }
    }
}

extension BlockingClient {
    /// Holds several locks while the body runs; see ``Client`` for the order in which they are acquired.
    ///
    /// - Parameters:
    ///   - reading: the names of the locks to hold to read.
    ///   - writing: the names of the locks to hold alone.
    ///   - timeout: how long to wait for all of them together; without limit if nil, not at all if zero.
    ///   - lease: after how long each grant expires, greater than zero; never if nil. Nothing renews it.
    ///   - note: a text that others see beside the grants and requests. Characters beyond 255 encoded bytes are cut off.
    ///   - body: gets the fencing tokens by the locks' names.
    /// - Throws: `LockError` if a lock was not granted; `LockLost` if a lock was not held to the end, in preference to what
    ///   the body throws; what the body throws.
    public func withLocks<Result>(
        reading: [String] = [], writing: [String] = [],
        timeout: Duration? = nil, lease: Duration? = nil, note: String = "",
        _ body: ([LockName: Token]) throws -> Result
    ) throws -> Result {
        let time = try CallTime(waiting: TimeLimit(timeout: timeout))
        let requests = try LockOrder.sorted(reading: reading, writing: writing).map { name, mode in
            try Acquire(
                name, mode, timeout: timeout, lease: lease, note: note, owner: .session,
                mayCache: lease == nil && note.isEmpty)
        }
        return try holding([:], requests[...], time, body)
    }

    private func holding<Result>(
        _ tokens: [LockName: Token], _ requests: ArraySlice<Acquire>, _ time: CallTime,
        _ body: ([LockName: Token]) throws -> Result
    ) throws -> Result {
        guard let request = requests.first else { return try body(tokens) }
        return try acquire(request, time).whileHeld { grant in
            let tokens = tokens.merging([request.name: grant.token]) { $1 }
            return try holding(tokens, requests.dropFirst(), time) { tokens in
                if let lost = grant.lost { throw lost }
                return try body(tokens)
            }
        }
    }
}

/// The order in which several locks are acquired.
enum LockOrder {
    /// Each name once, by its bytes, with the stronger of its modes.
    static func sorted(reading: [String], writing: [String]) throws -> [(LockName, LockMode)] {
        var modes: [LockName: LockMode] = [:]
        for (names, mode) in [(reading, LockMode.read), (writing, .write)] {
            for name in names { modes[try LockName(checking: name)] = mode }
        }
        return modes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

extension LockName {
    /// A name from plain text.
    ///
    /// - Throws: `LockError.invalidArgument` if the text is empty, or too long once encoded.
    init(checking text: String) throws(LockError) {
        guard let name = LockName(encoding: text) else {
            throw .invalidArgument("a lock's name has 1 to \(LockName.maximumLength) encoded bytes: \(text)")
        }
        self = name
    }
}
