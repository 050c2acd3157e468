import LockVocabulary
import Synchronization

/// The party within this process that requests a lock.
///
/// The daemon judges recursion and deadlocks by owners. An owner that holds a lock to read gets it to read again at once,
/// even past waiting writers. A request that conflicts with a grant of its own owner throws `LockError.deadlock`, because
/// it would wait for itself.
///
/// The body of a `with…Lock` runs as an owner: requests of the same task in the body have the same owner. A task that is
/// started in the body is another owner, because it can wait while its parent continues. Outside of such a body every
/// request has a new owner. ``withOwner(isolation:_:)`` gives several requests or tasks one owner.
public struct LockOwner: Hashable, Sendable {
    let id: OwnerID

    /// A new owner, different from all others in this process.
    public init() {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        guard let id = OwnerID("t\(number)") else {
            preconditionFailure("a letter and a number are an owner")
        }
        self.id = id
    }

    private static let count = Atomic<UInt64>(0)

    /// Runs the body, and all tasks that are started in it, as this owner, unless they name another.
    ///
    /// - Parameters:
    ///   - isolation: the actor that the body is isolated to; the caller's by default.
    ///   - body: what runs as this owner.
    public func withOwner<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async rethrows -> Result {
        try await Binding.$current.withValue(Binding(owner: self, task: nil), operation: body)
    }

    /// The owner of the requests of the current task; nil if it has none.
    static var current: LockOwner? {
        guard let binding = Binding.current else { return nil }
        return binding.task == nil || binding.task == TaskIdentity.current ? binding.owner : nil
    }

    /// Runs the body as this owner, but not the tasks that are started in it.
    ///
    /// Within `withOwner` for this owner, those tasks keep it.
    func withOwnerOfThisTask<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async rethrows -> Result {
        if let binding = Binding.current, binding.owner == self, binding.task == nil {
            return try await body()
        }
        return try await Binding.$current.withValue(Binding(owner: self, task: .current), operation: body)
    }

    private struct Binding {
        let owner: LockOwner
        /// The only task with this owner; nil if the tasks that inherit the binding have it too.
        let task: TaskIdentity?

        @TaskLocal static var current: Binding?
    }
}

/// The identity of a task while it runs. A later task may have the same one.
///
/// A task compares its identity only with the one that an ancestor left in the binding. If the ancestor has ended and this
/// task has its identity by chance, the ancestor has no open request, so the mistake is harmless.
private struct TaskIdentity: Equatable {
    private let hash: Int

    static var current: TaskIdentity? {
        withUnsafeCurrentTask { $0.map { TaskIdentity(hash: $0.hashValue) } }
    }
}
