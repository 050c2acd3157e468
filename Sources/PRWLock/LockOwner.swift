import LockVocabulary
public import Synchronization

/// The party within this process that requests a lock.
///
/// The daemon judges recursion and deadlocks by owners. An owner that holds a lock to read gets it to read again at once,
/// even past waiting writers. A request that conflicts with a grant of its own owner throws `LockError.deadlock`, because
/// it would wait for itself.
///
/// The body of a `with…Lock` runs as an owner: requests of the same task in the body have the same owner. A task that is
/// started in the body is another owner, because it can wait while its parent continues. Outside of such a body every
/// request has a new owner. ``withOwner(_:)`` gives several requests or tasks one owner.
///
/// The daemon cannot see that a task waits for another task of this process. A body that awaits a child task (`async let`,
/// a task group, `Task.value`) which requests the same lock in a conflicting mode waits for ever: the child waits for the
/// body's grant, and the body for the child. Request the lock in the body itself, give the child a timeout, or run both
/// within one `withOwner`, so that the child's request throws `LockError.deadlock`.
public struct LockOwner: Hashable, Sendable {
    let id: OwnerID

    /// For an owner that is used by one body after another: whether it must not be used again.
    private let use: Use?

    /// A new owner, different from all others in this process.
    public init() { self.init(ofPool: false) }

    /// - Parameter ofPool: whether one body after another uses the owner.
    init(ofPool: Bool) {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        guard let id = OwnerID("t\(number)") else {
            preconditionFailure("a letter and a number are an owner")
        }
        self.id = id
        use = ofPool ? Use() : nil
    }

    private static let count = Atomic<UInt64>(0)

    private final class Use: Sendable {
        let isSpent = Atomic<Bool>(false)
    }

    /// Whether the owner may hold or request something that outlives the body that it was used for.
    var isSpent: Bool { use?.isSpent.load(ordering: .relaxed) ?? false }

    /// Notes that what the owner requests now may outlive the body.
    func spend() { use?.isSpent.store(true, ordering: .relaxed) }

    public static func == (left: LockOwner, right: LockOwner) -> Bool { left.id == right.id }

    public func hash(into hasher: inout Hasher) { hasher.combine(id) }

    /// Runs the body, and all tasks that are started in it, as this owner, unless they name another.
    ///
    /// The body runs in the caller's task and isolation. The call itself does not wait, and cancellation does not end it.
    ///
    /// - Parameter body: what runs as this owner.
    public func withOwner<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        try await Self.run(bound: Binding(owner: self, scope: nil), body)
    }

    /// The owner of the requests of the current task; nil if it has none.
    static var current: LockOwner? {
        guard let binding = Binding.current else { return nil }
        return binding.scope?.isOfCurrentTask ?? true ? binding.owner : nil
    }

    /// Runs the body as this owner, but not the tasks that are started in it.
    ///
    /// Within `withOwner` for this owner, those tasks keep it.
    func withOwnerOfThisTask<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        if let binding = Binding.current, binding.owner == self, binding.scope == nil {
            return try await body()
        }
        let scope = TaskScope()
        defer { scope.end() }
        return try await Self.run(bound: Binding(owner: self, scope: scope), body)
    }

    /// - Parameter isolation: the caller's actor. A closure is isolated to it only if it uses this parameter.
    private static func run<Result>(
        bound binding: Binding, isolation: isolated (any Actor)? = #isolation,
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async rethrows -> Result {
        try await Binding.$current.withValue(binding) {
            _ = isolation
            return try await body()
        }
    }

    /// A class, because a task-local value that is one word is read faster.
    private final class Binding: Sendable {
        let owner: LockOwner
        /// The scope of the only task with this owner; nil if the tasks that inherit the binding have it too.
        let scope: TaskScope?

        init(owner: LockOwner, scope: TaskScope?) {
            (self.owner, self.scope) = (owner, scope)
            BoundOwners.ofProcess.add()
        }

        deinit { BoundOwners.ofProcess.remove() }

        @TaskLocal static var current: Binding?
    }
}

/// How many bindings of owners to tasks there are in this process.
///
/// A task can have an owner only while its binding lives. So if there is none, the current task has no owner, and that costs
/// one load instead of the search for a task-local value. A task with an owner never reads zero: its binding was added before
/// the task got it, and is removed after the last task with it has ended.
@usableFromInline
final class BoundOwners: Sendable {
    static let ofProcess = BoundOwners()

    @usableFromInline let count = Atomic<Int>(0)

    @usableFromInline var areNone: Bool {
        @inlinable @inline(__always) get { count.load(ordering: .relaxed) == 0 }
    }

    fileprivate func add() { count.add(1, ordering: .relaxed) }
    fileprivate func remove() { count.subtract(1, ordering: .relaxed) }
}

/// A call in which one task is an owner.
///
/// A task that outlives the call inherits the binding too. It may even have the identity of the call's task, which is an
/// address that the runtime uses again once the task has ended. So the identity counts only until the call ends: until
/// then its task lives, and no other task has that address.
private final class TaskScope: Sendable {
    private let task = identityOfCurrentTask()
    private let isOver = Atomic<Bool>(false)

    func end() { isOver.store(true, ordering: .relaxed) }

    var isOfCurrentTask: Bool {
        !isOver.load(ordering: .relaxed) && task == identityOfCurrentTask()
    }
}

/// The identity of the current task among the tasks that live; nil outside of a task.
private func identityOfCurrentTask() -> Int? {
    withUnsafeCurrentTask { $0?.hashValue }
}
