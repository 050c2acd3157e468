import LockVocabulary
import LockWire
import Rendezvous
import Testing

@testable import PRWLock

/// What happens in one session. `>` stands before a line that the client sends.
@Suite struct SessionTests {
    private var story: SessionStory

    init() throws { story = try SessionStory() }

    @Test("requests wait for the connection, and are sent in their order") mutating func connecting() {
        let first = story.submit(.other(.ping))
        let second = story.submit(story.write)
        #expect(story.happened() == [])
        story.session.opened(at: story.now)
        #expect(story.happened() == ["> #\(first) PING", "> #\(second) WRITE jobs owner=t1"])
        let third = story.submit(.other(.ping))
        #expect(story.happened() == ["> #\(third) PING"])
    }

    @Test("a session begins with its greeting") mutating func greeting() {
        story.session = Session(greeting: Note(fitting: "tests"))
        let first = story.open(.other(.ping))
        #expect(story.happened() == ["> #1 HELLO client=tests", "> #\(first) PING"])
    }

    @Test("a request that is cancelled before the connection stands is never sent")
    mutating func cancelledBeforeConnection() {
        let id = story.submit(story.write)
        #expect(story.cancel(id) == ["\(id) cancelled"])
        story.session.opened(at: story.now)
        #expect(story.happened() == [])
    }

    @Test("a grant has its lock, owner, mode and token until it is released") mutating func granted() {
        let id = story.ask(story.write)
        #expect(story.told("#\(id) GRANTED jobs write token=42 ownerdied=1") == ["\(id) granted"])
        let grant = Session.GrantID(request: id)
        #expect(
            story.session.terms(of: grant)
                == Session.Terms(
                    name: story.jobs, owner: story.owner, mode: .write, token: Token(rawValue: 42),
                    ownerDied: .yes))
        #expect(!story.session.isIdle)
        let release = story.submit(.release(grant))
        #expect(story.happened() == ["> #\(release) RELEASE jobs token=42"])
        #expect(story.told("#\(release) RELEASED jobs token=42") == ["\(release) done"])
        #expect(story.session.isIdle)
    }

    @Test(
        "a refusal completes its request, in any order",
        arguments: [
            ("BUSY jobs write held-by=811/write", "timed out"),
            ("TIMEOUT jobs write waited=5000ms held-by=?", "timed out"),
            ("DEADLOCK jobs write cycle=811/t1:jobs>902:mail", "deadlock"),
            ("DENIED jobs write reason=rule", "denied"),
            ("ERROR limit-grants too many", "limit-grants"),
        ])
    mutating func refused(line: String, refusal: String) {
        let first = story.ask(story.write)
        let second = story.ask(story.write)
        #expect(story.told("#\(second) \(line)") == ["\(second) refused: \(refusal)"])
        #expect(story.told("#\(first) \(line)") == ["\(first) refused: \(refusal)"])
        #expect(story.session.isIdle)
    }

    @Test("a cancelled request is completed at once, and cancelled at the daemon")
    mutating func cancelled() {
        let id = story.ask(story.write)
        #expect(story.cancel(id) == ["\(id) cancelled", "> #2 CANCEL #\(id)"])
        #expect(story.cancel(id) == [])
        #expect(story.told("#\(id) CANCELLED jobs write") == [])
        #expect(story.told("#2 CANCELLED jobs write") == [])
        #expect(story.session.isIdle)
    }

    @Test("a grant that crosses the cancellation is released") mutating func crossing() {
        let id = story.ask(story.write)
        _ = story.cancel(id)
        #expect(story.told("#\(id) GRANTED jobs write token=42") == ["> #3 RELEASE jobs token=42"])
        #expect(story.told("#2 ERROR not-waiting there is none") == [])
        #expect(story.told("#3 RELEASED jobs token=42") == [])
        #expect(story.session.isIdle)
    }

    @Test("a cancelled upgrade waits for its answer, which states the mode that is held")
    mutating func cancelledUpgrade() {
        let grant = story.hold(.update, 42)
        let id = story.ask(.upgrade(grant))
        #expect(story.cancel(id) == ["> #3 CANCEL #\(id)"])
        #expect(story.told("#\(id) GRANTED jobs write token=43") == ["\(id) done"])
        #expect(story.session.terms(of: grant).mode == .write)
        #expect(story.told("! EXPIRED jobs token=42") == [])
        #expect(story.told("! EXPIRED jobs token=43") == ["lost 43 expired"])
    }

    @Test("an upgrade that leaves the queue was cancelled, or its grant is lost")
    mutating func upgradeLeavesQueue() {
        let grant = story.hold(.update, 42)
        let first = story.ask(.upgrade(grant))
        _ = story.cancel(first)
        #expect(story.told("#\(first) CANCELLED jobs write") == ["\(first) cancelled"])
        let second = story.ask(.upgrade(grant))
        #expect(story.told("! EXPIRED jobs token=42") == ["lost 42 expired"])
        #expect(story.told("#\(second) CANCELLED jobs write") == ["\(second) lost: expired"])
    }

    @Test("a downgrade keeps its token") mutating func downgrade() {
        let grant = story.hold(.write, 42)
        let id = story.ask(.downgrade(grant, to: .read))
        #expect(story.told("#\(id) GRANTED jobs read token=42") == ["\(id) done"])
        #expect(story.session.terms(of: grant).mode == .read)
        #expect(story.told("! REVOKED jobs token=42") == ["lost 42 revoked"])
    }

    @Test("a loss is reported once, and only for a grant that is held") mutating func lost() {
        let grant = story.hold(.write, 42)
        #expect(story.told("! EXPIRED jobs token=41") == [])
        #expect(story.told("! EXPIRED jobs token=42") == ["lost 42 expired"])
        #expect(story.told("! EXPIRED jobs token=42") == [])
        #expect(story.session.loss(of: grant)?.cause == .expired)
        #expect(story.end() == [])
    }

    @Test("a request about a lost grant is completed at once, until its holder lets it go")
    mutating func askedAfterLoss() {
        let grant = story.hold(.write, 42)
        _ = story.told("! EXPIRED jobs token=42")
        let renewal = story.submit(.renew(grant, lease: nil))
        #expect(story.happened() == ["\(renewal) lost: expired"])
        let release = story.submit(.release(grant))
        #expect(story.happened() == ["\(release) lost: expired"])
        story.session.abandon(grant, at: story.now)
        #expect(story.happened() == [])
        #expect(story.session.isIdle)
    }

    @Test("a release that crosses the end of the lease is a loss") mutating func releaseCrossesExpiry() {
        let release = story.ask(.release(story.hold(.write, 42)))
        #expect(story.told("! EXPIRED jobs token=42") == ["lost 42 expired"])
        #expect(
            story.told("#\(release) ERROR not-held there is no such grant") == ["\(release) lost: expired"])
    }

    @Test("an abandoned grant is released once") mutating func abandoned() {
        let grant = story.hold(.write, 42)
        story.session.abandon(grant, at: story.now)
        story.session.abandon(grant, at: story.now)
        #expect(story.happened() == ["> #2 RELEASE jobs token=42"])
        #expect(story.told("#2 RELEASED jobs token=42") == [])
        #expect(story.session.isIdle)
    }

    @Test("at the end every grant is lost, and every request is completed") mutating func ended() {
        let first = story.hold(.write, 42)
        _ = story.hold(.read, 41)
        let waiting = story.ask(story.write)
        let upgrade = story.ask(.upgrade(first))
        let withdrawn = story.ask(story.write)
        _ = story.cancel(withdrawn)
        #expect(
            story.end() == [
                "lost 42 disconnected", "lost 41 disconnected", "\(waiting) unanswered",
                "\(upgrade) lost: disconnected",
            ])
        let late = story.submit(.other(.ping))
        #expect(story.happened() == ["\(late) unanswered"])
        #expect(story.session.failure != nil)
    }

    @Test("a request that a leaving daemon refuses stays open until that daemon has ended")
    mutating func draining() {
        let id = story.ask(story.write)
        #expect(story.told("! DRAIN") == ["noticed drain"])
        #expect(story.told("#\(id) ERROR draining the daemon is leaving") == [])
        let impatient = story.ask(story.write, timeout: .zero)
        #expect(
            story.told("#\(impatient) ERROR draining the daemon is leaving")
                == ["\(impatient) refused: draining"])
        let cancelled = story.ask(story.write)
        #expect(story.told("#\(cancelled) ERROR draining the daemon is leaving") == [])
        #expect(story.cancel(cancelled) == ["\(cancelled) cancelled"])
        #expect(story.end() == ["\(id) unanswered"])
    }

    @Test("a cancelled question is completed at once, and a cancelled release is not")
    mutating func cancelledQuestion() {
        let grant = story.hold(.write, 42)
        let list = story.ask(.other(.list(prefix: "", after: nil, limit: nil)))
        #expect(story.cancel(list) == ["\(list) cancelled"])
        let release = story.ask(.release(grant))
        #expect(story.cancel(release) == [])
        #expect(story.told("* lock a mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(story.told("#\(list) END 1") == [])
        #expect(story.told("#\(release) RELEASED jobs token=42") == ["\(release) done"])
        #expect(story.session.isIdle)
    }

    @Test("rows belong to the oldest open listing, whatever replies come between") mutating func rows() {
        let first = story.ask(.other(.list(prefix: "", after: nil, limit: nil)))
        let other = story.ask(story.write)
        let second = story.ask(.other(.list(prefix: "b", after: nil, limit: nil)))
        #expect(story.told("* lock a mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(story.told("#\(other) GRANTED jobs write token=1") == ["\(other) granted"])
        #expect(story.told("* lock b mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(story.told("#\(first) END 2") == ["\(first) answered with 2 rows"])
        #expect(story.told("* lock b mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(story.told("#\(second) END 1") == ["\(second) answered with 1 rows"])
    }

    @Test("a change of a watched lock is passed on") mutating func observed() {
        _ = story.ask(.other(.ping))
        #expect(
            story.told("! CHANGED jobs granted pid=811 mode=write token=42") == ["noticed jobs granted"])
    }

    @Test("an error that answers no request is the reason why the session ends") mutating func farewell() {
        let id = story.ask(.other(.ping))
        #expect(story.told("ERROR limit-sessions there are too many") == [])
        #expect(story.end() == ["\(id) refused: limit-sessions"])
    }

    @Test("lines that answer no open request are ignored")
    mutating func strayLines() {
        #expect(story.told("#17 GRANTED jobs write token=42") == [])
        #expect(story.told("#other PONG") == [])
        #expect(story.told("PONG") == [])
        #expect(story.session.isIdle)
    }
}
