import Glibc
import LockVocabulary
import Posix
import Rendezvous
import TestSupport
import Testing

@testable import PRWLock

/// The client with a real daemon.
@Suite(.timeLimit(.minutes(10))) struct ClientTests {
    private let daemon: DaemonProcess
    private let client: Client
    private let lock: RWLock

    init() throws {
        daemon = try DaemonProcess()
        client = Client(socketPath: daemon.socketPath, name: "tests")
        lock = client.lock("jobs")
    }

    @Test("readers share the lock, a writer has it alone (G1)") func exclusion() async throws {
        let (readersFree, writerFree) = try await lock.withReadLock {
            (try await lock.isFree(for: .read), try await lock.isFree(for: .write))
        }
        #expect(readersFree && !writerFree)
        let free = try await lock.withWriteLock { try await lock.isFree(for: .read) }
        #expect(!free)
    }

    @Test("a thousand tasks exclude each other") func turns() async throws {
        let counter = Counter()
        try await withThrowingTaskGroup { group in
            for _ in 0..<1000 {
                group.addTask { [lock] in
                    try await lock.withWriteLock {
                        let count = counter.value
                        await Task.yield()
                        counter.value = count + 1
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(counter.value == 1000)
    }

    @Test("tokens rise, and show whether a grant is still held (G7)") func tokens() async throws {
        let (first, second) = try await (
            lock.withWriteLock { grant in grant.token },
            lock.withWriteLock { grant in
                let isValid = try await lock.validate(grant.token)
                #expect(isValid)
                return grant.token
            }
        )
        #expect(first < second)
        #expect(try await !lock.validate(first))
    }

    @Test("a request for the same lock in the body is recursion, also past a waiting writer (G4)")
    func recursion()
        async throws
    {
        try await lock.withReadLock {
            let writer = Task { [lock] in try await lock.withWriteLock {} }
            try await daemon.waits(for: "jobs", count: 1)
            try await lock.withReadLock(timeout: .zero) {}
            // A task that is started in the body is another owner, so it waits behind the writer.
            #expect(try await !lock.isFree(for: .read), "a new reader went past a waiting writer (G2)")
            writer.cancel()
        }
    }

    @Test("a request that conflicts with its owner's own grant is a deadlock at once (G8)")
    func selfDeadlock()
        async throws
    {
        try await lock.withReadLock {
            do {
                try await lock.withWriteLock {}
                Issue.record("it waited for itself")
            } catch LockError.deadlock(_, let mode, let cycle) {
                #expect(mode == .write)
                #expect(cycle.named.first?.lock == lock.name)
            }
        }
    }

    @Test("tasks within `withOwner` are one owner") func commonOwner() async throws {
        let owner = LockOwner()
        try await owner.withOwner {
            let grant = try await lock.acquireRead()
            let isDeadlock = await Task { [lock] in
                do { _ = try await lock.acquireWrite() } catch LockError.deadlock { return true } catch {}
                return false
            }.value
            #expect(isDeadlock)
            try await grant.release()
        }
    }

    @Test("an update lock becomes a write lock when the readers have left, and a read lock again (G10)")
    func upgrade() async throws {
        let reader = try daemon.connect()
        #expect(try reader.ask("READ jobs") == "GRANTED jobs read token=1")
        try await lock.withUpdateLock { grant in
            let before = grant.token
            do {
                try await grant.upgrade(timeout: .milliseconds(5))
                Issue.record("there is a reader")
            } catch LockError.timedOut(_, let mode, let waited, let heldBy) {
                #expect(mode == .write)
                #expect(waited >= .milliseconds(5))
                #expect(heldBy.named.map(\.mode) == [.read])
            }
            #expect(grant.mode == .update)
            #expect(grant.token == before)
            #expect(try reader.ask("RELEASE jobs") == "RELEASED jobs token=1")
            try await grant.upgrade()
            #expect(grant.mode == .write)
            #expect(grant.token > before)
            try await grant.downgrade()
            #expect(grant.mode == .read)
            #expect(try await lock.isFree(for: .read))
        }
    }

    @Test("a timeout counts milliseconds, and its error names the holders (G5)") func timeout()
        async throws
    {
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs note=nightly") == "GRANTED jobs write token=1")
        do {
            _ = try await lock.acquireRead(timeout: .milliseconds(20))
            Issue.record("it is held")
        } catch LockError.timedOut(let name, let mode, let waited, let heldBy) {
            #expect(name == lock.name)
            #expect(mode == .read)
            #expect(waited >= .milliseconds(20))
            #expect(heldBy.named.map(\.processID) == [holder.processID])
            #expect(
                "\(LockError.timedOut(name, mode, waited: waited, heldBy: heldBy))"
                    .contains("process \(holder.processID) (write)"))
        }
        let status = try await lock.status()
        #expect(status.holders.map(\.note.description) == ["nightly"])
        #expect(status.waiters == [])
    }

    @Test("the next holder learns that the last writer died (G6, G11)") func ownerDied() async throws {
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        holder.kill()
        try await lock.withWriteLock { grant in
            let died = grant.previousOwnerDied
            #expect(died)
        }
        try await lock.withWriteLock { grant in
            let died = grant.previousOwnerDied
            #expect(!died)
        }
    }

    @Test("a task that is cancelled while it waits leaves the queue") func cancellation() async throws {
        let grant = try await lock.acquireWrite()
        let waiting = Task { [lock] in try await lock.withWriteLock {} }
        try await daemon.waits(for: "jobs", count: 1)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        try await daemon.waits(for: "jobs", count: 0)
        try await grant.release()
    }

    @Test("cancellation at any moment neither leaks a grant nor loses one") func cancellationStorm()
        async throws
    {
        for round in 0..<300 {
            let task = Task { [lock] in try await lock.withWriteLock { await Task.yield() } }
            for _ in 0..<(round % 30) { await Task.yield() }
            task.cancel()
            _ = await task.result
        }
        let grant = try await lock.acquireWrite(timeout: .seconds(60))
        try await grant.release()
        #expect(try await client.list().allSatisfy { $0.holders == 0 && $0.waiters == 0 })
    }

    @Test("the end of a lease cancels the body, and the caller gets the loss (G9)") func expiry() async throws
    {
        do {
            try await lock.withWriteLock(lease: .milliseconds(20), renewsLease: false) {
                try await Task.sleep(for: .seconds(60))
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .expired)
        }
        #expect(!Task.isCancelled)
        try await lock.withWriteLock { grant in
            let died = grant.previousOwnerDied
            #expect(died)
        }
    }

    @Test("a renewed lease starts again (G9)") func renewal() async throws {
        let grant = try await lock.acquireWrite(lease: .seconds(60))
        try await grant.renew(lease: .seconds(3600))
        let left = try #require(try await lock.status().holders.first?.leaseLeft)
        #expect(left > .seconds(60))
        try await grant.renew()
        try await grant.release()
    }

    @Test("a grant that is revoked is lost") func revocation() async throws {
        let administrator = try PeerProcess(of: daemon)
        do {
            try await lock.withWriteLock { grant in
                let line = try administrator.session.ask("REVOKE jobs token=\(grant.token)")
                #expect(line == "REVOKED jobs token=\(grant.token)")
                try await Task.sleep(for: .seconds(60))
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .revoked)
        }
    }

    @Test("when the daemon is killed, its grants are lost, and the next daemon serves requests")
    func reconnect() async throws {
        do {
            try await lock.withWriteLock { grant in
                daemon.kill()
                try daemon.restart()
                try await Task.sleep(for: .seconds(60))
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .disconnected)
        }
        try await lock.withWriteLock { grant in #expect(grant.lost == nil) }
    }

    @Test("a request that waits when the daemon is killed gets the lock from the next one")
    func waitingOverRestart()
        async throws
    {
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiting = Task { [lock] in try await lock.withWriteLock { $0.token } }
        try await daemon.waits(for: "jobs", count: 1)
        daemon.kill()
        try daemon.restart()
        #expect(try await waiting.value > Token(rawValue: 1))
    }

    @Test("an upgrade that waits at the end of its lease reports the loss (G9, G10)") func upgradeExpires()
        async throws
    {
        let reader = try daemon.connect()
        #expect(try reader.ask("READ jobs") == "GRANTED jobs read token=1")
        await #expect(throws: LockLost.self) {
            try await lock.withUpdateLock(lease: .milliseconds(20), renewsLease: false) { grant in
                do {
                    try await grant.upgrade()
                    Issue.record("there is a reader")
                } catch let lost as LockLost {
                    #expect(lost.cause == .expired)
                }
            }
        }
    }

    @Test("without a daemon the error says what to do, and a later request finds the new daemon")
    func noDaemon()
        async throws
    {
        daemon.kill()
        do {
            _ = try await lock.tryRead()
            Issue.record("there is no daemon")
        } catch LockError.unreachable(let reason) {
            #expect("\(reason)".contains("prwlockd --socket \(daemon.socketPath)"))
        }
        try daemon.restart()
        try await lock.withReadLock {}
    }

    @Test("any text names one lock") func names() async throws {
        let lock = client.lock("a name with spaces, ü and %")
        let listed = try await lock.withWriteLock { try await client.list(prefix: "a name") }
        #expect(listed.map(\.name) == [lock.name])
        #expect(lock.description == "a name with spaces, ü and %")
    }

    @Test("a note of any length is cut off between two characters") func note() {
        let note = Note(fitting: String(repeating: "aü", count: 100_000))
        #expect(note == Note(encoding: String(repeating: "aü", count: 36) + "a"))
        // One character of many bytes does not fit.
        #expect(Note(fitting: "e" + String(repeating: "\u{301}", count: 100_000)) == .none)
    }

    @Test("the session has the name of its client") func greeting() async throws {
        try await client.ping()
        let session = try daemon.connect()
        try session.send("SESSIONS")
        #expect(try session.lines(through: "END").contains { $0.contains("client=tests") })
    }
}

/// A number that only a lock protects.
private final class Counter: @unchecked Sendable {
    // Unchecked: the tests are about the lock that keeps other tasks from it.
    var value = 0
}

extension RWLock {
    /// Whether another task would get the lock at once.
    fileprivate func isFree(for mode: LockMode) async throws -> Bool {
        try await Task {
            let grant = mode == .read ? try await tryRead() : try await tryWrite()
            guard let grant else { return false }
            try await grant.release()
            return true
        }.value
    }
}

extension DaemonProcess {
    /// Returns once so many requests wait for a lock.
    nonisolated(nonsending) func waits(for name: String, count: Int) async throws {
        let session = try connect()
        while true {
            try session.send("STATUS \(name)")
            let waiters = try session.lines(through: "END").filter { $0.hasPrefix("* waiter") }
            if waiters.count == count { return }
            await Task.yield()
        }
    }
}
