import Glibc
import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// The end of a client by its own program.
@Suite(.timeLimit(.minutes(10))) struct ClosingTests {
    private let daemon: DaemonProcess
    private let client: Client

    init() throws {
        daemon = try DaemonProcess()
        client = Client(socketPath: daemon.socketPath)
    }

    @Test("grants are lost with a cause that says so, and the lock is free") func grants() async throws {
        let grant = try await client.lock("jobs").acquireWrite()
        let watch = grant.lossWatch
        client.close()
        #expect(grant.lost?.cause == .closed)
        #expect(await watch.lost()?.cause == .closed)
        #expect(
            try daemon.connect().ask("WRITE jobs wait=30s")?.hasPrefix("GRANTED jobs write token=2") == true)
        do {
            try await grant.release()
            Issue.record("it was lost")
        } catch let loss as LockLost {
            #expect(loss.cause == .closed)
            #expect("\(loss)".hasSuffix("its client was closed"))
        }
    }

    @Test("a body is cancelled, and its call throws the loss") func body() async throws {
        do {
            try await client.lock("jobs").withWriteLock {
                client.close()
                try await Task.sleep(for: .seconds(60))
            }
            Issue.record("it was lost")
        } catch let loss as LockLost {
            #expect(loss.cause == .closed)
        }
    }

    @Test("calls that wait, and watches, end with the error") func waiting() async throws {
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let lock = client.lock("jobs")
        let calls = [
            Task { _ = try await lock.acquireRead() }, Task { try await lock.withWriteLock {} },
            Task { [client] in for try await _ in try await client.watch(prefix: "none") {} },
        ]
        try await daemon.waits(for: "jobs", count: 2)
        try await daemon.hasSessions(3)
        client.close()
        for call in calls { await #expect(throws: LockError.closed) { try await call.value } }
        try await daemon.hasSessions(1)
    }

    private static let calls: [String: @Sendable (Client) async throws -> Void] = [
        "acquireRead": { _ = try await $0.lock("jobs").acquireRead() },
        "ping": { try await $0.ping(timeout: .seconds(3600)) },
        "watch": { _ = try await $0.watch(timeout: .seconds(3600)) },
    ]

    @Test("calls for a daemon that does not answer end at once", arguments: calls.keys.sorted())
    func unanswered(name: String) async throws {
        let call = try #require(Self.calls[name])
        let opened = Promise<Client>()
        let ended = Promise<Void>()
        // The daemon closes the client itself, because a task may get no thread before the call gives up by itself.
        let daemon = try StagedDaemon(greets: false) { session in
            try session.expect("PING")
            opened.whenFulfilled { $0.close() }
            session.wait(for: ended)
        }
        let client = Client(socketPath: daemon.path)
        opened.fulfil(client)
        await #expect(throws: LockError.closed) { try await call(client) }
        ended.fulfil(())
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("every later call throws the error, also if nothing was asked before", arguments: [false, true])
    func later(isUsed: Bool) async throws {
        let lock = client.lock("jobs")
        if isUsed { try await lock.withReadLock {} }
        client.close()
        client.close()
        await #expect(throws: LockError.closed) { _ = try await lock.acquireRead() }
        await #expect(throws: LockError.closed) { _ = try await lock.tryWrite() == nil }
        await #expect(throws: LockError.closed) { try await lock.withUpdateLock { _ in } }
        await #expect(throws: LockError.closed) { _ = try await lock.status() }
        await #expect(throws: LockError.closed) { _ = try await lock.validate(Token(rawValue: 1)) }
        await #expect(throws: LockError.closed) { _ = try await client.list() }
        await #expect(throws: LockError.closed) { try await client.ping() }
        await #expect(throws: LockError.closed) { _ = try await client.watch() }
        // Another client of the same daemon is not affected.
        try await Client(socketPath: daemon.socketPath).lock("jobs").withWriteLock {}
    }

    @Test("a client can be closed while tasks use it: each call succeeds, or says that it was closed")
    func storm() async throws {
        for round in 0..<50 {
            let client = Client(socketPath: daemon.socketPath)
            let tasks = (0..<20).map { number in
                Task {
                    for _ in 0..<100 {
                        try await client.lock("\(number % 3)").withWriteLock { await Task.yield() }
                    }
                }
            }
            for _ in 0..<round { await Task.yield() }
            client.close()
            for task in tasks {
                switch await task.result {
                case .success: break
                case .failure(LockError.closed): break
                case .failure(let loss as LockLost): #expect(loss.cause == .closed)
                case .failure(let error): Issue.record("\(error)")
                }
            }
        }
        try await daemon.hasSessions(0)
    }

    @Test("a blocking client loses its grants, and later calls throw the error") func blocking() throws {
        let client = BlockingClient(socketPath: daemon.socketPath)
        let lock = client.lock("jobs")
        let grant = try lock.acquireWrite()
        client.close()
        client.close()
        #expect(grant.lost?.cause == .closed)
        #expect(
            try daemon.connect().ask("WRITE jobs wait=30s")?.hasPrefix("GRANTED jobs write token=2") == true)
        #expect(throws: LockError.closed) { try lock.withReadLock {} }
        #expect(throws: LockError.closed) { _ = try lock.tryWrite() == nil }
        do {
            try grant.release()
            Issue.record("it was lost")
        } catch let loss as LockLost {
            #expect(loss.cause == .closed)
        }
    }

    @Test("a blocking client can be closed in a body, and before it was used") func blockingBody() throws {
        let client = BlockingClient(socketPath: daemon.socketPath)
        do {
            try client.lock("jobs").withWriteLock { client.close() }
            Issue.record("it was lost")
        } catch let loss as LockLost {
            #expect(loss.cause == .closed)
        }
        let unused = BlockingClient(socketPath: daemon.socketPath)
        unused.close()
        #expect(throws: LockError.closed) { try unused.lock("jobs").withReadLock {} }
    }
}
