import LockVocabulary
import LockWire
import Testing

@testable import PRWLock

/// Grants on locks that hosts share, which count until a moment.
@Suite struct SharedGrantStoryTests {
    var story: SessionStory

    init() throws { story = try SessionStory() }

    /// A grant that counts for eight seconds.
    private mutating func hold(_ token: UInt64 = 42) -> Session.GrantID {
        let id = story.ask(story.write)
        _ = story.told("#\(id) GRANTED jobs write token=\(token) until=8000ms clock=0ms")
        return Session.GrantID(request: id)
    }

    private mutating func confirm(_ clock: Int) -> [String] {
        story.told("! UNTIL until=8000ms clock=\(clock)ms")
    }

    @Test("a grant is lost when its moment passes without a newer one (G9)") mutating func passed() {
        let grant = hold()
        #expect(story.session.alarm?.nanoseconds == 8_000_000_000)
        #expect(story.pass(.milliseconds(7999)) == [])
        #expect(story.pass(.milliseconds(1)) == ["lost 42 unconfirmed"])
        #expect(story.session.loss(of: grant)?.cause == .unconfirmed)
        #expect(story.session.alarm == nil)
    }

    @Test("a notice moves the moment of all grants") mutating func extended() {
        _ = hold(42)
        _ = hold(43)
        #expect(story.pass(.seconds(3)) == [])
        #expect(confirm(3000) == [])
        #expect(story.pass(.milliseconds(7999)) == [])
        #expect(story.pass(.milliseconds(1)) == ["lost 42 unconfirmed", "lost 43 unconfirmed"])
    }

    @Test("the moment counts from the earlier clock, and does not come nearer") mutating func earlierClock() {
        let id = story.ask(story.write)
        _ = story.told("#\(id) GRANTED jobs write token=42 until=8000ms clock=999999ms")
        #expect(story.told("! UNTIL until=100ms clock=0ms") == [])
        #expect(story.pass(.milliseconds(7999)) == [])
        #expect(story.pass(.milliseconds(1)) == ["lost 42 unconfirmed"])
    }

    @Test("a notice after the loss revives nothing, and the holder's release is sent") mutating func late() {
        let grant = hold()
        _ = story.pass(.seconds(8))
        #expect(confirm(8000) == [])
        #expect(story.session.loss(of: grant)?.cause == .unconfirmed)
        let release = story.submit(.release(grant))
        #expect(story.happened() == ["\(release) lost: unconfirmed", "> #\(release) RELEASE jobs token=42"])
        #expect(story.told("#\(release) RELEASED jobs token=42") == [])
        #expect(story.session.isIdle)
    }

    @Test("a grant that the daemon took back as well is let go") mutating func revoked() {
        let grant = hold()
        _ = story.pass(.seconds(8))
        #expect(story.told("! REVOKED jobs token=42") == [])
        story.session.abandon(grant, at: story.now)
        let release = Session.RequestID(number: grant.request.number + 1)
        #expect(story.happened() == ["> #\(release) RELEASE jobs token=42"])
        #expect(story.told("#\(release) ERROR not-held no such grant") == [])
        #expect(story.session.isIdle)
    }

    @Test("a release that was asked for in time waits for its answer") mutating func releasedInTime() {
        let grant = hold()
        _ = story.pass(.seconds(7))
        let release = story.submit(.release(grant), timeout: CallTime.patience)
        _ = story.happened()
        #expect(story.pass(.seconds(2)) == ["lost 42 unconfirmed"])
        #expect(story.told("#\(release) RELEASED jobs token=42") == ["\(release) done"])
    }

    @Test("no caller waits for the answer about a lost grant") mutating func unanswered() {
        let grant = hold()
        let renewal = story.submit(.renew(grant, lease: nil))
        let upgrade = story.submit(.upgrade(grant))
        _ = story.happened()
        let cancel = Session.RequestID(number: upgrade.number + 1)
        #expect(
            story.pass(.seconds(8)) == [
                "lost 42 unconfirmed", "\(renewal) lost: unconfirmed", "\(upgrade) lost: unconfirmed",
                "> #\(cancel) CANCEL #\(upgrade)",
            ])
        #expect(story.told("#\(renewal) RENEWED jobs token=42 lease=5s") == [])
        #expect(story.told("#\(upgrade) GRANTED jobs write token=43 until=8000ms clock=8000ms") == [])
        let release = story.submit(.release(grant))
        #expect(story.happened() == ["\(release) lost: unconfirmed", "> #\(release) RELEASE jobs token=43"])
    }

    @Test("a grant that is asked for too late by this process's clock is lost in the same look")
    mutating func stopped() {
        let grant = hold()
        story.now = story.now.advanced(by: .seconds(60))
        let release = story.submit(.release(grant), timeout: CallTime.patience)
        #expect(story.happened() == ["> #\(release) RELEASE jobs token=42"])
        #expect(story.pass(.zero) == ["lost 42 unconfirmed", "\(release) lost: unconfirmed"])
    }

    @Test("a notice without a shared grant changes nothing, and other grants have no moment")
    mutating func local() {
        _ = story.hold(.read, 7)
        #expect(confirm(0) == [])
        #expect(story.session.alarm == nil)
        #expect(story.pass(.seconds(100)) == [])
    }
}
