import LockVocabulary
import Synchronization

/// Who asks for a lock within this process.
///
/// Recursion and the search for deadlocks go by owners: an owner that may read gets to read again at once, even past
/// waiting writers; and an owner that asks for what it has itself, in a mode that conflicts, is refused rather than
/// left to wait for itself.
///
/// The body of a `with…Lock` runs as an owner: what is asked for in it, in the same task, has the same owner. A task
/// that is started in it is somebody else, as it may wait where its parent does not. Outside of such a body every
/// request has an owner of its own. Who wants it otherwise says so, with `withOwner`.
public struct LockOwner: Hashable, Sendable {
    let id: OwnerID

    /// An owner unlike any other in this process.
    public init() {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        guard let id = OwnerID("t\(number)") else {
            preconditionFailure("a letter and a number are an owner")
        }
        self.id = id
    }

    private static let count = Atomic<UInt64>(0)

    /// Runs the body, and all tasks that are started in it, as this owner, unless they say otherwise.
    public func withOwner<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async rethrows -> Result {
        try await Binding.$current.withValue(Binding(owner: self, task: nil), operation: body)
    }

    /// The owner of what is asked for here; nil if nothing says so.
    static var current: LockOwner? {
        guard let binding = Binding.current else { return nil }
        return binding.task == nil || binding.task == TaskIdentity.current ? binding.owner : nil
    }

    /// Runs the body as this owner, but no task that is started in it.
    ///
    /// Where somebody said that they are this owner too, it stays so.
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
        /// The only task that it is for; nil if also for those that inherit it.
        let task: TaskIdentity?

        @TaskLocal static var current: Binding?
    }
}

/// Which task this is, as long as it runs: another one may have the same identity later.
///
/// It is only compared within a task with what that task's ancestors left to it. An ancestor that has ended, and whose
/// identity this task has by chance, has no request open; so to be taken for it harms nobody.
private struct TaskIdentity: Equatable {
    private let hash: Int

    static var current: TaskIdentity? {
        withUnsafeCurrentTask { $0.map { TaskIdentity(hash: $0.hashValue) } }
    }
}
