import LockCore
import LockVocabulary
import Testing

/// A lock table with a clock that stands still until it is told, and sessions that have letters for names.
///
/// Scenarios read as timelines: each line is what somebody does, and what comes of it.
struct World {
    var table: LockTable
    var now = Instant.zero
    private var sessions: [Character: SessionID] = [:]

    init(limits: Limits = Limits(), tokens: UInt64 = 1_000_000, grace: Duration? = nil) {
        table = LockTable(
            limits: limits, firstToken: Token(rawValue: 1), lastToken: Token(rawValue: tokens),
            graceEnd: grace.map { Instant.zero.advanced(by: $0) })
    }

    /// The session with a letter, opened when it is first named.
    mutating func session(_ letter: Character) -> SessionID {
        if let session = sessions[letter] { return session }
        guard let session = table.openSession() else { fatalError("no session is left") }
        sessions[letter] = session
        return session
    }

    func letter(of session: SessionID) -> Character {
        sessions.first { $0.value == session }?.key ?? "?"
    }

    // MARK: - What sessions do

    @discardableResult
    mutating func ask(
        _ letter: Character, _ mode: LockMode, _ lock: String = "jobs", owner: String = "-",
        wait: TimeLimit = .forever, lease: TimeLimit = .forever, tag: String? = nil
    ) -> String {
        let request = Acquisition(
            name(lock), mode, owner: OwnerID(owner) ?? .session, wait: wait, lease: lease,
            tag: tag.flatMap { Tag($0) })
        return spell(table.acquire(request, by: session(letter), at: now))
    }

    @discardableResult
    mutating func release(
        _ letter: Character, _ lock: String = "jobs", owner: String? = nil, token: UInt64? = nil
    ) -> String {
        switch table.release(name(lock), choice(owner, token), by: session(letter), at: now) {
        case .success(let token): "released \(token)"
        case .failure(let refusal): spell(refusal.refusal)
        }
    }

    @discardableResult
    mutating func upgrade(
        _ letter: Character, _ lock: String = "jobs", owner: String? = nil, token: UInt64? = nil,
        wait: TimeLimit = .forever
    ) -> String {
        spell(table.upgrade(name(lock), choice(owner, token), wait: wait, by: session(letter), at: now))
    }

    @discardableResult
    mutating func downgrade(_ letter: Character, _ lock: String = "jobs", to mode: LockMode) -> String {
        spell(table.downgrade(name(lock), to: mode, by: session(letter), at: now))
    }

    @discardableResult
    mutating func renew(_ letter: Character, _ lock: String = "jobs", lease: TimeLimit?) -> String {
        switch table.renew(name(lock), lease: lease, by: session(letter), at: now) {
        case .success(let renewed): "renewed \(renewed.token) \(renewed.lease.map { "\($0)" } ?? "forever")"
        case .failure(let refusal): spell(refusal.refusal)
        }
    }

    @discardableResult
    mutating func cancel(_ letter: Character, _ lock: String = "jobs", owner: String? = nil) -> String {
        switch table.cancel(name(lock), owner: owner.flatMap { OwnerID($0) }, by: session(letter), at: now) {
        case .success(let mode): "cancelled \(mode)"
        case .failure(let refusal): spell(refusal.refusal)
        }
    }

    mutating func end(_ letter: Character) {
        table.closeSession(session(letter), at: now)
        table.forgetSession(session(letter))
        sessions[letter] = nil
    }

    /// Lets time pass, from one thing that is due to the next.
    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let due = table.nextDeadline, due <= end {
            now = max(now, due)
            table.advance(to: now)
        }
        now = end
        table.advance(to: now)
    }

    /// What happened to others since it was last asked, with letters for sessions.
    mutating func news() -> [String] {
        defer { table.effects.removeAll() }
        return table.effects.map(spell)
    }

    /// The lock's holders, as letters and modes.
    func holders(_ lock: String = "jobs") -> [String] {
        stakes(lock).compactMap { stake in
            guard case .holder(let session, let mode, let owner, _, _, _, _) = stake else { return nil }
            return "\(letter(of: session))\(owner.isSession ? "" : "/\(owner)") \(mode)"
        }
    }

    /// Those who wait, in the order in which they will be served.
    func queue(_ lock: String = "jobs") -> [String] {
        stakes(lock).compactMap { stake in
            guard case .waiter(let session, let mode, let owner, _, _, _) = stake else { return nil }
            return "\(letter(of: session))\(owner.isSession ? "" : "/\(owner)") \(mode)"
        }
    }

    func stakes(_ lock: String, chunk: Int = 100) -> [StakeSummary] {
        var all: [StakeSummary] = []
        var cursor = StatusCursor()
        while !cursor.isAtEnd {
            table.forEachStake(on: name(lock), from: &cursor, budget: chunk, at: now) {
                all.append($0)
                return true
            }
        }
        return all
    }

    // MARK: - Spelling

    func name(_ text: String) -> LockName {
        guard let name = LockName(text) else { fatalError("not a name: \(text)") }
        return name
    }

    private func choice(_ owner: String?, _ token: UInt64?) -> GrantChoice {
        GrantChoice(token: token.map { Token(rawValue: $0) }, owner: owner.flatMap { OwnerID($0) })
    }

    private func spell(_ decision: Decision) -> String {
        switch decision {
        case .granted(let granted): spell(granted)
        case .waiting: "waiting"
        case .refused(let refusal): spell(refusal)
        }
    }

    private func spell(_ granted: Granted) -> String {
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

    private func spell(_ holders: Holders) -> String {
        if holders == .unknown { return "?" }
        let named = holders.first.map { "\(letter(of: $0.session)) \($0.mode)" }.joined(separator: ", ")
        return named + (holders.more > 0 ? ", +\(holders.more)" : "")
    }

    private func spell(_ circle: Circle) -> String {
        circle.hops.map { hop in
            "\(letter(of: hop.session))\(hop.owner.isSession ? "" : "/\(hop.owner)"):\(hop.lock)"
        }.joined(separator: ">")
    }

    private func spell(_ effect: Effect) -> String {
        switch effect {
        case .granted(let session, _, let name, let granted):
            "\(letter(of: session)) \(name) \(spell(granted))"
        case .refused(let session, _, let name, let mode, let refusal):
            "\(letter(of: session)) \(name) \(mode) \(spell(refusal))"
        case .expired(let session, let name, let token, _):
            "\(letter(of: session)) \(name) expired \(token)"
        case .revoked(let session, let name, let token): "\(letter(of: session)) \(name) revoked \(token)"
        case .recalled(let session, let name, let token): "\(letter(of: session)) \(name) recalled \(token)"
        case .diedHolding(_, let name, let grants): "died holding \(name) \(grants)"
        case .markForgotten(let name): "forgotten \(name)"
        case .changed(let change):
            "changed \(change.name) \(change.kind) \(change.mode) \(change.token.map(\.description) ?? "-")"
        }
    }
}
