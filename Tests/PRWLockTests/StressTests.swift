import PRWLock
import TestSupport
import Testing

/// Every call of the client, by many tasks at once, cancelled at any moment.
@Suite(.timeLimit(.minutes(10))) struct StressTests {
    private let daemon: DaemonProcess

    init() throws { daemon = try DaemonProcess() }

    @Test("whenever a call is cancelled, nothing stays held or waiting", arguments: StressedCall.allCases)
    func cancellation(call: StressedCall) async throws {
        let client = Client(socketPath: daemon.socketPath)
        try await withThrowingTaskGroup { group in
            for worker in 0..<4 {
                group.addTask {
                    for round in 0..<30 {
                        let task = Task { try await call.make(client, "jobs/\(worker % 2)") }
                        for _ in 0..<(round % 15) * 4 { await Task.yield() }
                        task.cancel()
                        do { try await task.value } catch is CancellationError {}
                    }
                }
            }
            try await group.waitForAll()
        }
        try await isFree()
    }

    @Test("64 tasks may be the first to use a client at the same time") func firstUse() async throws {
        for _ in 0..<3 {
            let client = Client(socketPath: daemon.socketPath)
            try await withThrowingTaskGroup { group in
                for number in 0..<64 {
                    let call = StressedCall.allCases[number % StressedCall.allCases.count]
                    group.addTask { try await call.make(client, "jobs/\(number % 5)") }
                }
                try await group.waitForAll()
            }
        }
        try await isFree()
    }

    /// Waits until no lock is held or waited for. What a dropped grant or a cancelled request leaves is on its way; what is cached
    /// stays.
    private func isFree() async throws {
        let client = Client(socketPath: daemon.socketPath)
        while try await client.list().contains(where: { $0.holders > 0 || $0.waiters > 0 }) {
            await Task.yield()
        }
    }
}

/// A call of the client and what follows from it.
enum StressedCall: CaseIterable {
    case acquireRead, acquireUpdate, acquireWrite, drop, tryWrite, withReadLock, withWriteLock, letBodyFinish
    case upgrade, recursion, severalLocks, status, list, ping, validate, lossWatch, watch

    func make(_ client: Client, _ name: String) async throws {
        let lock = client.lock(name)
        switch self {
        case .acquireRead: try await lock.acquireRead().release()
        case .acquireUpdate: try await lock.acquireUpdate(timeout: .seconds(60)).release()
        case .acquireWrite:
            let grant = try await lock.acquireWrite(timeout: .seconds(60), lease: .seconds(60))
            try await grant.renew()
            try await grant.release()
        case .drop: _ = try await lock.acquireWrite()
        case .tryWrite:
            if let grant = try await lock.tryWrite(timeout: .seconds(60)) { try await grant.release() }
        case .withReadLock: try await lock.withReadLock { await Task.yield() }
        case .withWriteLock: try await lock.withWriteLock(lease: .seconds(60)) { await Task.yield() }
        case .letBodyFinish: try await lock.withWriteLock(onLoss: .letBodyFinish) { await Task.yield() }
        case .upgrade:
            try await lock.withUpdateLock { grant in
                try await grant.upgrade()
                try await grant.downgrade()
            }
        case .recursion: try await lock.withReadLock { try await lock.withReadLock { await Task.yield() } }
        case .severalLocks:
            try await client.withLocks(reading: [name + "/r"], writing: [name, name + "/w"]) {
                await Task.yield()
            }
        case .status: _ = try await lock.status()
        case .list: _ = try await client.list(prefix: name)
        case .ping: try await client.ping()
        case .validate: _ = try await lock.validate(Token(rawValue: 1))
        case .lossWatch:
            let grant = try await lock.acquireRead()
            let watch = grant.lossWatch
            let loss = Task { await watch.lost() }
            loss.cancel()
            #expect(await loss.value == nil)
            try await grant.release()
        case .watch:
            let events = try await client.watch(prefix: name)
            let first = Task { for try await _ in events { break } }
            try await lock.withReadLock {}
            try await first.value
        }
    }
}
