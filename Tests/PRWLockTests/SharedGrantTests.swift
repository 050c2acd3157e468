import LockVocabulary
import Posix
import Testing

@testable import PRWLock

/// Grants on locks that hosts share, at a daemon that says nothing more once it has granted.
@Suite(.timeLimit(.minutes(10))) struct SharedGrantTests {
    /// A daemon that grants once, for a moment, and reads what it gets only when the test allows it.
    private static func silent(until isOver: Promise<Void>) throws -> StagedDaemon {
        try StagedDaemon { session in
            try session.expect(matching: "#2 WRITE jobs", reply: granted(for: 50))
            session.wait(for: isOver)
        }
    }

    private static func granted(for milliseconds: Int, _ more: String = "") -> String {
        let clock = BootClock.now() / 1_000_000
        return "#2 GRANTED jobs write token=42\(more) until=\(milliseconds)ms clock=\(clock)ms"
    }

    @Test("a body is cancelled when its grant counts no more, by this process's clock (G9)")
    func cancelled() async throws {
        let isOver = Promise<Void>()
        let daemon = try Self.silent(until: isOver)
        defer { isOver.fulfil(()) }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        let isCancelled = Promise<Void>()
        do {
            try await lock.withWriteLock { _ in
                await withTaskCancellationHandler {
                    await isCancelled.value
                } onCancel: {
                    isCancelled.fulfil(())
                }
            }
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .unconfirmed)
        }
    }

    @Test("a watch reports the loss, and the release throws it without an answer") func watched() async throws
    {
        let isOver = Promise<Void>()
        let daemon = try Self.silent(until: isOver)
        defer { isOver.fulfil(()) }
        let grant = try await Client(socketPath: daemon.path).lock("jobs").acquireWrite()
        #expect(await grant.lossWatch.lost()?.cause == .unconfirmed)
        #expect(grant.lost?.cause == .unconfirmed)
        do {
            try await grant.release()
            Issue.record("it was lost")
        } catch let lost as LockLost {
            #expect(lost.cause == .unconfirmed)
        }
    }

    @Test("a body does not begin under a grant that counts no more, and the grant is released") func tooLate()
        async throws
    {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WRITE jobs owner=t", reply: Self.granted(for: 0))
            try session.expect("#3 RELEASE jobs token=42", reply: "#3 RELEASED jobs token=42")
        }
        let client = Client(socketPath: daemon.path)
        await #expect(throws: LockLost.self) {
            try await client.lock("jobs").withWriteLock { Issue.record("it runs") }
        }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a grant that is confirmed in time is held to the end") func confirmed() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect(
                "#2 WRITE jobs owner=t", reply: Self.granted(for: 3_600_000, " ownerdied=maybe"))
            session.say("! UNTIL until=7200000ms clock=\(BootClock.now() / 1_000_000)ms")
            try session.expect("#3 RELEASE jobs token=42", reply: "#3 RELEASED jobs token=42")
        }
        try await Client(socketPath: daemon.path).lock("jobs").withWriteLock { grant in
            #expect(grant.mark == .maybe && grant.previousOwnerDied && grant.lost == nil)
        }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a blocking client finds the loss by its own clock") func blocking() async throws {
        let isOver = Promise<Void>()
        let daemon = try Self.silent(until: isOver)
        defer { isOver.fulfil(()) }
        let path = daemon.path
        let outcome = Promise<Result<LockLost?, any Error>>()
        try Thread.start {
            outcome.fulfil(
                Result {
                    let grant = try BlockingRWLock("jobs", client: BlockingClient(socketPath: path))
                        .acquireWrite()
                    do { try grant.renew() } catch let lost as LockLost { return lost }
                    return nil
                })
        }
        #expect(try await outcome.value.get()?.cause == .unconfirmed)
    }

    @Test("a cluster that cannot be reached is an error of its own") func unavailable() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect(
                "#2 READ jobs owner=t",
                reply: "#2 ERROR cluster-unavailable lock=jobs mode=read etcd does not answer")
            try session.expect(
                "#3 READ jobs wait=0 owner=t", reply: "#3 BUSY jobs read held-by=host:web2/write")
        }
        let lock = Client(socketPath: daemon.path).lock("jobs")
        await #expect(throws: LockError.clusterUnavailable("etcd does not answer")) {
            _ = try await lock.acquireRead()
        }
        do {
            _ = try await lock.acquireRead(timeout: .zero)
            Issue.record("it is held")
        } catch let error as LockError {
            #expect("\(error)".hasSuffix("held by host web2 (write)"))
        }
        #expect(await daemon.hasPlayed() == nil)
    }
}
