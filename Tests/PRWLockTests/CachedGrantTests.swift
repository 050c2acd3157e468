import Glibc
import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// Cached grants with a real daemon, for tasks.
@Suite(.timeLimit(.minutes(10))) struct CachedGrantTests {
    private let daemon: DaemonProcess
    private let client: Client
    private let lock: RWLock
    /// Another program, which caches nothing.
    private let other: RWLock

    init() throws {
        daemon = try DaemonProcess()
        client = Client(socketPath: daemon.socketPath, name: "tests")
        lock = client.lock("jobs")
        other = Client(socketPath: daemon.socketPath, caches: false).lock("jobs")
    }

    @Test(
        "a body after another gets the lock without a word to the daemon", arguments: [LockMode.read, .write])
    func hits(mode: LockMode) async throws {
        try await cache(mode)
        let before = try daemon.lines() + 1
        let count = Counter()
        for _ in 0..<100 {
            switch mode {
            case .write: try await lock.withWriteLock { count.value += 1 }
            case .read, .update: try await lock.withReadLock { count.value += 1 }
            }
        }
        for _ in 0..<100 {
            let token = try await lock.withLock(mode) { grant in
                await Task.yield()
                count.value += 1
                return grant.token
            }
            #expect(token.rawValue > 0)
        }
        #expect(count.value == 200)
        #expect(try daemon.lines() == before)
    }

    @Test(
        "while a body runs under a cached grant, another program waits for its end (G1)",
        arguments: [LockMode.read, .write])
    func exclusion(mode: LockMode) async throws {
        try await cache(mode)
        let (lock, other) = (lock, other)
        let bodies = Counter()
        let waiting = try await lock.withLock(mode) { _ in
            let waiting = Task { try await other.withWriteLock { bodies.value } }
            try await daemon.waits(for: "jobs", count: 1)
            bodies.value += 1
            return waiting
        }
        #expect(try await waiting.value == 1)
        try await lock.withLock(mode) { _ in }
    }

    @Test("another program gets the lock at once if no body holds it", arguments: [LockMode.read, .write])
    func taken(mode: LockMode) async throws {
        for _ in 0..<3 {
            try await cache(mode)
            try await other.withWriteLock(timeout: .zero) {}
        }
    }

    @Test("a synchronous body is waited for too, and its end lets the other program in") func synchronous()
        async throws
    {
        try await cache(.write)
        let daemon = daemon
        let session = try daemon.connect()
        try await lock.withWriteLock {
            try session.send("READ jobs")
            try daemon.waitsNow(for: "jobs", count: 1)
        }
        #expect(try session.nextLine()?.hasPrefix("GRANTED jobs read") == true)
    }

    @Test("two tasks at once have two owners, and both are cached") func twoTasks() async throws {
        let lock = lock
        // Two bodies that meet have two grants. The second time both are cached.
        for _ in 0..<2 {
            try await meet { other in try await lock.withReadLock { await other() } }
        }
        let before = try daemon.lines() + 1
        for _ in 0..<10 {
            try await meet { other in try await lock.withReadLock { await other() } }
        }
        #expect(try daemon.lines() == before)
        try await other.withWriteLock(timeout: .zero) {}
    }

    @Test("a thousand tasks exclude each other, with a program that comes and goes") func turns() async throws
    {
        let counter = Counter()
        let (lock, other) = (lock, other)
        try await withThrowingTaskGroup { group in
            for number in 0..<1000 {
                group.addTask {
                    let lock = number % 50 == 0 ? other : lock
                    if number % 2 == 0 {
                        try await lock.withWriteLock { counter.value += 1 }
                    } else {
                        try await lock.withWriteLock {
                            let count = counter.value
                            await Task.yield()
                            counter.value = count + 1
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(counter.value == 1000)
    }

    @Test(
        "a request of the body itself is recursion, past a waiting writer, and a conflict is a deadlock (G4, G8)"
    )
    func recursion() async throws {
        try await cache(.read)
        let (lock, other) = (lock, other)
        try await lock.withReadLock {
            let writer = Task { try await other.withWriteLock {} }
            try await daemon.waits(for: "jobs", count: 1)
            try await lock.withReadLock(timeout: .zero) {}
            let failure1 = await failure { try await lock.withWriteLock {} }
            #expect(isDeadlock(failure1))
            writer.cancel()
        }
        try await other.withWriteLock(timeout: .zero) {}
    }

    @Test("a circle over a cached grant and another lock is a deadlock (G8)") func circle() async throws {
        try await cache(.write)
        let (lock, other) = (lock, other)
        let (mine, theirs) = (client.lock("more"), other.client.lock("more"))
        try await theirs.withWriteLock {
            let first = Task { try await lock.withWriteLock { try await mine.withWriteLock {} } }
            try await daemon.waits(for: "more", count: 1)
            let failure2 = await failure { try await other.withWriteLock {} }
            #expect(isDeadlock(failure2))
            first.cancel()
            _ = await first.result
        }
    }

    @Test("a grant that outlives the body does not become another body's") func outliving() async throws {
        try await cache(.write)
        let more = client.lock("more")
        let held = Promise<Token>()
        let (lock, isDone) = (lock, Promise<Void>())
        async let holder: Void = {
            var outliving: Grant?
            try await lock.withWriteLock { outliving = try await more.acquireWrite() }
            guard let grant = outliving.take() else { return }
            held.fulfil(grant.token)
            await isDone.value
            try await grant.release()
        }()
        _ = await held.value
        // As the same owner, the request would be a deadlock.
        let refusal = await failure {
            try await lock.withWriteLock { try await more.withWriteLock(timeout: .zero) {} }
        }
        guard case .timedOut? = refusal as? LockError else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        isDone.fulfil(())
        try await holder
        try await lock.withWriteLock { try await more.withWriteLock(timeout: .zero) {} }
    }

    @Test("a revoked grant is a loss for its body: it is cancelled, and the call throws (G9)") func revoked()
        async throws
    {
        try await cache(.write)
        let session = try daemon.connect()
        let awaiting = await failure {
            try await lock.withWriteLock { grant in
                try session.send("REVOKE jobs token=\(grant.token)")
                _ = await grant.lossWatch.lost()
                // It ends because the body is cancelled.
                await Promise<Void>().valueUnlessCancelled()
            }
        }
        #expect((awaiting as? LockLost)?.cause == .revoked)
        #expect(try session.nextLine()?.hasPrefix("REVOKED") == true)
        try await cache(.write)
        let synchronous = await failure {
            try await lock.withWriteLock { try daemon.revokeHolder(of: "jobs") }
        }
        #expect((synchronous as? LockLost)?.cause == .revoked)
        try await lock.withWriteLock {}
    }

    @Test("the end of the daemon is a loss for a body, and the next call asks the next daemon")
    func daemonEnds() async throws {
        try await cache(.write)
        let loss = await failure { try await lock.withWriteLock { daemon.kill() } }
        #expect((loss as? LockLost)?.cause == .disconnected)
        try daemon.restart()
        try await lock.withWriteLock {}
        try await cache(.write)
        daemon.kill()
        try daemon.restart()
        // Without the page that says who serves, this would hold nothing.
        let free = try await lock.withWriteLock { try daemon.connect().ask("WRITE jobs wait=0") }
        #expect(free?.hasPrefix("BUSY") == true)
    }

    @Test("cached grants go on with the next worker (G14)") func worker() async throws {
        let daemon = try DaemonProcess("--keep")
        let lock = Client(socketPath: daemon.socketPath).lock("jobs")
        for _ in 0..<3 { try await lock.withWriteLock {} }
        try await lock.withWriteLock { _ = try daemon.killWorker() }
        for _ in 0..<3 {
            let free = try await lock.withWriteLock { try daemon.connect().ask("WRITE jobs wait=0") }
            #expect(free?.hasPrefix("BUSY") == true)
        }
        try daemon.killWorker()
        let free = try await lock.withWriteLock { try daemon.connect().ask("WRITE jobs wait=0") }
        #expect(free?.hasPrefix("BUSY") == true)
    }

    @Test("a lease, a note, update mode and a task with an owner ask the daemon each time") func never()
        async throws
    {
        let lock = lock
        for _ in 0..<3 {
            try await asks { try await lock.withWriteLock(lease: .seconds(60)) {} }
            try await asks { try await lock.withWriteLock(note: "why") {} }
            try await asks { try await lock.withUpdateLock { _ in } }
            try await asks { try await LockOwner().withOwner { try await lock.withWriteLock {} } }
        }
        let uncached = other
        for _ in 0..<3 { try await asks { try await uncached.withWriteLock {} } }
    }

    @Test("a task has its owner to its end, also after the call that gave it") func inherited() async throws {
        try await cache(.write)
        let (lock, mayGoOn) = (lock, Promise<Void>())
        let task = await LockOwner().withOwner {
            Task {
                await mayGoOn.value
                try await lock.withWriteLock {}
            }
        }
        try await asks {
            mayGoOn.fulfil(())
            try await task.value
        }
    }

    @Test("an upgrade ends the caching, and its end is as always (G10)") func upgrade() async throws {
        try await cache(.read)
        try await lock.withReadLock { grant in
            try await grant.upgrade(timeout: .seconds(60))
            #expect(grant.mode == .write)
            let free = try daemon.connect().ask("READ jobs wait=0")
            #expect(free?.hasPrefix("BUSY") == true)
        }
        try await other.withWriteLock(timeout: .zero) {}
    }

    @Test("a cancelled task gets no cached grant, and a timeout must be one") func refused() async throws {
        try await cache(.write)
        let lock = lock
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await lock.withWriteLock { _ = Issue.record("the body ran") }
        }
        let failure3 = await failure { try await task.value }
        #expect(failure3 is CancellationError)
        let failure4 = await failure { try await lock.withWriteLock(timeout: .seconds(-1)) {} }
        #expect(failure4 is LockError)
    }

    @Test("a closed client has no cached grant, and the end of a client ends its session") func closed()
        async throws
    {
        try await cache(.write)
        client.close()
        let failure5 = await failure { try await lock.withWriteLock {} }
        #expect(failure5 as? LockError == .closed)
        try await other.withWriteLock(timeout: .zero) {}
        do {
            let client = Client(socketPath: daemon.socketPath, name: "brief")
            for _ in 0..<3 { try await client.lock("brief").withWriteLock {} }
        }
        while try daemon.sessions(named: "brief") > 0 { await Task.yield() }
    }

    @Test("an error of the body passes through, and the grant stays cached") func error() async throws {
        struct Fault: Error {}
        try await cache(.write)
        let before = try daemon.lines() + 1
        let failure6 = await failure { try await lock.withWriteLock { throw Fault() } }
        #expect(failure6 is Fault)
        let waiting = await failure {
            try await lock.withWriteLock {
                await Task.yield()
                throw Fault()
            }
        }
        #expect(waiting is Fault)
        try await lock.withWriteLock {}
        #expect(try daemon.lines() == before)
    }

    // MARK: What the tests share

    /// Has the lock cached.
    private func cache(_ mode: LockMode) async throws {
        for _ in 0..<2 { try await lock.withLock(mode) { _ in } }
    }

    /// Runs something that sends at least one request.
    private func asks(_ body: () async throws -> Void) async throws {
        let before = try daemon.lines() + 1
        try await body()
        #expect(try daemon.lines() > before)
    }

    /// Runs two tasks at once, each of which calls its argument when the other may go on.
    private func meet(
        _ run: @escaping @Sendable (@escaping @Sendable () async -> Void) async throws -> Void
    ) async throws {
        let (first, second) = (Promise<Void>(), Promise<Void>())
        async let one: Void = run {
            first.fulfil(())
            await second.value
        }
        async let two: Void = run {
            second.fulfil(())
            await first.value
        }
        _ = try await (one, two)
    }
}

/// The error of something that must fail.
private func failure(_ body: () async throws -> Void) async -> (any Error)? {
    do {
        try await body()
        return nil
    } catch {
        return error
    }
}

private func isDeadlock(_ error: (any Error)?) -> Bool {
    if case .deadlock? = error as? LockError { true } else { false }
}

extension RWLock {
    /// Runs a body under the lock in a mode.
    fileprivate func withLock<Value>(
        _ mode: LockMode, _ body: (inout Grant) async throws -> Value
    ) async throws -> Value {
        switch mode {
        case .read: try await withReadLock(body)
        case .update: try await withUpdateLock(body)
        case .write: try await withWriteLock(body)
        }
    }
}

extension Promise<Void> {
    /// Waits for the value, or for the cancellation of the task.
    fileprivate func valueUnlessCancelled() async {
        await withTaskCancellationHandler {
            await value
        } onCancel: {
            fulfil(())
        }
    }
}

/// A number that only the holder of a lock changes.
private final class Counter: @unchecked Sendable {
    // Unchecked: the tests are about the lock that keeps other tasks from it.
    var value = 0
}
