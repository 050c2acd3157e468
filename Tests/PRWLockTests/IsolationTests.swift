import PRWLock
import TestSupport
import Testing

/// Where the bodies of scoped calls run. ThreadSanitizer sees a race in `Account` if one runs elsewhere.
@Suite(.timeLimit(.minutes(10))) struct IsolationTests {
    private let daemon: DaemonProcess
    private let lock: RWLock

    init() throws {
        daemon = try DaemonProcess()
        lock = Client(socketPath: daemon.socketPath).lock("jobs")
    }

    @Test("a body runs on the actor that calls") func directly() async throws {
        let account = Account(lock)
        try await account.deposit()
        #expect(await account.balance == 9)
    }

    @Test("a body runs on the main actor that calls") @MainActor func mainActor() async throws {
        var count = 0
        for onLoss in [LossHandling.cancelBody, .letBodyFinish] {
            try await lock.withWriteLock(onLoss: onLoss) {
                MainActor.assertIsolated()
                await Task.yield()
                MainActor.assertIsolated()
                count += 1
            }
        }
        await LockOwner().withOwner {
            MainActor.assertIsolated()
            await Task.yield()
            MainActor.assertIsolated()
        }
        #expect(count == 2)
    }

    @Test("the actor's other methods never run within a step of a body", arguments: Path.allCases)
    func stress(path: Path) async throws {
        let (account, lock) = (Account(lock), lock)
        let rounds = 40
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<rounds { try await account.deposit(by: path) }
                }
                group.addTask {
                    for _ in 0..<rounds * 20 {
                        await account.look()
                        await Task.yield()
                    }
                }
                group.addTask {
                    for _ in 0..<rounds { try await lock.withReadLock { await account.look() } }
                }
            }
            try await group.waitForAll()
        }
        #expect(await account.balance == 4 * rounds * 2)
    }

    /// The way from an actor's method to a body.
    enum Path: CaseIterable {
        case isolatedParameter, nonsending, owner, uncancelled, severalLocks
    }
}

/// An actor with state that its methods change in bodies.
private actor Account {
    private(set) var balance = 0
    private var isInStep = false
    private let lock: RWLock

    init(_ lock: RWLock) { self.lock = lock }

    func look() { precondition(!isInStep, "a body runs off its actor") }

    private func step() {
        assertIsolated()
        precondition(!isInStep, "two bodies run at the same time")
        isInStep = true
        balance += 1
        isInStep = false
    }

    func deposit() async throws {
        try await lock.withReadLock {
            step()
            await Task.yield()
            step()
        }
        try await lock.withUpdateLock { grant in
            step()
            try await grant.upgrade()
            step()
        }
        try await lock.withWriteLock(onLoss: .letBodyFinish) {
            step()
            try await lock.client.lock("other").withReadLock { step() }
        }
        await LockOwner().withOwner {
            step()
            await Task.yield()
            step()
        }
        try await lock.client.withLocks(reading: ["a"], writing: ["b"]) { step() }
    }

    func deposit(by path: IsolationTests.Path) async throws {
        switch path {
        case .isolatedParameter: try await isolated(lock) { step() }
        case .nonsending: try await nonsending(lock) { step() }
        case .owner: await owned { step() }
        case .uncancelled: try await uncancelled(lock) { step() }
        case .severalLocks: try await several(lock.client) { step() }
        }
    }
}

// The closures in these functions do not use `isolation`, so the compiler does not isolate them to it.

private func isolated(
    _ lock: RWLock, isolation: isolated (any Actor)? = #isolation, _ step: () -> Void
) async throws {
    try await lock.withWriteLock {
        step()
        await Task.yield()
        step()
    }
}

nonisolated(nonsending) private func nonsending(_ lock: RWLock, _ step: () -> Void) async throws {
    try await lock.withWriteLock { grant in
        step()
        try await grant.renew(lease: .seconds(60))
        step()
    }
}

private func owned(isolation: isolated (any Actor)? = #isolation, _ step: () -> Void) async {
    await LockOwner().withOwner {
        step()
        await Task.yield()
        step()
    }
}

private func uncancelled(
    _ lock: RWLock, isolation: isolated (any Actor)? = #isolation, _ step: () -> Void
) async throws {
    try await lock.withUpdateLock(onLoss: .letBodyFinish) { grant in
        step()
        try await grant.upgrade()
        step()
    }
}

private func several(
    _ client: Client, isolation: isolated (any Actor)? = #isolation, _ step: () -> Void
) async throws {
    try await client.withLocks(writing: ["b", "a"]) {
        step()
        await Task.yield()
        step()
    }
}
