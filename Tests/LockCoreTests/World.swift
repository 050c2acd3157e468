import LockCore
import LockVocabulary
import Testing

/// A lock table with a clock that stands still until it is told, and sessions that have letters for names.
///
/// `play` has it live through a timeline: each line is what somebody does, and after ` : ` what comes of it, first the
/// answer, then what others are told.
///
///     a write jobs          : write 1
///     b/t1 read jobs wait=5s : waiting
///     + 4s                  :
///     a release jobs        : released 1 | b jobs read 2
final class World {
    var table: LockTable
    private(set) var now = Instant.zero
    private var sessions: [Character: SessionID] = [:]
    private var letters: [SessionID: Character] = [:]

    init(limits: Limits = Limits(), tokens: UInt64 = 1_000_000, grace: Duration? = nil) {
        table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: tokens),
            graceEnd: grace.map { Instant.zero.advanced(by: $0) })
    }

    /// Lives through a timeline. The invariants are checked after every line.
    func play(_ timeline: String, sourceLocation: SourceLocation = #_sourceLocation) {
        for line in timeline.split(separator: "\n") {
            let halves = line.split(separator: " :", maxSplits: 1)
            let said = halves.first.map { $0.trimmed } ?? ""
            let expected = halves.dropFirst().first.map { $0.trimmed } ?? ""
            let answer = carryOut(TimelineStep(said))
            let came = (answer.isEmpty ? [] : [answer]) + news()
            #expect(came.joined(separator: " | ") == expected, "\(said)", sourceLocation: sourceLocation)
            do {
                try table.checkInvariants()
            } catch {
                Issue.record("after \(said): \(error)", sourceLocation: sourceLocation)
            }
        }
    }

    // MARK: - Sessions

    /// The session with a letter, opened when it is first named.
    func session(_ letter: Character) -> SessionID {
        if let session = sessions[letter] { return session }
        guard let session = table.openSession() else { fatalError("no session is left") }
        sessions[letter] = session
        letters[session] = letter
        return session
    }

    func letter(of session: SessionID) -> Character { letters[session] ?? "?" }

    // MARK: - Steps

    private func carryOut(_ step: TimelineStep) -> String {
        switch step.verb {
        case "+": pass(step.duration)
        case "held": return holders(of: step.lock).joined(separator: ", ")
        case "awaited": return queue(of: step.lock).joined(separator: ", ")
        case "marked": return table.summary(of: step.lock)?.ownerDied == true ? "yes" : "no"
        case "allow": table.allowTokens(through: step.token ?? Token(rawValue: 0))
        case "drain": table.isDraining = true
        case "ends": end(step.letter)
        case "recall": table.setRecall(step.isOn, of: session(step.letter))
        default: return ask(step)
        }
        return ""
    }

    private func ask(_ step: TimelineStep) -> String {
        let session = session(step.letter)
        let choice = GrantChoice(token: step.token, owner: step.owner)
        switch step.verb {
        case "read", "update", "write":
            let request = Acquisition(
                step.lock, step.mode, owner: step.owner ?? .session, wait: step.wait ?? .forever,
                lease: step.lease ?? .forever, tag: step.tag)
            return spell(table.acquire(request, by: session, at: now))
        case "release":
            return spell(table.release(step.lock, choice, by: session, at: now)) { "released \($0)" }
        case "releaseAll":
            let ended = table.releaseAll(of: step.owner ?? .session, by: session, at: now)
            return "released \(ended.grants), cancelled \(ended.waiters)"
        case "leave":
            return spell(table.releaseAtEnd(step.lock, choice, by: session, at: now)) { "leaves \($0)" }
        case "upgrade":
            return spell(
                table.upgrade(
                    step.lock, choice, wait: step.wait ?? .forever, tag: step.tag, by: session, at: now))
        case "downgrade":
            return spell(table.downgrade(step.lock, choice, to: step.newMode, by: session, at: now))
        case "renew":
            return spell(table.renew(step.lock, choice, lease: step.lease, by: session, at: now)) {
                "renewed \($0.token) \($0.lease.map { "\($0.wholeMilliseconds)ms" } ?? "forever")"
            }
        case "cancel":
            if let tag = step.tag {
                return spell(table.cancel(tag, by: session, at: now)) { "cancelled \($0.name) \($0.mode)" }
            }
            return spell(table.cancel(step.lock, owner: step.owner, by: session, at: now)) {
                "cancelled \($0)"
            }
        case "validate":
            let token = step.token ?? Token(rawValue: 0)
            return table.validate(step.lock, token, at: now) ? "valid" : "stale"
        case "revoke":
            return spell(table.revoke(step.lock, step.token ?? Token(rawValue: 0), at: now)) { "revoked" }
        default: fatalError("a timeline has no verb \(step.verb)")
        }
    }

    /// The session's connection is gone, and its place is free.
    func end(_ letter: Character) {
        table.closeSession(session(letter), at: now)
        table.forgetSession(session(letter))
        sessions[letter] = nil
    }

    /// Lets time pass, from one thing that is due to the next.
    func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let due = table.nextDeadline, due <= end {
            now = max(now, due)
            table.advance(to: now)
        }
        now = end
        table.advance(to: now)
    }

    /// Lets time pass unseen: what is due meanwhile is only carried out with the next command.
    func skip(_ duration: Duration) { now = now.advanced(by: duration) }

    // MARK: - Looking

    /// What happened to others since it was last asked, with letters for sessions.
    func news() -> [String] {
        defer { table.effects.removeAll(keepingCapacity: true) }
        return table.effects.map(spell)
    }

    /// A lock's holders in the order of their grants.
    func holders(of lock: LockName) -> [String] {
        stakes(lock).compactMap { stake in
            guard case .holder(let session, let mode, let owner, _, _, _, _) = stake else { return nil }
            return "\(who(session, owner)) \(mode)"
        }
    }

    /// Those who wait, in the order in which they will be served.
    func queue(of lock: LockName) -> [String] {
        stakes(lock).compactMap { stake in
            guard case .waiter(let session, let mode, let owner, _, _, _, _) = stake else { return nil }
            return "\(who(session, owner)) \(mode)"
        }
    }

    func stakes(_ lock: LockName, chunk: Int = 100) -> [StatusRow] {
        var all: [StatusRow] = []
        var cursor = StatusCursor()
        while !cursor.isAtEnd {
            table.forEachStatusRow(on: lock, from: &cursor, budget: chunk, at: now) {
                all.append($0)
                return true
            }
        }
        return all
    }

    // MARK: - Spelling

    private func who(_ session: SessionID, _ owner: OwnerID, tag: LockVocabulary.Tag? = nil) -> String {
        "\(letter(of: session))\(owner.isSession ? "" : "/\(owner)")\(tag.map { "\($0)" } ?? "")"
    }

    private func spell(_ decision: Decision) -> String {
        switch decision {
        case .granted(let granted): spell(granted)
        case .waiting: "waiting"
        case .refused(let refusal): spell(refusal)
        }
    }

    private func spell<Value>(_ result: Result<Value, Refusal>, _ value: (Value) -> String) -> String {
        switch result {
        case .success(let success): value(success)
        case .failure(let refused): spell(refused)
        }
    }

    private func spell(_ granted: GrantSummary) -> String {
        "\(granted.mode) \(granted.token)\(granted.ownerDied ? " ownerdied" : "")"
    }

    private func spell(_ refusal: Refusal) -> String {
        switch refusal {
        case .busy(let holders): "busy \(spell(holders))"
        case .timeout(let waited, let holders): "timeout \(waited.wholeMilliseconds)ms \(spell(holders))"
        case .deadlock(let circle): "deadlock \(spell(circle))"
        case .limit(let limit): "limit \(limit)"
        default: "\(refusal)"
        }
    }

    private func spell(_ holders: Blockers) -> String {
        if holders == .unknown { return "?" }
        let named = holders.first.map { "\(letter(of: $0.session)) \($0.mode)" }.joined(separator: ", ")
        return named + (holders.more > 0 ? ", +\(holders.more)" : "")
    }

    private func spell(_ circle: Circle) -> String {
        circle.hops.map { "\(who($0.session, $0.owner)):\($0.lock)" }.joined(separator: ">")
    }

    private func spell(_ effect: Effect) -> String {
        switch effect {
        case .granted(let session, let tag, let name, let granted):
            "\(who(session, .session, tag: tag)) \(name) \(spell(granted))"
        case .refused(let session, let tag, let name, let mode, let refusal):
            "\(who(session, .session, tag: tag)) \(name) \(mode) \(spell(refusal))"
        case .expired(let session, let name, let token, _):
            "\(letter(of: session)) \(name) expired \(token)"
        case .revoked(let session, let name, let token): "\(letter(of: session)) \(name) revoked \(token)"
        case .recalled(let session, let name, let token): "\(letter(of: session)) \(name) recalled \(token)"
        case .diedHolding(let session, let name, _, let grants):
            "\(letter(of: session)) died holding \(grants), \(name)"
        case .markForgotten(let name): "\(name) forgotten"
        case .changed(let change):
            "~ \(letter(of: change.session)) \(change.name) \(change.kind) \(change.mode)"
                + (change.token.map { " \($0)" } ?? "")
        }
    }
}
