import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// The daemon's limits for one session, as tasks meet them.
@Suite(.timeLimit(.minutes(10))) struct LimitTests {
    private let daemon: DaemonProcess
    private let client: Client
    private let lock: RWLock

    init() throws {
        daemon = try DaemonProcess()
        client = Client(socketPath: daemon.socketPath)
        lock = client.lock("jobs")
    }

    @Test("while 1,000 tasks wait at the daemon, the next ones wait in the client") func waiters()
        async throws
    {
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiting = (0..<1000).map { _ in Task { [lock] in try await lock.withReadLock {} } }
        try await daemon.waits(for: "jobs", count: 1000)

        let late = Task { [lock] in try await lock.withWriteLock {} }
        let cancelled = Task { [lock] in try await lock.withWriteLock {} }
        await #expect { try await lock.withWriteLock(timeout: .milliseconds(300)) {} } throws: {
            if case LockError.timedOut = $0 { true } else { false }
        }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        // Another lock is granted, and a request that does not wait is answered.
        try await client.lock("mail").withWriteLock {}
        let isGranted = try await lock.tryWrite() != nil
        #expect(!isGranted)

        // The place of a task that is cancelled is used by a queued one.
        waiting.first?.cancel()
        try await daemon.waits(for: "jobs", count: 1000)
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        for task in waiting.dropFirst() { try await task.value }
        try await late.value
    }

    @Test("all of 1,500 tasks that begin at once are served") func rush() async throws {
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let tasks = (0..<1500).map { _ in Task { [lock] in try await lock.withWriteLock {} } }
        try await daemon.waits(for: "jobs", count: 1000)
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        for task in tasks { try await task.value }
        #expect(try await client.list().allSatisfy { $0.holders == 0 && $0.waiters == 0 })
    }
}
