import LockVocabulary
import LockWire
import Testing

@testable import PRWLock

/// What happens on one connection, told line by line: `>` is what is sent, `<` what the daemon says.
@Suite struct ConnectionStateTests {
    private var state = ConnectionState()
    private let jobs: LockName
    private let mail: LockName

    init() throws {
        jobs = try #require(LockName("jobs"))
        mail = try #require(LockName("mail"))
    }

    @Test("requests wait for the connection, and go out in their order") mutating func connecting() {
        let (first, nothing) = state.submit(.ping)
        let (second, _) = state.submit(write(jobs))
        #expect(nothing == [])
        #expect(state.opened().lines == ["> #\(first) PING", "> #\(second) WRITE jobs owner=t1"])
        #expect(state.submit(.ping).1.lines == ["> #3 PING"])
    }

    @Test("a request that is cancelled before the connection is there is never sent")
    mutating func cancelledBeforeConnection() {
        let (id, _) = state.submit(write(jobs))
        #expect(state.cancel(id).lines == ["\(id) withdrawn"])
        #expect(state.opened() == [])
    }

    @Test("a grant is told to whoever asked, with its token") mutating func granted() {
        let id = open(write(jobs))
        #expect(
            told("#\(id) GRANTED jobs write token=42 ownerdied=1") == ["\(id) granted write 42 ownerdied"])
        #expect(!state.isIdle)
        let release = open(.release(jobs, GrantChoice(token: Token(rawValue: 42))))
        #expect(told("#\(release) RELEASED jobs token=42") == ["\(release) answered"])
        #expect(state.isIdle)
    }

    @Test(
        "refusals are told to whoever asked, in any order",
        arguments: [
            "BUSY jobs write held-by=811/write", "TIMEOUT jobs write waited=5000ms held-by=?",
            "DEADLOCK jobs write cycle=811/t1:jobs>902:mail", "DENIED jobs write reason=rule",
            "ERROR limit-waiters too many",
        ])
    mutating func refused(line: String) {
        let first = open(write(jobs))
        let second = open(write(jobs))
        #expect(told("#\(second) \(line)") == ["\(second) answered"])
        #expect(told("#\(first) \(line)") == ["\(first) answered"])
        #expect(state.isIdle)
    }

    @Test("a waiting request that is cancelled is withdrawn at once, and the daemon is told")
    mutating func cancelled() {
        let id = open(write(jobs))
        #expect(state.cancel(id).lines == ["\(id) withdrawn", "> #2 CANCEL #\(id)"])
        #expect(state.cancel(id) == [])
        #expect(told("#\(id) CANCELLED jobs write") == [])
        #expect(told("#2 CANCELLED jobs write") == [])
        #expect(state.isIdle)
    }

    @Test("a grant that crosses the cancellation is given back") mutating func crossing() {
        let id = open(write(jobs))
        _ = state.cancel(id)
        #expect(told("#\(id) GRANTED jobs write token=42") == ["> #3 RELEASE jobs token=42"])
        #expect(told("#2 ERROR not-waiting there is none") == [])
        #expect(told("#3 RELEASED jobs token=42") == [])
        #expect(state.isIdle)
    }

    @Test("an upgrade that is cancelled waits for its answer, which says what is held")
    mutating func cancelledUpgrade() {
        hold(jobs, .update, 42)
        let id = open(.upgrade(jobs, GrantChoice(token: Token(rawValue: 42)), wait: .forever))
        #expect(state.cancel(id).lines == ["> #3 CANCEL #\(id)"])
        #expect(told("#\(id) GRANTED jobs write token=43") == ["\(id) changed 42 to write 43"])
        #expect(told("! EXPIRED jobs token=42") == [])
        #expect(told("! EXPIRED jobs token=43") == ["lost 43 expired"])
    }

    @Test("a downgrade keeps its token") mutating func downgrade() {
        hold(jobs, .write, 42)
        let id = open(.downgrade(jobs, GrantChoice(token: Token(rawValue: 42)), to: .read))
        #expect(told("#\(id) GRANTED jobs read token=42") == ["\(id) changed 42 to read 42"])
        #expect(told("! REVOKED jobs token=42") == ["lost 42 revoked"])
    }

    @Test("a loss is told once, and only of what is held") mutating func lost() {
        hold(jobs, .write, 42)
        #expect(told("! EXPIRED jobs token=41") == [])
        #expect(told("! EXPIRED jobs token=42") == ["lost 42 expired"])
        #expect(told("! EXPIRED jobs token=42") == [])
        #expect(state.ended() == [])
    }

    @Test("at the end everything held is lost, and everything asked is answered") mutating func ended() {
        hold(jobs, .write, 42)
        hold(mail, .read, 41)
        let waiting = open(write(mail))
        let withdrawn = open(write(mail))
        _ = state.cancel(withdrawn)
        #expect(state.ended().lines == ["lost 41 disconnected", "lost 42 disconnected", "\(waiting) ended"])
        let (late, actions) = state.submit(.ping)
        #expect(actions.lines == ["\(late) ended"])
        #expect(state.hasEnded)
    }

    @Test("what a leaving daemon does not take is asked of the next, once this one is gone")
    mutating func draining() {
        let id = open(write(jobs))
        #expect(told("! DRAIN") == [])
        #expect(told("#\(id) ERROR draining the daemon is leaving") == [])
        let impatient = open(.acquire(Acquire(name: jobs, mode: .write, wait: .upTo(.zero))))
        #expect(told("#\(impatient) ERROR draining the daemon is leaving") == ["\(impatient) answered"])
        let cancelled = open(write(mail))
        #expect(told("#\(cancelled) ERROR draining the daemon is leaving") == [])
        #expect(state.cancel(cancelled).lines == ["\(cancelled) withdrawn"])
        #expect(state.ended().lines == ["\(id) ended"])
    }

    // MARK: Giving up

    @Test("a request that is given up is undone behind itself, without the client (G13)")
    mutating func gaveUp() {
        let id = open(write(jobs))
        #expect(
            state.giveUp(id).lines
                == ["\(id) given up", "> #2 CANCEL #\(id)", "> #3 RELEASE jobs owner=t1"])
        #expect(state.isForsaken)
        #expect(state.giveUp(id) == [])
        // It was granted before the daemon read on.
        #expect(told("#\(id) GRANTED jobs write token=42") == ["> #4 RELEASE jobs token=42"])
        #expect(told("#2 ERROR not-waiting there is none") == [])
        #expect(told("#3 RELEASED jobs token=42") == [])
        #expect(told("#4 ERROR not-held there is none") == [])
        #expect(state.isIdle)
    }

    @Test("what undoes a request never names another grant of its owner")
    mutating func gaveUpBesideAGrant() {
        let held = open(read(jobs))
        #expect(told("#\(held) GRANTED jobs read token=42") == ["\(held) granted read 42"])
        let id = open(read(jobs))
        #expect(state.giveUp(id).lines == ["\(id) given up", "> #3 CANCEL #\(id)"])
        #expect(!state.isForsaken)
        #expect(told("#\(id) GRANTED jobs read token=43") == ["> #4 RELEASE jobs token=43"])
        #expect(told("! REVOKED jobs token=42") == ["lost 42 revoked"])
    }

    @Test("a silent daemon is sent nothing that has a time, until it speaks") mutating func silence() {
        let first = open(write(jobs))
        _ = state.giveUp(first)
        let late = open(write(mail))
        let question = open(.ping)
        #expect(state.giveUp(late).lines == ["\(late) given up"])
        #expect(state.submit(.ping).1 == [])
        #expect(
            told("#2 CANCELLED jobs write") == ["> #\(question) PING", "> #\(question + 1) PING"])
        #expect(state.submit(.ping).1.lines == ["> #\(question + 2) PING"])
    }

    @Test("a line says how long its request may wait when it is sent, whatever went before")
    mutating func timeLeft() {
        let deadline = Instant(nanoseconds: 5_000_000_000)
        let (first, _) = state.submit(write(jobs, wait: 5), until: deadline, at: .zero)
        let (second, _) = state.submit(write(mail, wait: 5), until: deadline, at: .zero)
        #expect(
            state.opened(at: Instant(nanoseconds: 2_000_000_000)).lines
                == ["> #\(first) WRITE jobs wait=3s owner=t1", "> #\(second) WRITE mail wait=3s owner=t1"])
        let (third, sent) = state.submit(
            write(jobs, wait: 5), until: deadline, at: Instant(nanoseconds: 6_000_000_000))
        #expect(sent.lines == ["> #\(third) WRITE jobs wait=0 owner=t1"])
    }

    @Test("an upgrade that was given up and granted all the same is undone, and asked about by its new token")
    mutating func gaveUpUpgrade() {
        hold(jobs, .read, 42)
        let old = GrantChoice(token: Token(rawValue: 42))
        let id = open(.upgrade(jobs, old, wait: .upTo(.seconds(1))))
        #expect(state.giveUp(id).lines == ["\(id) given up", "> #3 CANCEL #\(id)"])
        let release = open(.release(jobs, old))
        #expect(
            told("#\(id) GRANTED jobs write token=43")
                == ["\(id) changed 42 to write 43", "> #5 DOWNGRADE jobs token=43 to=read"])
        #expect(told("#3 ERROR not-waiting there is none") == [])
        #expect(told("#\(release) ERROR not-held there is none") == ["> #\(release) RELEASE jobs token=43"])
        #expect(told("#5 GRANTED jobs read token=43") == ["5 changed 43 to read 43"])
        #expect(told("#\(release) RELEASED jobs token=43") == ["\(release) answered"])
        #expect(state.isIdle)
    }

    @Test("a request that a leaving daemon has not taken in time is told so") mutating func gaveUpDraining() {
        let id = open(write(jobs))
        #expect(told("#\(id) ERROR draining the daemon is leaving") == [])
        #expect(state.giveUp(id).lines == ["\(id) answered"])
    }

    @Test("a question is withdrawn at once, and a release is not") mutating func cancelledQuestion() {
        hold(jobs, .write, 42)
        let list = open(.list(prefix: "", after: nil, limit: nil))
        #expect(state.cancel(list).lines == ["\(list) withdrawn"])
        let release = open(.release(jobs, GrantChoice(token: Token(rawValue: 42))))
        #expect(state.cancel(release) == [])
        #expect(told("* lock a mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(told("#\(list) OK 1") == [])
        #expect(told("#\(release) RELEASED jobs token=42") == ["\(release) answered"])
        #expect(state.isIdle)
    }

    @Test("rows belong to the listing that is open, whatever other replies come between") mutating func rows()
    {
        let first = open(.list(prefix: "", after: nil, limit: nil))
        let other = open(write(jobs))
        let second = open(.list(prefix: "b", after: nil, limit: nil))
        #expect(told("* lock a mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(told("#\(other) GRANTED jobs write token=1") == ["\(other) granted write 1"])
        #expect(told("* lock b mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(told("#\(first) OK 2") == ["\(first) answered with 2 rows"])
        #expect(told("* lock b mode=read holders=1 waiters=0 ownerdied=0") == [])
        #expect(told("#\(second) OK 1") == ["\(second) answered with 1 rows"])
    }

    @Test("what is watched is told") mutating func observed() {
        #expect(told("! CHANGED jobs granted pid=811 mode=write token=42") == ["observed granted"])
    }

    @Test("an error that answers nothing is why the session ends") mutating func farewell() {
        #expect(told("ERROR limit-sessions there are too many") == [])
        #expect(state.farewell?.code == .limitSessions)
    }

    @Test("lines that answer nothing that was asked are passed over")
    mutating func strayLines() {
        #expect(told("#17 GRANTED jobs write token=42") == [])
        #expect(told("#other PONG") == [])
        #expect(told("PONG") == [])
        #expect(state.isIdle)
    }

    // MARK: The story's words

    private func write(_ name: LockName, wait: Int? = nil) -> Verb {
        let wait = wait.map { TimeLimit.upTo(.seconds($0)) } ?? .forever
        return .acquire(Acquire(name: name, mode: .write, wait: wait, owner: OwnerID("t1") ?? .session))
    }

    private func read(_ name: LockName) -> Verb {
        .acquire(Acquire(name: name, mode: .read, owner: OwnerID("t1") ?? .session))
    }

    /// Asks for something on an open connection.
    private mutating func open(_ verb: Verb) -> ConnectionState.RequestID {
        _ = state.opened()
        return state.submit(verb).0
    }

    private mutating func hold(_ name: LockName, _ mode: LockMode, _ token: UInt64) {
        let id = open(.acquire(Acquire(name: name, mode: mode)))
        _ = told("#\(id) GRANTED \(name) \(mode) token=\(token)")
    }

    /// What follows from a line of the daemon.
    private mutating func told(_ line: String) -> [String] {
        let understood = Array(line.utf8).withUnsafeBytes { ServerLine.parse($0) }
        guard let understood else { return ["not a line: \(line)"] }
        return state.received(understood).lines
    }
}

extension [ConnectionState.Action] {
    /// One line for each.
    fileprivate var lines: [String] {
        map { action in
            switch action {
            case .send(let request):
                var bytes: [UInt8] = []
                request.encode(into: &bytes)
                return "> " + String(decoding: bytes.dropLast(), as: UTF8.self)
            case .granted(let id, let granted):
                return "\(id) granted \(granted.mode) \(granted.token)"
                    + (granted.ownerDied ? " ownerdied" : "")
            case .changed(let id, let old, let granted):
                return "\(id) changed \(old) to \(granted.mode) \(granted.token)"
            case .answered(let id, _, let rows):
                return "\(id) answered" + (rows.isEmpty ? "" : " with \(rows.count) rows")
            case .withdrawn(let id): return "\(id) withdrawn"
            case .gaveUp(let id): return "\(id) given up"
            case .ended(let id): return "\(id) ended"
            case .lost(let token, let cause): return "lost \(token) \(cause)"
            case .observed(let change): return "observed \(change.change)"
            }
        }
    }
}
