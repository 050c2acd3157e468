import LockVocabulary
import Posix
import TestSupport
import Testing

@testable import PRWLock

/// The daemon's limits for one session, as tasks meet them. The client has no queue of its own.
@Suite(.timeLimit(.minutes(1))) struct LimitTests {
    private let daemon: DaemonProcess
    private let client: Client
    private let lock: RWLock

    init() throws {
        daemon = try DaemonProcess()
        client = Client(socketPath: daemon.socketPath)
        lock = client.lock("jobs")
    }

    @Test("while 1,000 tasks wait, the next one is refused at once, and the others are not affected")
    func waiters() async throws {
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiting = (0..<1000).map { _ in Task { [lock] in try await lock.withReadLock {} } }
        try await daemon.waits(for: "jobs", count: 1000)

        for timeout in [nil, Duration.seconds(3600)] {
            do {
                try await lock.withWriteLock(timeout: timeout) {}
                Issue.record("1,000 wait")
            } catch LockError.refused(let code, _) {
                #expect(code == .limitWaiters)
            }
        }
        // Another lock is granted, and a request that does not wait is answered.
        try await client.lock("mail").withWriteLock {}
        let isGranted = try await lock.tryWrite() != nil
        #expect(!isGranted)

        // The place of a task that is cancelled is free again.
        waiting.first?.cancel()
        try await daemon.waits(for: "jobs", count: 999)
        let late = Task { [lock] in try await lock.withReadLock {} }
        try await daemon.waits(for: "jobs", count: 1000)

        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        for task in waiting.dropFirst() { try await task.value }
        try await late.value
    }

    @Test("of 1,500 tasks that begin at once, 500 are refused and 1,000 are served") func rush() async throws
    {
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let (refused, isEnough) = (Guarded(0), Promise<Void>())
        let tasks = (0..<1500).map { _ in
            Task { [lock] in
                do {
                    try await lock.withWriteLock {}
                    return true
                } catch LockError.refused(.limitWaiters, _) {
                    let count = refused.withLock { count in
                        count += 1
                        return count
                    }
                    if count == 500 { isEnough.fulfil(()) }
                    return false
                }
            }
        }
        await isEnough.value
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=1")
        var served = 0
        for task in tasks where try await task.value { served += 1 }
        #expect(served == 1000)
    }
}
