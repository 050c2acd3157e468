import LockVocabulary
import Testing

@testable import PRWLock

/// What a client makes of lines that cross each other, in orders that are hard to come by with a real daemon.
@Suite(.timeLimit(.minutes(1))) struct StagedClientTests {
    @Test("a task that is cancelled while it waits withdraws its request") func cancelled() async throws {
        let asked = Promise<Void>()
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t")
            asked.fulfil(())
            try session.expect("#3 CANCEL #2")
            session.say("#2 CANCELLED jobs write")
            session.say("#3 CANCELLED jobs write")
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        let task = Task { try await lock.withWriteLock { Issue.record("the body ran") } }
        await asked.value
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a grant that crosses the cancellation of its task is given back") func crossing() async throws {
        let asked = Promise<Void>()
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t")
            asked.fulfil(())
            try session.expect("#3 CANCEL #2")
            session.say("#2 GRANTED jobs write token=42")
            session.say("#3 ERROR not-waiting there is none")
            try session.expect("#4 RELEASE jobs token=42", reply: "#4 RELEASED jobs token=42")
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        let task = Task { try await lock.withWriteLock { Issue.record("the body ran") } }
        await asked.value
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test(
        "a lock that is lost cancels the body, and the caller is told how", arguments: ["EXPIRED", "REVOKED"])
    func lost(notice: String) async throws {
        let isRunning = Promise<Void>()
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs lease=1s owner=t", reply: "#2 GRANTED jobs write token=42")
            session.wait(for: isRunning)
            session.say("! \(notice) jobs token=42")
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        do {
            try await lock.withWriteLock(lease: .seconds(1)) { grant in
                isRunning.fulfil(())
                let loss = await grant.lossWatch.lost()
                #expect(loss?.token == Token(rawValue: 42))
                try await Task.sleep(for: .seconds(60))
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == (notice == "EXPIRED" ? .expired : .revoked))
        }
        #expect(!Task.isCancelled)
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a body that is to go on sees the loss itself, and the caller is told all the same")
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

    @Test("a release that crosses the end of the lease is a loss") func releaseCrossesExpiry() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=42")
            try session.expect("#3 RELEASE jobs token=42")
            session.say("! EXPIRED jobs token=42")
            session.say("#3 ERROR not-held there is no such grant")
        }
        let grant = try await Client(socketPath: daemon.path).lock("jobs").acquireWrite()
        do {
            try await grant.release()
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .expired)
        }
    }

    @Test("a request that the daemon did not answer is asked of the next one") func askedAnew() async throws {
        let daemon = try StagedDaemon(
            { session in try session.expect("#2 WRITE jobs owner=t") },
            { session in
                try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=43")
                try session.expect("#3 RELEASE jobs token=43", reply: "#3 RELEASED jobs token=43")
            })
        try await Client(socketPath: daemon.path).lock("jobs").withWriteLock { grant in
            #expect(grant.token == Token(rawValue: 43))
        }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("what a leaving daemon does not take is asked of the next one, once it is gone") func draining()
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

    @Test("what was held through a lost connection is lost, and not taken again") func disconnected()
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

    @Test("a grant that goes out of scope is given back") func outOfScope() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t", reply: "#2 GRANTED jobs write token=42")
            try session.expect("#3 RELEASE jobs token=42", reply: "#3 RELEASED jobs token=42")
        }
        let client = Client(socketPath: daemon.path)
        do { _ = try await client.lock("jobs").acquireWrite() }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("the session outlives its client as long as something is held, and no longer")
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

    @Test("a body that throws releases the lock, and its error is the caller's") func bodyThrows()
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

    @Test("many requests at once do not hold each other up, though nobody reads for a while")
    func backPressure() async throws {
        let count = 5000
        let daemon = try StagedDaemon { session in
            // More than the socket's buffers take, either way.
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
