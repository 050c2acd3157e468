import Glibc
import LockVocabulary
import TestSupport
import Testing

@testable import PRWLock

/// Cached grants with a real daemon, for one thread.
///
/// The client reads its socket only within its calls. So each test in which another program takes the lock shows also that
/// the daemon needs no help from the client.
@Suite(.timeLimit(.minutes(10))) struct BlockingCachedGrantTests {
    private let daemon: DaemonProcess
    private let client: BlockingClient
    private let lock: BlockingRWLock

    init() throws {
        daemon = try DaemonProcess()
        client = BlockingClient(socketPath: daemon.socketPath, name: "tests")
        lock = client.lock("jobs")
    }

    @Test("one call after another gets the lock without a word to the daemon") func hits() throws {
        let more = client.lock("more")
        try cache(lock, more)
        let before = try daemon.lines() + 1
        for _ in 0..<100 {
            try lock.withWriteLock {}
            try more.withReadLock {}
            try lock.withWriteLock { grant in #expect(grant.mode == .write && grant.lost == nil) }
            let grant = try more.acquireRead()
            #expect(grant.token.rawValue > 0)
            // The end of the other one releases it.
            _ = try lock.tryWrite()
            try grant.release()
        }
        #expect(try daemon.lines() == before)
    }

    @Test("another program gets the lock at once if it is not held, and waits if it is (G1)") func exclusion()
        throws
    {
        let more = client.lock("more")
        try cache(lock, more)
        let session = try daemon.connect()
        try lock.withWriteLock {
            #expect(try session.ask("READ jobs wait=0")?.hasPrefix("BUSY") == true)
            #expect(try session.ask("WRITE more wait=0")?.hasPrefix("GRANTED") == true)
            try session.send("READ jobs")
            try daemon.waitsNow(for: "jobs", count: 1)
        }
        #expect(try session.nextLine()?.hasPrefix("GRANTED jobs read") == true)
        let isFree = try lock.tryWrite() != nil
        #expect(!isFree)
    }

    @Test("a held grant keeps its lock when another program asks, and frees it with its end") func grant()
        throws
    {
        try cache(lock)
        let session = try daemon.connect()
        do {
            let grant = try lock.acquireWrite()
            try session.send("WRITE jobs")
            try daemon.waitsNow(for: "jobs", count: 1)
            #expect(grant.lost == nil)
        }
        #expect(try session.nextLine()?.hasPrefix("GRANTED jobs write") == true)
    }

    @Test("recursion and conflicts of the only owner are as without caching (G4, G8)") func recursion() throws
    {
        for _ in 0..<3 { try lock.withReadLock {} }
        try lock.withReadLock { outer in
            try lock.withReadLock { inner in #expect(inner.token != outer.token) }
            let refusal = failure { try lock.withWriteLock {} }
            if case .deadlock? = refusal as? LockError {} else { Issue.record("it waited for itself") }
            #expect(try daemon.connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        }
        #expect(try daemon.connect().ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
    }

    @Test("a revoked grant is a loss at the end of the body (G9)") func revoked() throws {
        try cache(lock)
        let failure1 = failure { try lock.withWriteLock { try revoke() } }
        #expect((failure1 as? LockLost)?.cause == .revoked)
        try cache(lock)
        let loss = failure {
            try lock.withWriteLock { grant in
                try revoke()
                #expect(grant.lost?.cause == .revoked)
            }
        }
        #expect((loss as? LockLost)?.cause == .revoked)
        try lock.withWriteLock {}
    }

    @Test("the end of the daemon is a loss, and the next call asks the next daemon") func daemonEnds() throws
    {
        try cache(lock)
        let failure2 = failure { try lock.withWriteLock { daemon.kill() } }
        #expect((failure2 as? LockLost)?.cause == .disconnected)
        try daemon.restart()
        try cache(lock)
        daemon.kill()
        try daemon.restart()
        // Without the page that says who serves, this would hold nothing.
        try lock.withWriteLock {
            let answer = try daemon.connect().ask("WRITE jobs wait=0")
            #expect(answer?.hasPrefix("BUSY") == true)
        }
    }

    @Test("a grant that comes when its request was given up is released, also if its owner uses a slot (G5)")
    func late() throws {
        try cache(lock)
        try lock.withReadLock {}
        try lock.withReadLock {}
        let session = try daemon.connect()
        try lock.withReadLock {
            daemon.signal(SIGSTOP)
            // A recursion asks the daemon.
            let failure = failure { try lock.withReadLock(timeout: .zero) {} }
            if case .unreachable? = failure as? LockError {} else { Issue.record("\(failure as Any)") }
            daemon.signal(SIGCONT)
        }
        #expect(try session.ask("WRITE jobs wait=30s")?.hasPrefix("GRANTED") == true)
    }

    @Test("cached grants go on with the next worker (G14)") func worker() throws {
        let daemon = try DaemonProcess("--keep")
        let lock = BlockingClient(socketPath: daemon.socketPath).lock("jobs")
        try cache(lock)
        for _ in 0..<3 {
            try lock.withWriteLock {
                try daemon.killWorker()
                #expect(try daemon.connect().ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
            }
            try daemon.killWorker()
            try lock.withWriteLock {
                let answer = try daemon.connect().ask("WRITE jobs wait=0")
                #expect(answer?.hasPrefix("BUSY") == true)
            }
        }
    }

    @Test("a lease, a note, update mode and a client that caches nothing ask the daemon each time")
    func never() throws {
        let other = BlockingClient(socketPath: daemon.socketPath, caches: false).lock("other")
        for _ in 0..<3 {
            try asks { try lock.withWriteLock(lease: .seconds(60)) {} }
            try asks { try lock.withWriteLock(note: "why") {} }
            try asks { try lock.withUpdateLock { _ in } }
            try asks { try other.withReadLock {} }
        }
    }

    @Test("an upgrade ends the caching (G10)") func upgrade() throws {
        for _ in 0..<3 { try lock.withReadLock {} }
        try lock.withReadLock { grant in
            let before = grant.token
            try grant.upgrade(timeout: .seconds(60))
            #expect(grant.token > before)
            #expect(try daemon.connect().ask("READ jobs wait=0")?.hasPrefix("BUSY") == true)
            try grant.downgrade()
            #expect(try daemon.connect().ask("READ jobs wait=0")?.hasPrefix("GRANTED") == true)
        }
        #expect(try daemon.connect().ask("WRITE jobs wait=0")?.hasPrefix("GRANTED") == true)
    }

    @Test("a closed client has no cached grant") func closed() throws {
        try cache(lock)
        let failure3 = failure { try lock.withWriteLock { client.close() } }
        #expect((failure3 as? LockLost)?.cause == .closed)
        let failure4 = failure { try lock.withWriteLock {} }
        #expect(failure4 as? LockError == .closed)
        let failure5 = failure { try lock.withWriteLock(timeout: .seconds(-1)) {} }
        #expect(failure5 is LockError)
    }

    @Test("more locks than slots are no different") func many() throws {
        let locks = (0..<200).map { client.lock("lock/\($0)") }
        for _ in 0..<3 {
            for lock in locks { try lock.withWriteLock {} }
        }
        for number in 0..<200 {
            #expect(try daemon.connect().ask("WRITE lock/\(number) wait=0")?.hasPrefix("GRANTED") == true)
        }
        for lock in locks { try lock.withWriteLock {} }
    }

    @Test("an older daemon, which knows no slots, gets the name of the client all the same") func older()
        async throws
    {
        let daemon = try StagedDaemon(greets: false) { session in
            try session.expect("PING", reply: "PONG")
            try session.expect("#1 HELLO client=tests cache=1", reply: "#1 ERROR unknown-argument expected")
            try session.expect("#2 WRITE jobs", reply: "#2 GRANTED jobs write token=42")
            try session.expect("#3 HELLO client=tests", reply: "#3 HELLO version=1 server=staged/1 session=1")
            try session.expect("#4 RELEASE jobs token=42", reply: "#4 RELEASED jobs token=42")
            try session.expect("#5 WRITE jobs note=x", reply: "#5 GRANTED jobs write token=43")
            try session.expect("#6 RELEASE jobs token=43", reply: "#6 RELEASED jobs token=43")
        }
        let lock = BlockingClient(socketPath: daemon.path, name: "tests").lock("jobs")
        try lock.withWriteLock {}
        try lock.withWriteLock(note: "x") {}
        #expect(await daemon.hasPlayed() == nil)
    }

    // MARK: What the tests share

    /// Has the first lock cached to write, and the others to read.
    private func cache(_ lock: BlockingRWLock, _ others: BlockingRWLock...) throws {
        for _ in 0..<2 {
            try lock.withWriteLock {}
            for other in others { try other.withReadLock {} }
        }
    }

    /// The error of something that must fail.
    private func failure(_ body: () throws -> Void) -> (any Error)? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }

    private func revoke() throws { try daemon.revokeHolder(of: "jobs") }

    /// Runs something that sends at least one request.
    private func asks(_ body: () throws -> Void) throws {
        let before = try daemon.lines() + 1
        try body()
        #expect(try daemon.lines() > before)
    }
}
