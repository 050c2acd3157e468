import LockVocabulary
import Testing

@testable import PRWLock

/// The client with a scripted daemon, for orders of events that are rare with a real one.
@Suite(.timeLimit(.minutes(10))) struct StagedClientTests {
    @Test("a body that is not cancelled sees the loss, and the caller gets it")
    func lostWithoutCancelling() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 READ jobs owner=t", reply: "#2 GRANTED jobs read token=42")
            session.say("! REVOKED jobs token=42")
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        await #expect(throws: LockLost.self) {
            try await lock.withReadLock(onLoss: .letBodyFinish) { grant in
                _ = await grant.lossWatch.lost()
                #expect(!Task.isCancelled)
                #expect(grant.lost?.cause == .revoked)
            }
        }
    }

    @Test("a request that a leaving daemon refuses is sent to the next one") func draining()
        async throws
    {
        let daemon = try StagedDaemon(
            { session in
                try session.expect("#2 WRITE jobs owner=t", reply: "! DRAIN")
                session.say("#2 ERROR draining the daemon is leaving and grants nothing new")
            },
            { session in
                try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=43")
                try session.expect("#3 RELEASE jobs token=43", reply: "#3 RELEASED jobs token=43")
            })
        try await Client(socketPath: daemon.path).lock("jobs").withWriteLock {}
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a request without a limit survives any number of daemons") func askedAnew() async throws {
        let leaving: @Sendable (inout StagedDaemon.Session) throws -> Void = { session in
            try session.expect("#2 WRITE jobs owner=t")
        }
        let daemon = try StagedDaemon(leaving, leaving, leaving, leaving, leaving, leaving) { session in
            try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=43")
            try session.expect("#3 RELEASE jobs token=43", reply: "#3 RELEASED jobs token=43")
        }
        try await Client(socketPath: daemon.path).lock("jobs").withWriteLock {}
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("the grants of an ended connection are lost, and not acquired again") func disconnected()
        async throws
    {
        let isRunning = Promise<Void>()
        let daemon = try StagedDaemon(
            { session in
                try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=42")
                session.wait(for: isRunning)
            },
            { session in
                try session.expect(
                    "#2 READ mail wait=0 owner=t", reply: "#2 BUSY mail read held-by=811/write")
            })
        let client = Client(socketPath: daemon.path)
        do {
            try await client.lock("jobs").withWriteLock { grant in
                isRunning.fulfil(())
                _ = await grant.lossWatch.lost()
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .disconnected)
        }
        do {
            _ = try await client.lock("mail").acquireRead(timeout: .zero)
            Issue.record("it is held")
        } catch LockError.timedOut(_, _, _, let heldBy) {
            #expect(heldBy.named == [HeldBy.Holder(processID: 811, mode: .write)])
        }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a grant that goes out of scope is released") func outOfScope() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=42")
            try session.expect("#3 RELEASE jobs token=42", reply: "#3 RELEASED jobs token=42")
        }
        let client = Client(socketPath: daemon.path)
        do { _ = try await client.lock("jobs").acquireWrite() }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("the session outlives its client as long as a grant is held, and no longer")
    func clientGoesFirst() async throws {
        let isGone = Promise<Void>()
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=42")
            session.wait(for: isGone)
            try session.expect("#3 RELEASE jobs token=42", reply: "#3 RELEASED jobs token=42")
            try session.expectEnd()
        }
        let grant = try await Client(socketPath: daemon.path).lock("jobs").acquireWrite()
        isGone.fulfil(())
        try await grant.release()
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("if a body throws, the lock is released and the caller gets the error") func bodyThrows()
        async throws
    {
        struct Failure: Error {}
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=42")
            try session.expect("#3 RELEASE jobs token=42", reply: "#3 RELEASED jobs token=42")
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        await #expect(throws: Failure.self) { try await lock.withWriteLock { throw Failure() } }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("many requests at once do not block each other while no thread reads")
    func backPressure() async throws {
        let count = 5000
        let daemon = try StagedDaemon { session in
            // More than the buffers of the socket take, in either direction.
            for id in 2..<(count + 2) {
                try session.expect("#\(id) VALIDATE jobs token=\(UInt64.max)")
                session.say("#\(id) STALE jobs token=\(UInt64.max)")
            }
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        let stale = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<count { group.addTask { try await !lock.validate(Token(rawValue: .max)) } }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(stale == count)
        #expect(await daemon.hasPlayed() == nil)
    }
}
