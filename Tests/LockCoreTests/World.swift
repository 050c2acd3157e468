import LockCore
import LockVocabulary
import Testing

/// A lock table with a clock that only timelines advance, and sessions that have letters as names.
///
/// `play` runs a timeline. Each line is a step, and after ` : ` its results: the answer, then the effects on other
/// sessions.
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

    init(
        limits: Limits = Limits(), tokens: UInt64 = 1_000_000, grace: Duration? = nil,
        patience: Duration? = nil
    ) {
        table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: tokens),
            graceEnd: grace.map { Instant.zero.advanced(by: $0) }, patience: patience)
    }

    /// Runs a timeline, and checks the invariants after every line.
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

    /// The session with a letter; the first use opens it.
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
        switch step {
        case .command(let letter, let command, let tag):
            return spell(table.carryOut(command, by: session(letter), tag: tag, at: now))
        case .ends(let letter): end(letter)
        case .passes(let duration): pass(duration)
        case .allows(let token): table.allowTokens(through: token)
        case .drains: table.isDraining = true
        case .looks(.held, let lock): return holders(of: lock).joined(separator: ", ")
        case .looks(.awaited, let lock): return queue(of: lock).joined(separator: ", ")
        case .looks(.marked, let lock): return table.summary(of: lock)?.ownerDied == true ? "yes" : "no"
        }
        return ""
    }

    /// Ends a session, and frees its slot.
    func end(_ letter: Character) {
        table.closeSession(session(letter), at: now)
        table.forgetSession(session(letter))
        sessions[letter] = nil
    }

    /// Advances the clock from deadline to deadline.
    func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let due = table.nextDeadline, due <= end {
            now = max(now, due)
            table.advance(to: now)
        }
        now = end
        table.advance(to: now)
    }

    /// Advances the clock only: the next command carries out what was due meanwhile.
    func skip(_ duration: Duration) { now = now.advanced(by: duration) }

    // MARK: - Looking

    /// The effects since the last call, with letters for sessions.
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

    /// The waiting requests in the order of their service.
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

    private func spell(_ outcome: Outcome) -> String {
        switch outcome {
        case .decision(.granted(let granted)): spell(granted)
        case .decision(.waiting): "waiting"
        case .decision(.refused(let refusal)), .refused(let refusal): spell(refusal)
        case .done(_, let text): text
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
        case .cancelled, .noToken, .unavailable, .draining, .notHeld, .notWaiting, .ambiguous, .wrongMode,
            .noLease:
            "\(refusal)"
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
        case .ended(let session): "\(letter(of: session)) ended"
        case .markForgotten(let name): "\(name) forgotten"
        case .changed(let change):
            "~ \(letter(of: change.session)) \(change.name) \(change.kind) \(change.mode)"
                + (change.token.map { " \($0)" } ?? "")
        }
    }
}
