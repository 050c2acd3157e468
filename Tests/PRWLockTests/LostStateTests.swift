import Glibc
import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// A daemon that has lost its state gives tokens, and generations of slots, that its client has seen before.
///
/// So a cached grant of the former session must not become that of another lock.
@Suite(.timeLimit(.minutes(10))) struct LostStateTests {
    private let daemon: DaemonProcess

    init() throws { daemon = try DaemonProcess() }

    @Test("no task enters the cached grant of a former session") func tasks() async throws {
        let client = Client(socketPath: daemon.socketPath)
        let (lock, more) = (client.lock("jobs"), client.lock("more"))
        let before = try await cached(lock)
        try loseState()
        #expect(try await cached(more) == before)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs")?.hasPrefix("GRANTED") == true)
        // A body with `await` and one without go different ways.
        await #expect(throws: LockError.self) { try await lock.withWriteLock(timeout: .zero) {} }
        await #expect(throws: LockError.self) {
            try await lock.withWriteLock(timeout: .zero) { await Task.yield() }
        }
    }

    @Test("no thread enters the cached grant of a former session") func blocking() throws {
        let client = BlockingClient(socketPath: daemon.socketPath)
        let (lock, more) = (client.lock("jobs"), client.lock("more"))
        let before = try cached(lock)
        try loseState()
        #expect(try cached(more) == before)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs")?.hasPrefix("GRANTED") == true)
        #expect(throws: LockError.self) { try lock.withWriteLock(timeout: .zero) {} }
        let isFree = try lock.tryWrite() != nil
        #expect(!isFree)
    }

    /// Has the lock cached, and returns the token.
    private func cached(_ lock: RWLock) async throws -> Token {
        for _ in 0..<2 { try await lock.withWriteLock {} }
        return try await lock.withWriteLock { grant in grant.token }
    }

    private func cached(_ lock: BlockingRWLock) throws -> Token {
        for _ in 0..<2 { try lock.withWriteLock {} }
        return try lock.withWriteLock { grant in grant.token }
    }

    /// Ends the daemon, and starts it without what it has noted on the disk.
    private func loseState() throws {
        daemon.kill()
        rename(daemon.directory("state"), daemon.directory("lost"))
        try daemon.restart()
    }
}
