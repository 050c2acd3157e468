import Glibc
import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// Owners, leases and several locks in scoped calls.
@Suite(.timeLimit(.minutes(10))) struct ScopedLockingTests {
    private let daemon: DaemonProcess
    private let client: Client
    private let lock: RWLock

    init() throws {
        daemon = try DaemonProcess()
        client = Client(socketPath: daemon.socketPath)
        lock = client.lock("jobs")
    }

    // MARK: Owners

    @Test("a task that outlives a body is never taken for the body's task") func outliving() async throws {
        for _ in 0..<20 {
            let isOver = Promise<Void>()
            // A child task for the body, so that its memory is free afterwards.
            let outliving = await Task { await taskOfBody(after: isOver) }.value
            isOver.fulfil(())
            #expect(await outliving.value == 0)
        }
    }

    @Test("a request of the body's own task conflicts with the body's grant, a child's waits (G8)")
    func child() async throws {
        let lock = lock
        try await lock.withReadLock {
            #expect(await outcome { try await lock.withWriteLock {} } == "deadlock")
            async let child = outcome { try await lock.withWriteLock(timeout: .milliseconds(20)) {} }
            #expect(await child == "timed out")
        }
        try await LockOwner().withOwner {
            try await lock.withReadLock {
                async let child = outcome { try await lock.withWriteLock {} }
                #expect(await child == "deadlock")
            }
        }
    }

    // MARK: Leases

    @Test("the lease of a scoped call is renewed while the body runs")
    func renewed() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs lease=30ms owner=t", reply: "#2 GRANTED jobs write token=42")
            try session.expect("#3 RENEW jobs token=42", reply: "#3 RENEWED jobs token=42 lease=30ms")
            try session.expect("#4 RENEW jobs token=42", reply: "#4 RENEWED jobs token=42 lease=30ms")
            try session.expect("#5 RENEW jobs token=42", reply: "#5 RENEWED jobs token=42 lease=30ms")
            session.say("! REVOKED jobs token=42")
            try session.expect("#6 RELEASE jobs token=42", reply: "#6 ERROR not-held it is not held")
        }
        await #expect(throws: LockLost.self) {
            try await Client(socketPath: daemon.path).lock("jobs").withWriteLock(lease: .milliseconds(30)) {
                grant in
                _ = await grant.lossWatch.lost()
            }
        }
    }

    // MARK: Several locks

    @Test("several locks are acquired in the order of their names, each once, and released together")
    func several() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE B owner=t", reply: "#2 GRANTED B write token=1")
            try session.expect("#3 WRITE a owner=t", reply: "#3 GRANTED a write token=2 ownerdied=1")
            try session.expect("#4 READ a/b owner=t", reply: "#4 GRANTED a/b read token=3")
            try session.expect("#5 RELEASE a/b token=3", reply: "#5 RELEASED a/b token=3")
            try session.expect("#6 RELEASE a token=2", reply: "#6 RELEASED a token=2")
            try session.expect("#7 RELEASE B token=1", reply: "#7 RELEASED B token=1")
        }
        let client = Client(socketPath: daemon.path)
        try await client.withLocks(reading: ["a/b", "a", "a/b"], writing: ["a", "B"]) { held in
            #expect(held.names.map(\.text) == ["B", "a", "a/b"])
            #expect(held.names.map { held.token(of: $0)?.rawValue } == [1, 2, 3])
            #expect(held.previousOwnerDied.map(\.text) == ["a"])
            #expect(held.lost == nil)
            #expect(held.description == "B (write, token 1), a (write, token 2), a/b (read, token 3)")
        }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("if one of several locks is not granted, those before it are released") func refused() async throws
    {
        try await client.ping()
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE b") == "GRANTED b write token=1")
        await #expect {
            try await client.withLocks(writing: ["a", "b", "c"], timeout: .seconds(5)) {}
        } throws: {
            if case LockError.timedOut(let name, _, _, _) = $0 { name.text == "b" } else { false }
        }
        #expect(try await client.list().map(\.name.text) == ["b"])
        let waiting = Task { [client] in try await client.withLocks(reading: ["a", "b"]) {} }
        try await daemon.waits(for: "b", count: 1)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(try await client.list().map(\.name.text) == ["b"])
    }

    @Test("the loss of one of several locks cancels the body, and the others are released") func oneLost()
        async throws
    {
        let administrator = try PeerProcess(of: daemon)
        await #expect(throws: LockLost.self) {
            try await client.withLocks(writing: ["a", "b"]) { held in
                let token = try #require(held.names.first.flatMap(held.token(of:)))
                #expect(
                    try administrator.session.ask("REVOKE a token=\(token)") == "REVOKED a token=\(token)")
                try await Task.sleep(for: .seconds(60))
            }
        }
        try await client.withLocks(writing: ["a", "b"], timeout: .zero) {}
    }

    @Test("the loss of one of several locks ends the wait for the next one") func lostMeanwhile() async throws
    {
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE b") == "GRANTED b write token=1")
        let waiting = Task { [client] in
            try await client.withLocks(writing: ["a", "b"]) { Issue.record("a lock is lost") }
        }
        try await daemon.waits(for: "b", count: 1)
        #expect(try holder.session.ask("REVOKE a token=2") == "REVOKED a token=2")
        await #expect(throws: LockLost.self) { try await waiting.value }
        try await daemon.waits(for: "b", count: 0)
    }

    @Test("a client without tasks holds several locks in the same order") func severalBlocking() throws {
        let blocking = BlockingClient(socketPath: daemon.socketPath)
        let tokens = try blocking.withLocks(reading: ["b"], writing: ["c", "a"]) { tokens in
            let other = BlockingClient(socketPath: daemon.socketPath)
            #expect(throws: LockError.self) { try other.withLocks(reading: ["a"], timeout: .zero) { _ in } }
            try other.withLocks(reading: ["b"], timeout: .seconds(30)) { _ in }
            return tokens
        }
        #expect(tokens.sorted { $0.value < $1.value }.map(\.key.text) == ["a", "b", "c"])
        try blocking.withLocks(writing: ["a", "b", "c"], timeout: .seconds(30)) { _ in }
        #expect(throws: LockError.self) { try blocking.withLocks(writing: [""]) { _ in } }
    }

    @Test("a name that is none is refused, and nothing is acquired") func badName() async throws {
        for name in ["", String(repeating: "ü", count: 43)] {
            await #expect { try await client.withLocks(writing: ["a", name]) {} } throws: {
                if case LockError.invalidArgument = $0 { true } else { false }
            }
        }
        #expect(try await client.withLocks { 42 } == 42)
        #expect(try await client.list().isEmpty)
    }
}

/// Runs a body that starts a task, which starts others after the event: how many of them count as the body's task.
private func taskOfBody(after isOver: Promise<Void>) async -> Task<Int, Never> {
    await LockOwner().withOwnerOfThisTask {
        Task {
            await isOver.value
            var mistakes = 0
            // One of these tasks gets the address of the body's task.
            for _ in 0..<100 where await Task(operation: { LockOwner.current != nil }).value { mistakes += 1 }
            return mistakes
        }
    }
}

private func outcome(_ call: @Sendable () async throws -> Void) async -> String {
    do {
        try await call()
        return "granted"
    } catch LockError.deadlock {
        return "deadlock"
    } catch LockError.timedOut {
        return "timed out"
    } catch {
        return "\(error)"
    }
}
