import LockVocabulary
import LockWire
import Testing

@testable import PRWLock

/// What time does to the requests of one session, in virtual time.
@Suite struct SessionTimeTests {
    private var story: SessionStory

    init() throws { story = try SessionStory() }

    @Test("a line states the wait that is left when it is sent")
    mutating func timeLeft() {
        let first = story.submit(story.write, timeout: .seconds(5))
        story.now = Instant(nanoseconds: 2_000_000_000)
        story.session.opened(at: story.now)
        #expect(story.happened() == ["> #\(first) WRITE jobs wait=3s owner=t1"])
        let time = CallTime(waiting: .upTo(.seconds(1)), from: .zero)
        let second = story.session.submit(story.write, time, at: story.now)
        #expect(story.happened() == ["> #\(second) WRITE jobs wait=0 owner=t1"])
    }

    @Test(
        "a request is given up shortly after its deadline, and what undoes it is sent behind it (G13)"
    )
    mutating func gaveUp() {
        let id = story.ask(story.write, timeout: .seconds(5))
        #expect(story.session.alarm == Instant(nanoseconds: 5_750_000_000))
        #expect(story.pass(.seconds(5)) == [])
        #expect(
            story.pass(.milliseconds(750))
                == ["\(id) refused: no answer", "> #2 CANCEL #\(id)", "> #3 RELEASE jobs owner=t1"])
        #expect(story.session.alarm == nil)
        #expect(story.session.isForsaken())
        #expect(story.pass(.seconds(3600)) == [])
        // The daemon granted the request before it read the two lines.
        #expect(story.told("#\(id) GRANTED jobs write token=42") == ["> #4 RELEASE jobs token=42"])
        #expect(story.told("#2 ERROR not-waiting there is none") == [])
        #expect(story.told("#3 RELEASED jobs token=42") == [])
        #expect(story.told("#4 ERROR not-held there is none") == [])
        #expect(story.session.isIdle)
    }

    @Test("a request that waits for the connection is given up as well") mutating func gaveUpUnsent() {
        let id = story.submit(story.write, timeout: .zero)
        #expect(story.pass(.milliseconds(750)) == ["\(id) refused: no answer"])
        story.session.opened(at: story.now)
        #expect(story.happened() == [])
    }

    @Test("each request is given up at its own time") mutating func severalTimes() {
        let late = story.ask(story.write, timeout: .seconds(2))
        let early = story.ask(.other(.ping), timeout: .seconds(1))
        _ = story.ask(story.write)
        #expect(story.pass(.seconds(1)) == ["\(early) refused: no answer"])
        #expect(story.session.alarm == Instant(nanoseconds: 2_750_000_000))
        #expect(story.pass(.milliseconds(1750)).first == "\(late) refused: no answer")
        #expect(story.session.alarm == nil)
    }

    @Test("the line that undoes a request never names another grant of its owner")
    mutating func gaveUpBesideAGrant() {
        _ = story.hold(.read, 42)
        let id = story.ask(story.read, timeout: .zero)
        #expect(story.giveUp() == ["\(id) refused: no answer", "> #3 CANCEL #\(id)"])
        #expect(!story.session.isForsaken())
        #expect(story.told("#\(id) GRANTED jobs read token=43") == ["> #4 RELEASE jobs token=43"])
        #expect(story.told("! REVOKED jobs token=42") == ["lost 42 revoked"])
    }

    @Test("the line that undoes a request of the session itself names no owner")
    mutating func gaveUpForSession() {
        let id = story.ask(.acquire(Acquire(name: story.jobs, mode: .write)), timeout: .zero)
        #expect(story.giveUp() == ["\(id) refused: no answer", "> #2 CANCEL #\(id)", "> #3 RELEASE jobs"])
        let held = story.hold(.read, 42)
        let other = story.ask(.acquire(Acquire(name: story.jobs, mode: .read)), timeout: .zero)
        #expect(story.giveUp() == ["\(other) refused: no answer", "> #\(other.number + 1) CANCEL #\(other)"])
        #expect(story.session.loss(of: held) == nil)
    }

    @Test("requests for locks and questions are held back from a silent daemon until its next line")
    mutating func silence() {
        let first = story.ask(story.write, timeout: .zero)
        _ = story.giveUp()
        let late = story.ask(story.write, timeout: .zero)
        let question = story.submit(.other(.ping), timeout: .seconds(9))
        #expect(story.giveUp() == ["\(late) refused: no answer"])
        let other = story.submit(.other(.ping))
        #expect(story.happened() == [])
        #expect(
            story.told("#2 CANCELLED jobs write") == ["> #\(question) PING", "> #\(other) PING"])
        let third = story.submit(.other(.ping))
        #expect(story.happened() == ["> #\(third) PING"])
        #expect(story.told("#\(first) CANCELLED jobs write") == [])
    }

    @Test(
        "an upgrade that is granted after it was given up is undone, and its new token is used from then on")
    mutating func gaveUpUpgrade() {
        let grant = story.hold(.read, 42)
        let id = story.ask(.upgrade(grant), timeout: .seconds(1))
        #expect(story.pass(.milliseconds(1750)) == ["\(id) refused: no answer", "> #3 CANCEL #\(id)"])
        let release = story.ask(.release(grant))
        #expect(
            story.told("#\(id) GRANTED jobs write token=43") == ["> #5 DOWNGRADE jobs token=43 to=read"])
        #expect(story.told("#3 ERROR not-waiting there is none") == [])
        #expect(
            story.told("#\(release) ERROR not-held there is none") == ["> #\(release) RELEASE jobs token=43"])
        #expect(story.told("#5 GRANTED jobs read token=43") == [])
        #expect(story.told("#\(release) RELEASED jobs token=43") == ["\(release) done"])
        #expect(story.session.isIdle)
    }

    @Test("a cancelled upgrade does not wait for a silent daemon") mutating func cancelledUpgrade() {
        let id = story.ask(.upgrade(story.hold(.update, 42)))
        #expect(story.cancel(id) == ["> #3 CANCEL #\(id)"])
        #expect(story.pass(.milliseconds(750)).first == "\(id) refused: no answer")
    }

    @Test("a release that was given up takes effect when the daemon reads it") mutating func gaveUpRelease() {
        let id = story.ask(.release(story.hold(.write, 42)), timeout: .seconds(10))
        #expect(story.pass(.seconds(10)) == ["\(id) refused: no answer"])
        #expect(story.told("#\(id) RELEASED jobs token=42") == [])
        #expect(story.session.isIdle)
    }

    @Test("a request that a leaving daemon refused is given up with that refusal")
    mutating func gaveUpDraining() {
        let id = story.ask(story.write, timeout: .seconds(1))
        #expect(story.told("#\(id) ERROR draining the daemon is leaving") == [])
        #expect(story.pass(.milliseconds(1750)) == ["\(id) refused: draining"])
    }

    @Test("each row extends the time of its request") mutating func rows() {
        let id = story.ask(.other(.status(story.jobs)), timeout: .seconds(1))
        #expect(story.pass(.milliseconds(900)) == [])
        #expect(story.told("* lock a mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(story.pass(.milliseconds(900)) == [])
        #expect(story.pass(.milliseconds(100)) == ["\(id) refused: no answer"])
    }

    @Test("a request that must not wait is repeated for a second while a new daemon grants nothing")
    mutating func grace() {
        let id = story.ask(story.write, timeout: .zero)
        for _ in 0..<38 {
            #expect(story.told("#\(id) BUSY jobs write held-by=?") == [])
            #expect(story.pass(.milliseconds(25)) == ["> #\(id) WRITE jobs wait=0 owner=t1"])
        }
        #expect(story.pass(.milliseconds(25)) == [])
        #expect(story.told("#\(id) BUSY jobs write held-by=?") == ["\(id) refused: timed out"])
        #expect(story.session.isIdle)
    }

    @Test("a request is not repeated if a process holds the lock, or if the request may wait")
    mutating func noGrace() {
        let first = story.ask(story.write, timeout: .zero)
        #expect(story.told("#\(first) BUSY jobs write held-by=811/write") == ["\(first) refused: timed out"])
        let second = story.ask(story.write, timeout: .seconds(1))
        #expect(story.told("#\(second) BUSY jobs write held-by=?") == ["\(second) refused: timed out"])
    }

    @Test("a request can be cancelled between two repetitions") mutating func cancelledInGrace() {
        let id = story.ask(story.write, timeout: .zero)
        _ = story.told("#\(id) BUSY jobs write held-by=?")
        #expect(story.cancel(id) == ["\(id) cancelled"])
        #expect(story.pass(.seconds(1)) == [])
        #expect(story.session.isIdle)
    }

    @Test("the error of a timeout states the time since the call began") mutating func waited() {
        let id = story.submit(story.write, timeout: .seconds(5))
        story.now = Instant(nanoseconds: 2_000_000_000)
        story.session.opened(at: story.now)
        _ = story.pass(.seconds(3))
        let line = ServerLine.parse("#\(id) TIMEOUT jobs write waited=3000ms held-by=811/write")
        if let line { story.session.received(line, at: story.now) }
        guard case .completed(_, .refused(.timedOut(_, _, let waited, _)))? = story.session.takeEvents().first
        else {
            Issue.record("it timed out")
            return
        }
        #expect(waited == .seconds(5))
    }

    // MARK: Leases

    @Test("a lease is renewed at its interval, once at a time, until the grant is released")
    mutating func renewals() {
        let grant = story.hold(.write, 42)
        story.session.keepRenewed(grant, every: .seconds(1), at: story.now)
        #expect(story.session.alarm == story.now.advanced(by: .seconds(1)))
        #expect(story.pass(.seconds(1)) == ["> #2 RENEW jobs token=42"])
        // A stopped daemon gets no second line.
        #expect(story.pass(.seconds(3600)) == [])
        #expect(story.told("#2 RENEWED jobs token=42 lease=3s") == [])
        #expect(story.pass(.seconds(1)) == ["> #3 RENEW jobs token=42"])
        #expect(story.told("#3 RENEWED jobs token=42 lease=3s") == [])
        // The holder sets another length, so the interval is a third of it.
        let renewal = story.submit(.renew(grant, lease: .upTo(.seconds(30))))
        #expect(story.happened() == ["> #\(renewal) RENEW jobs token=42 lease=30s"])
        #expect(story.told("#\(renewal) RENEWED jobs token=42 lease=3s") == ["\(renewal) done"])
        #expect(story.pass(.seconds(9)) == [])
        #expect(story.pass(.seconds(1)) == ["> #5 RENEW jobs token=42"])
        let release = story.submit(.release(grant))
        #expect(story.happened() == ["> #\(release) RELEASE jobs token=42"])
        #expect(story.told("#5 RENEWED jobs token=42 lease=3s") == [])
        #expect(story.pass(.seconds(3600)) == [])
    }

    @Test("a renewal names the token that an upgrade gave the grant") mutating func renewedUpgrade() {
        let grant = story.hold(.update, 42)
        story.session.keepRenewed(grant, every: .seconds(1), at: story.now)
        let upgrade = story.submit(.upgrade(grant))
        _ = story.happened()
        #expect(story.pass(.seconds(1)) == ["> #3 RENEW jobs token=42"])
        #expect(story.told("#\(upgrade) GRANTED jobs write token=43") == ["\(upgrade) done"])
        #expect(story.told("#3 ERROR not-held it is not held") == ["> #3 RENEW jobs token=43"])
        #expect(story.told("#3 RENEWED jobs token=43 lease=3s") == [])
        #expect(story.pass(.seconds(1)) == ["> #4 RENEW jobs token=43"])
    }

    @Test("the renewals of a lost grant end") mutating func renewalsOfLost() {
        let grant = story.hold(.write, 42)
        story.session.keepRenewed(grant, every: .seconds(1), at: story.now)
        #expect(story.told("! EXPIRED jobs token=42") == ["lost 42 expired"])
        #expect(story.pass(.seconds(3600)) == [])
        #expect(story.session.alarm == nil)
    }

    // MARK: The limit of waiting requests

    @Test(
        "a request beyond the limit is sent again when another is answered, and after a pause, for the time left"
    )
    mutating func queued() {
        let first = story.ask(story.write)
        let second = story.ask(story.write, timeout: .seconds(1))
        let third = story.ask(story.write)
        #expect(story.told("#\(third) ERROR limit-waiters too many wait") == [])
        #expect(story.told("#\(second) ERROR limit-waiters too many wait") == [])
        // The oldest comes first.
        story.now = story.now.advanced(by: .milliseconds(50))
        #expect(
            story.told("#\(first) GRANTED jobs write token=42")
                == ["\(first) granted", "> #\(second) WRITE jobs wait=950ms owner=t1"])
        // No other request of the session waits at the daemon, so it is not the session that is at its limit.
        #expect(
            story.told("#\(second) ERROR limit-waiters too many wait")
                == ["\(second) refused: limit-waiters", "> #\(third) WRITE jobs owner=t1"]
        )
    }

    @Test("a request beyond the limit is tried each tenth of a second, and a last time at its deadline")
    mutating func queuedToTheEnd() {
        _ = story.ask(story.read)
        let second = story.ask(story.write, timeout: .milliseconds(150))
        #expect(story.told("#\(second) ERROR limit-waiters too many wait") == [])
        #expect(story.pass(.milliseconds(100)) == ["> #\(second) WRITE jobs wait=50ms owner=t1"])
        #expect(story.told("#\(second) ERROR limit-waiters too many wait") == [])
        #expect(story.pass(.milliseconds(50)) == ["> #\(second) WRITE jobs wait=0 owner=t1"])
        #expect(
            story.told("#\(second) BUSY jobs write held-by=811/write") == ["\(second) refused: timed out"])
    }
}
