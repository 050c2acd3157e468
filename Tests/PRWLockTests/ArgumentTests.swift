import LockVocabulary
import Posix
import Rendezvous
import TestSupport
import Testing

@testable import PRWLock

/// Values that callers compute or receive: every call refuses a bad one with the same error, and none traps.
@Suite(.timeLimit(.minutes(10))) struct ArgumentTests {
    private static let hour = Duration.seconds(3600)
    private static let longest = hour * 876_000
    private static let least = Duration(attoseconds: .min)
    private static let most = Duration(attoseconds: .max)

    private static let tooShort: [Duration] = [.nanoseconds(-1), .seconds(-1), .seconds(Int64.min), least]
    private static let tooLong: [Duration] = [longest + .nanoseconds(1), .seconds(Int64.max), most]

    /// The timeouts and leases that are refused, with the words of the refusal.
    private static let badTimeouts =
        tooShort.map { ($0, "a timeout must not be negative") }
        + tooLong.map { ($0, "a timeout is at most 3153600000 seconds") }
    private static let badLeases =
        tooShort.map { ($0, "a lease must not be negative") } + [(.zero, "a lease must not be 0")]
        + tooLong.map { ($0, "a lease is at most 3153600000 seconds") }

    /// No daemon is asked: none listens there, and that would be another error.
    private let client = Client(socketPath: "/nonexistent/prwlock.sock")
    private let blockingClient = BlockingClient(socketPath: "/nonexistent/prwlock.sock")

    @Test("a bad timeout is the same error in every call of a task", arguments: badTimeouts)
    func timeouts(timeout: Duration, rule: String) async {
        let lock = client.lock("a")
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.acquireRead(timeout: timeout)
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.acquireUpdate(timeout: timeout)
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.acquireWrite(timeout: timeout)
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.tryRead(timeout: timeout) == nil
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.tryUpdate(timeout: timeout) == nil
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.tryWrite(timeout: timeout) == nil
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            try await lock.withReadLock(timeout: timeout) {}
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            try await lock.withUpdateLock(timeout: timeout) { _ in }
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            try await lock.withWriteLock(timeout: timeout) { _ in }
        }
        await #expect(throws: LockError.invalidArgument(rule)) { try await client.ping(timeout: timeout) }
        await #expect(throws: LockError.invalidArgument(rule)) { _ = try await lock.status(timeout: timeout) }
        await #expect(throws: LockError.invalidArgument(rule)) { _ = try await client.list(timeout: timeout) }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.validate(Token(rawValue: 1), timeout: timeout)
        }
    }

    @Test("a bad lease is the same error in every call of a task", arguments: badLeases)
    func leases(lease: Duration, rule: String) async {
        let lock = client.lock("a")
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.acquireRead(lease: lease)
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.acquireUpdate(lease: lease)
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.acquireWrite(lease: lease)
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.tryRead(lease: lease) == nil
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.tryUpdate(lease: lease) == nil
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await lock.tryWrite(lease: lease) == nil
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            try await lock.withReadLock(lease: lease) {}
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            try await lock.withUpdateLock(lease: lease) { _ in }
        }
        await #expect(throws: LockError.invalidArgument(rule)) {
            try await lock.withWriteLock(lease: lease) {}
        }
    }

    @Test("a bad timeout is the same error in every call that blocks", arguments: badTimeouts)
    func blockingTimeouts(timeout: Duration, rule: String) {
        let lock = blockingClient.lock("a")
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.acquireRead(timeout: timeout) }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.acquireUpdate(timeout: timeout) }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.acquireWrite(timeout: timeout) }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.tryRead(timeout: timeout) == nil }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.tryUpdate(timeout: timeout) == nil }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.tryWrite(timeout: timeout) == nil }
        #expect(throws: LockError.invalidArgument(rule)) { try lock.withReadLock(timeout: timeout) {} }
        #expect(throws: LockError.invalidArgument(rule)) {
            try lock.withUpdateLock(timeout: timeout) { _ in }
        }
        #expect(throws: LockError.invalidArgument(rule)) { try lock.withWriteLock(timeout: timeout) {} }
    }

    @Test("a bad lease is the same error in every call that blocks", arguments: badLeases)
    func blockingLeases(lease: Duration, rule: String) {
        let lock = blockingClient.lock("a")
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.acquireRead(lease: lease) }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.acquireUpdate(lease: lease) }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.acquireWrite(lease: lease) }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.tryRead(lease: lease) == nil }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.tryUpdate(lease: lease) == nil }
        #expect(throws: LockError.invalidArgument(rule)) { _ = try lock.tryWrite(lease: lease) == nil }
        #expect(throws: LockError.invalidArgument(rule)) { try lock.withReadLock(lease: lease) {} }
        #expect(throws: LockError.invalidArgument(rule)) { try lock.withUpdateLock(lease: lease) { _ in } }
        #expect(throws: LockError.invalidArgument(rule)) { try lock.withWriteLock(lease: lease) {} }
    }

    @Test("a grant refuses the same timeouts and leases, and stays as it was") func grants() async throws {
        let daemon = try DaemonProcess()
        var grant = try await Client(socketPath: daemon.socketPath).lock("a").acquireUpdate()
        var other = try BlockingClient(socketPath: daemon.socketPath).lock("b").acquireUpdate()
        let (token, otherToken) = (grant.token, other.token)
        for (timeout, rule) in Self.badTimeouts {
            let expected = LockError.invalidArgument(rule)
            do {
                try await grant.upgrade(timeout: timeout)
                Issue.record("\(timeout)")
            } catch { #expect(error as? LockError == expected) }
            do {
                try other.upgrade(timeout: timeout)
                Issue.record("\(timeout)")
            } catch { #expect(error as? LockError == expected) }
        }
        for (lease, rule) in Self.badLeases {
            let expected = LockError.invalidArgument(rule)
            do {
                try await grant.renew(lease: lease)
                Issue.record("\(lease)")
            } catch { #expect(error as? LockError == expected) }
            do {
                try other.renew(lease: lease)
                Issue.record("\(lease)")
            } catch { #expect(error as? LockError == expected) }
        }
        #expect(grant.mode == .update && grant.token == token)
        #expect(other.mode == .update && other.token == otherToken)
        try await grant.release()
        try other.release()
    }

    @Test("a downgrade to a mode that is not weaker is the same error for every mode") func downgrades()
        async throws
    {
        let daemon = try DaemonProcess()
        var grant = try await Client(socketPath: daemon.socketPath).lock("a").acquireRead()
        var other = try BlockingClient(socketPath: daemon.socketPath).lock("b").acquireWrite()
        for mode in LockMode.allCases {
            do {
                try await grant.downgrade(to: mode)
                Issue.record("\(mode)")
            } catch { #expect(error as? LockError == .wrongMode) }
        }
        do {
            try other.downgrade(to: .write)
            Issue.record("it is no weaker mode")
        } catch { #expect(error as? LockError == .wrongMode) }
        #expect(grant.mode == .read && other.mode == .write)
        try await grant.release()
        try other.release()
    }

    @Test("the shortest and the longest durations are served") func extremes() async throws {
        let daemon = try DaemonProcess()
        let lock = Client(socketPath: daemon.socketPath).lock("a")
        let blocking = BlockingClient(socketPath: daemon.socketPath).lock("a")
        for timeout in [Duration.zero, .nanoseconds(1), Self.longest] {
            try await lock.withWriteLock(timeout: timeout, lease: Self.longest) { grant in
                try await grant.renew(lease: Self.longest)
            }
            try blocking.withUpdateLock(timeout: timeout, lease: Self.longest) { grant in
                try grant.upgrade(timeout: timeout)
            }
        }
        #expect(try await lock.status(timeout: Self.longest).holders.isEmpty)
    }

    @Test("a list of no locks and a prefix that no name can have are errors") func lists() async {
        for limit in [0, -1, .min] {
            await #expect(throws: LockError.invalidArgument("the limit of a list must be at least 1")) {
                _ = try await client.list(limit: limit)
            }
        }
        let rule = "a prefix is 300 bytes long as encoded; at most 255 are allowed"
        await #expect(throws: LockError.invalidArgument(rule)) {
            _ = try await client.list(prefix: String(repeating: "ü", count: 50))
        }
    }

    @Test(
        "a path that is no path of a socket is an error",
        arguments: ["", "a\0b", String(repeating: "p", count: 200)])
    func paths(path: String) async {
        await #expect(throws: LockError.self) { try await Client(socketPath: path).ping() }
        #expect(throws: LockError.self) { try BlockingClient(socketPath: path).lock("a").withReadLock {} }
    }

    @Test("errors can be compared") func equality() {
        let path = RendezvousError.notRunning(SocketLocation(path: "/a"))
        #expect(LockError.unreachable(path) == .unreachable(.notRunning(SocketLocation(path: "/a"))))
        #expect(LockError.unreachable(path) != .unreachable(.notRunning(SocketLocation(path: "/b"))))
        #expect(LockError.disconnected != .wrongMode)
        let fault = SystemError(code: 2, call: "connect", subject: "/a")
        #expect(Set([fault, SystemError(code: 2, call: "connect", subject: "/a")]).count == 1)
        #expect(fault != SystemError(code: 2, call: "bind", subject: "/a"))
    }
}
