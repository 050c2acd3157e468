import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// The blocking client with a real daemon.
@Suite(.timeLimit(.minutes(10))) struct BlockingLockTests {
    private let daemon: DaemonProcess
    private let client: BlockingClient
    private let lock: BlockingRWLock
    /// The lock as another thread has it.
    private let other: BlockingRWLock

    init() throws {
        daemon = try DaemonProcess()
        client = BlockingClient(socketPath: daemon.socketPath, name: "tests")
        lock = client.lock("jobs")
        other = BlockingClient(socketPath: daemon.socketPath).lock("jobs")
    }

    @Test("readers share the lock, a writer has it alone (G1)") func exclusion() throws {
        try lock.withReadLock {
            try other.withReadLock(timeout: .zero) {}
            #expect(heldBy(other, .write) == [.read])
        }
        try lock.withWriteLock { #expect(heldBy(other, .read) == [.write]) }
        try other.withWriteLock(timeout: .zero) {}
    }

    @Test("a reader may read again, and an owner that would wait for itself gets a deadlock (G4, G8)")
    func recursion() throws {
        try lock.withReadLock {
            try lock.withReadLock {}
            do {
                try lock.withWriteLock {}
                Issue.record("it waited for itself")
            } catch LockError.deadlock {}
        }
    }

    @Test("a refused try returns nil, and a refused acquire throws") func refusal() throws {
        let holder = try lock.acquireWrite()
        let gotIt = try other.tryRead() != nil
        #expect(!gotIt)
        #expect(heldBy(other, .read) == [.write])
        try holder.release()
    }

    @Test("an update lock becomes a write lock, and a read lock again (G10)") func upgrade() throws {
        try lock.withUpdateLock { grant in
            let before = grant.token
            try grant.upgrade(timeout: .seconds(1))
            #expect(grant.mode == .write)
            #expect(grant.token > before)
            try grant.downgrade()
            #expect(grant.mode == .read)
        }
    }

    @Test("the end of a lease is a loss, which `lost` and `release` report (G9)") func expiry() throws {
        let grant = try lock.acquireWrite(lease: .milliseconds(5))
        while grant.lost == nil {}
        #expect(grant.lost?.cause == .expired)
        do {
            try grant.release()
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .expired)
        }
        let next = try lock.acquireWrite()
        #expect(next.previousOwnerDied == true)
        try next.release()
    }

    @Test("when the daemon is killed, its grants are lost, and the next daemon serves requests")
    func reconnect() throws {
        do {
            try lock.withWriteLock {
                daemon.kill()
                try daemon.restart()
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .disconnected)
        }
        try lock.withWriteLock {}
    }

    @Test("a grant that goes out of scope is released") func outOfScope() throws {
        do { _ = try lock.acquireWrite() }
        try other.withWriteLock(timeout: .seconds(10)) {}
    }

    /// The modes in which the lock is held, from the error of a refused request.
    private func heldBy(_ lock: BlockingRWLock, _ mode: LockMode) -> [LockMode] {
        do throws(LockError) {
            _ = mode == .read ? try lock.acquireRead(timeout: .zero) : try lock.acquireWrite(timeout: .zero)
            return []
        } catch {
            if case .timedOut(_, _, _, let heldBy) = error { return heldBy.named.map(\.mode) }
            Issue.record(error)
            return []
        }
    }
}
