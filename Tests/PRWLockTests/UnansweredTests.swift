import Glibc
import LockVocabulary
import Posix
import Rendezvous
import TestSupport
import Testing

@testable import PRWLock

/// Each call that has a timeout or can be cancelled, in each state in which the daemon does not answer.
///
/// The daemon stays in its state until the call has ended, so a call that relied on the daemon would not end. The only
/// limit on the measured time is far beyond the call's own.
@Suite(.timeLimit(.minutes(10)), .serialized) struct UnansweredTests {
    /// Far beyond a call's time, and less than the ten seconds that a client waits without a timeout.
    private static let bound = Duration.seconds(8)

    enum State: CaseIterable {
        /// Stopped after the session began.
        case stopped
        /// Stopped before the client connected.
        case stoppedBefore
        /// Leaving, while another session holds a lock.
        case draining
        /// It accepts no connection, and its backlog is full.
        case fullBacklog
    }

    /// A daemon in one of the states.
    private struct Scene {
        let path: String
        let daemon: DaemonProcess?
        private let others: [RawSession]
        private let listener: Listener?
        private let directory: TemporaryDirectory

        private final class Listener: Sendable {
            let descriptor: OwnedDescriptor
            init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
        }

        init(_ state: State) throws {
            guard state == .fullBacklog else {
                let daemon = try DaemonProcess("--drain", "1h")
                self.daemon = daemon
                path = daemon.socketPath
                directory = daemon.directory
                listener = nil
                guard state == .draining else {
                    others = []
                    return
                }
                let holder = try daemon.connect()
                try holder.send("WRITE other")
                #expect(try holder.nextLine() == "GRANTED other write token=1")
                daemon.signal(SIGTERM)
                #expect(try holder.nextLine() == "! DRAIN")
                others = [holder]
                return
            }
            daemon = nil
            directory = try TemporaryDirectory()
            path = directory("s")
            listener = Listener(try UnixSocket.listen(at: path, mode: 0o600, backlog: 0))
            var others: [RawSession] = []
            while let connection = try? UnixSocket.connect(to: path, by: Deadline(after: .zero)) {
                others.append(RawSession(connection))
            }
            self.others = others
        }
    }

    private typealias Call = @Sendable (Client) async throws -> Void

    private static let timedCalls: [String: Call] = [
        "tryRead": { try await nothing($0.lock("a").tryRead()) },
        "tryUpdate": { try await nothing($0.lock("a").tryUpdate(timeout: .milliseconds(100))) },
        "tryWrite": { try await nothing($0.lock("a").tryWrite()) },
        "acquireRead": { _ = try await $0.lock("a").acquireRead(timeout: .milliseconds(100)) },
        "acquireUpdate": { _ = try await $0.lock("a").acquireUpdate(timeout: .zero) },
        "acquireWrite": { _ = try await $0.lock("a").acquireWrite(timeout: .milliseconds(100)) },
        "withReadLock": { try await $0.lock("a").withReadLock(timeout: .milliseconds(100)) {} },
        "withUpdateLock": { try await $0.lock("a").withUpdateLock(timeout: .zero) { _ in } },
        "withWriteLock": { try await $0.lock("a").withWriteLock(timeout: .zero) {} },
        "ping": { try await $0.ping(timeout: .milliseconds(100)) },
        "status": { _ = try await $0.lock("a").status(timeout: .milliseconds(100)) },
        "list": { _ = try await $0.list(timeout: .milliseconds(100)) },
        "listByRank": { _ = try await $0.list(by: .waiters, timeout: .milliseconds(100)) },
        "hot": { _ = try await $0.hot(timeout: .milliseconds(100)) },
        "watch": { _ = try await $0.watch(timeout: .milliseconds(100)) },
        "validate": {
            _ = try await $0.lock("a").validate(Token(rawValue: 1), timeout: .milliseconds(100))
        },
    ]

    private static let cancelledCalls: [String: Call] = [
        "acquireRead": { _ = try await $0.lock("a").acquireRead() },
        "acquireWrite": { _ = try await $0.lock("a").acquireWrite(timeout: .seconds(3600)) },
        "withWriteLock": { try await $0.lock("a").withWriteLock {} },
        "ping": { try await $0.ping(timeout: .seconds(3600)) },
        "status": { _ = try await $0.lock("a").status(timeout: .seconds(3600)) },
        "list": { _ = try await $0.list(timeout: .seconds(3600)) },
        "listByRank": { _ = try await $0.list(by: .waited, timeout: .seconds(3600)) },
        "hot": { _ = try await $0.hot(timeout: .seconds(3600)) },
        "watch": { _ = try await $0.watch(timeout: .seconds(3600)) },
        "validate": { _ = try await $0.lock("a").validate(Token(rawValue: 1), timeout: .seconds(3600)) },
    ]

    private static func nothing(_ grant: consuming Grant?) {
        if grant != nil { Issue.record("no daemon has granted anything") }
    }

    /// Runs each call with a client of its own and a daemon in the same state; returns the outcomes.
    private static func outcomes(
        of calls: [String: Call], in state: State,
        _ run: @escaping @Sendable (Client, @escaping Call) async -> (any Error)?
    ) async throws -> [(name: String, error: (any Error)?, time: Duration)] {
        let scene = try Scene(state)
        let clients = calls.map { ($0.key, $0.value, Client(socketPath: scene.path)) }
        if state == .stopped { for (_, _, client) in clients { try await client.ping() } }
        if state == .stopped || state == .stoppedBefore { scene.daemon?.signal(SIGSTOP) }
        let outcomes = await withTaskGroup(of: (String, (any Error)?, Duration).self) { group in
            for (name, call, client) in clients {
                group.addTask {
                    let start = Instant.now
                    let error = await run(client, call)
                    return (name, error, start.duration(to: .now))
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        withExtendedLifetime(scene) {}
        return outcomes.map { (name: $0.0, error: $0.1, time: $0.2) }
    }

    @Test("a call with a timeout ends at its time, by the client's clock (G13)", arguments: State.allCases)
    func timed(state: State) async throws {
        let outcomes = try await Self.outcomes(of: Self.timedCalls, in: state) { client, call in
            do {
                try await call(client)
                return nil
            } catch {
                return error
            }
        }
        for (name, error, time) in outcomes {
            guard case LockError.unreachable(.noAnswer(let daemon))? = error else {
                Issue.record("\(name): \(error.map { "\($0)" } ?? "an answer")")
                continue
            }
            #expect(daemon.isStopped == (state == .stopped || state == .stoppedBefore), "\(name)")
            #expect((daemon.processID == nil) == (state == .fullBacklog), "\(name)")
            #expect(time < Self.bound, "\(name)")
        }
    }

    @Test("a task that is cancelled does not wait for the daemon", arguments: State.allCases)
    func cancelled(state: State) async throws {
        let outcomes = try await Self.outcomes(of: Self.cancelledCalls, in: state) { client, call in
            let task = Task { try await call(client) }
            // The cancellation comes before, while or after the request is sent.
            await Task.yield()
            task.cancel()
            if case .failure(let error) = await task.result { return error }
            return nil
        }
        for (name, error, time) in outcomes {
            #expect(error is CancellationError, "\(name): \(error.map { "\($0)" } ?? "an answer")")
            #expect(time < Self.bound, "\(name)")
        }
    }

    @Test("an upgrade ends at its time and when its task is cancelled, and its grant does not change")
    func upgrade() async throws {
        let daemon = try DaemonProcess()
        let lock = Client(socketPath: daemon.socketPath).lock("jobs")
        try await lock.withUpdateLock { grant in
            daemon.signal(SIGSTOP)
            for isCancelled in [false, true] {
                do {
                    if isCancelled {
                        withUnsafeCurrentTask { $0?.cancel() }
                        try await grant.upgrade()
                    } else {
                        try await grant.upgrade(timeout: .milliseconds(50))
                    }
                    Issue.record("the daemon is stopped")
                } catch LockError.unreachable(.noAnswer) {}
                #expect(grant.mode == .update)
                #expect(grant.lost == nil)
            }
            daemon.signal(SIGCONT)
        }
        #expect(try daemon.connect().ask("WRITE jobs wait=30s")?.contains("ownerdied") == false)
    }

    @Test(
        "nothing is granted to a client that has given up, and no other grant of its session is harmed (G1)")
    func nothingIsLeft() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        let grant = try await client.lock("held").acquireWrite()
        daemon.signal(SIGSTOP)
        // In one session, for the same lock and for different ones.
        await withTaskGroup { group in
            for name in ["jobs", "jobs", "mail"] {
                group.addTask {
                    await #expect(throws: LockError.self) {
                        _ = try await client.lock(name).acquireWrite(timeout: .milliseconds(20))
                    }
                }
            }
        }
        daemon.signal(SIGCONT)
        let other = try daemon.connect()
        #expect(try other.ask("WRITE jobs wait=30s")?.hasPrefix("GRANTED jobs write token=") == true)
        #expect(try other.ask("WRITE mail wait=30s")?.hasPrefix("GRANTED mail write token=") == true)
        #expect(try other.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
        #expect(try other.ask("READ jobs wait=30s")?.contains("ownerdied") == false)
        // The session continues.
        try await client.lock("tools").withWriteLock(timeout: .seconds(30)) {}
        try await grant.release()
    }

    @Test("a call with a timeout ends even if the daemon's socket is full")
    func fullSocket() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        try await client.ping()
        daemon.signal(SIGSTOP)
        let flood = Task {
            await withTaskGroup { group in
                for _ in 0..<20_000 {
                    group.addTask { _ = try? await client.lock("a").validate(Token(rawValue: .max)) }
                }
            }
        }
        for _ in 0..<3 {
            await #expect(throws: LockError.self) {
                try await client.lock("jobs").withWriteLock(timeout: .milliseconds(200)) {}
            }
        }
        daemon.signal(SIGCONT)
        await flood.value
        try await client.lock("jobs").withWriteLock(timeout: .seconds(30)) {}
    }

    @Test("a call without a daemon fails in time, and a daemon that comes back serves the call")
    func killed() async throws {
        let daemon = try DaemonProcess()
        let lock = Client(socketPath: daemon.socketPath).lock("jobs")
        try await lock.withReadLock {}
        daemon.kill()
        for timeout in [Duration.zero, .milliseconds(100), nil] {
            let start = Instant.now
            do {
                try await lock.withWriteLock(timeout: timeout) {}
                Issue.record("there is no daemon")
            } catch LockError.unreachable(.notRunning) {}
            #expect(start.duration(to: .now) < Self.bound)
        }
        try daemon.restart()
        let waiting = try PeerProcess(of: daemon)
        #expect(try waiting.session.ask("WRITE jobs")?.hasPrefix("GRANTED") == true)
        let call = Task { try await lock.withWriteLock(timeout: .seconds(30)) {} }
        while try daemon.connect().ask("LIST")?.contains("waiters=1") != true { await Task.yield() }
        daemon.kill()
        try daemon.restart()
        try await call.value
    }

    @Test("a call that must not wait outlasts the grace time of a new daemon")
    func grace() async throws {
        let daemon = try DaemonProcess("--grace", "300ms")
        daemon.kill()
        try daemon.restart()
        try await Client(socketPath: daemon.socketPath).lock("jobs").withWriteLock(timeout: .zero) {}
        daemon.kill()
        try daemon.restart()
        try BlockingClient(socketPath: daemon.socketPath).lock("jobs").withWriteLock(timeout: .zero) {}
        daemon.kill()
        try daemon.restart("--grace", "1h")
        do {
            try await Client(socketPath: daemon.socketPath).lock("jobs").withWriteLock(timeout: .zero) {}
            Issue.record("nothing is granted yet")
        } catch LockError.timedOut(_, _, _, let heldBy) {
            #expect(heldBy.isEmpty)
        }
    }

    // MARK: The blocking client

    private typealias BlockingCall = @Sendable (BlockingRWLock) throws -> Void

    private static let blockingCalls: [String: BlockingCall] = [
        "tryRead": { _ = try $0.tryRead() },
        "tryUpdate": { _ = try $0.tryUpdate(timeout: .milliseconds(100)) },
        "tryWrite": { _ = try $0.tryWrite() },
        "acquireRead": { _ = try $0.acquireRead(timeout: .zero) },
        "acquireUpdate": { _ = try $0.acquireUpdate(timeout: .milliseconds(100)) },
        "acquireWrite": { _ = try $0.acquireWrite(timeout: .milliseconds(100)) },
        "withReadLock": { try $0.withReadLock(timeout: .zero) {} },
        "withUpdateLock": { try $0.withUpdateLock(timeout: .zero) { _ in } },
        "withWriteLock": { try $0.withWriteLock(timeout: .milliseconds(100)) {} },
    ]

    @Test("a blocking call with a timeout ends at its time, by the client's clock", arguments: State.allCases)
    func blocking(state: State) async throws {
        let scene = try Scene(state)
        let isConnected = state == .stopped
        let outcomes = Self.blockingCalls.map { ($0.key, Promise<Void>(), Promise<(any Error)?>()) }
        let isStopped = Promise<Void>()
        for (name, connected, outcome) in outcomes {
            guard let call = Self.blockingCalls[name] else { continue }
            let path = scene.path
            try Thread.start {
                let lock = BlockingClient(socketPath: path).lock("a")
                do {
                    if isConnected { try lock.withReadLock {} }
                    connected.fulfil(())
                    isStopped.block()
                    try call(lock)
                    outcome.fulfil(nil)
                } catch {
                    outcome.fulfil(error)
                }
            }
        }
        for (_, connected, _) in outcomes { await connected.value }
        if state == .stopped || state == .stoppedBefore { scene.daemon?.signal(SIGSTOP) }
        let start = Instant.now
        isStopped.fulfil(())
        for (name, _, outcome) in outcomes {
            let error = await outcome.value
            guard case LockError.unreachable(.noAnswer(let daemon))? = error else {
                Issue.record("\(name): \(error.map { "\($0)" } ?? "an answer")")
                continue
            }
            #expect((daemon.processID == nil) == (state == .fullBacklog), "\(name)")
        }
        #expect(start.duration(to: .now) < Self.bound)
        withExtendedLifetime(scene) {}
    }

    @Test("a blocking client that has given up leaves nothing behind, and keeps its grants (G1)")
    func blockingLeavesNothing() throws {
        let daemon = try DaemonProcess()
        let client = BlockingClient(socketPath: daemon.socketPath)
        let lock = client.lock("jobs")
        let other = try daemon.connect()
        for isHolding in [false, true] {
            let held = isHolding ? try client.lock("held").acquireWrite() : nil
            try lock.withReadLock {}
            daemon.signal(SIGSTOP)
            #expect(throws: LockError.self) { try lock.withWriteLock(timeout: .zero) {} }
            daemon.signal(SIGCONT)
            #expect(try other.ask("WRITE jobs wait=30s")?.hasPrefix("GRANTED jobs write") == true)
            #expect(try other.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
            #expect(try other.ask("READ jobs wait=30s")?.contains("ownerdied") == false)
            #expect(try other.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
            if let held { try held.release() }
            try lock.withWriteLock(timeout: .seconds(30)) {}
        }
    }

    @Test("a blocking upgrade that was given up is undone when the daemon reads it")
    func blockingUpgrade() throws {
        let daemon = try DaemonProcess()
        try BlockingClient(socketPath: daemon.socketPath).lock("jobs").withUpdateLock { grant in
            daemon.signal(SIGSTOP)
            #expect(throws: LockError.self) { try grant.upgrade(timeout: .zero) }
            daemon.signal(SIGCONT)
            try grant.renew(lease: .seconds(60))
            #expect(grant.mode == .update)
        }
    }
}
