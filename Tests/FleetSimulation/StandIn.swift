import LockClaims
import LockVocabulary
import SimulatedStore

/// A daemon with the real claims, and in place of the rules the plainest table of locks: one queue for each, in order of
/// arrival.
final class StandIn: SimulatedDaemon {
    struct Grant {
        let session: SessionID
        let owner: String
        var mode: LockMode
        var token: UInt64
        var end: Instant?
    }

    struct Waiter {
        let number: UInt64
        let tag: Substring
        let session: SessionID
        let owner: String
        let mode: LockMode
        let deadline: Instant?
        let isProbe: Bool
        let since: Instant
        /// The token of the grant that it upgrades.
        let upgrades: UInt64?
        let lease: Duration?
    }

    struct Lock {
        var grants: [Grant] = []
        var waiters: [Waiter] = []
        var mark: ClaimMark?
        var fleet = FleetHold.all
        var recall = Recall.none
        /// How many waiters go before the fleet's request.
        var recallPlace = 0
        var unavailable: String?
    }

    struct LocalLocks {}

    var claims: Claims
    let configuration: ClaimsConfiguration
    var locks: [LockName: Lock] = [:]
    var changed: [LockName] = []
    var sessions: Set<SessionID> = []
    var lines: [(session: SessionID, line: String)] = []
    private var lastSession: UInt32 = 0
    var lastNumber: UInt64 = 0
    var lastToken: UInt64
    var lastSharedToken: UInt64 = 0
    private var announced: Instant?
    private var unavailable: String?

    init(_ identity: HostIdentity, _ settings: FleetSettings, _ now: Instant) {
        guard let host = HostName(identity.name) else { preconditionFailure("a host's name") }
        var configuration = ClaimsConfiguration(
            host: host, instance: identity.instance, namePrefixes: settings.prefixes)
        configuration.leaseSeconds = settings.lease.wholeMilliseconds / 1_000
        configuration.minimumTurn = settings.minimumTurn
        configuration.maximumTurn = settings.maximumTurn
        configuration.highestEpoch = identity.highestEpoch
        self.configuration = configuration
        claims = Claims(configuration)
        lastToken = identity.firstToken
    }

    var highestEpoch: Int64 { claims.state.highestEpoch }

    // MARK: - Input

    func open(_ process: Int32, at now: Instant) -> SessionID? {
        lastSession += 1
        let session = SessionID(slot: lastSession, serial: lastSession)
        sessions.insert(session)
        return session
    }

    func receive(_ line: String, from session: SessionID, at now: Instant) {
        advance(to: now)
        guard sessions.contains(session) else { return }
        var words = line.dropLast().split(separator: " ")
        let tag = words.removeFirst()
        let verb = words.removeFirst()
        var options: [Substring: String] = [:]
        for word in words.dropFirst() {
            let halves = word.split(separator: "=", maxSplits: 1)
            if let key = halves.first, let value = halves.last { options[key] = String(value) }
        }
        let owner = options["owner"] ?? "-"
        let token = options["token"].flatMap { UInt64($0) }
        guard let text = words.first else { return }
        if verb == "CANCEL" { return cancel(tag, text, session) }
        guard let name = LockName(String(text)) else { return }
        switch verb {
        case "read", "update", "write", "UPGRADE":
            let mode: LockMode = verb == "read" ? .read : verb == "update" ? .update : .write
            request(tag, name, mode, owner, options, verb == "UPGRADE" ? token : nil, session, at: now)
        case "RELEASE", "DOWNGRADE", "RENEW", "VALIDATE":
            guard let place = locks[name]?.grants.firstIndex(where: { $0.token == token && $0.session == session })
            else {
                let word = verb == "VALIDATE" ? "STALE \(name.text) token=\(token ?? 0)" : "ERROR not-held"
                return say(session, "\(tag) \(word)")
            }
            carryOut(verb, tag, name, place, session, options, at: now)
        default: say(session, "\(tag) ERROR unknown")
        }
        pump(at: now)
    }

    private func carryOut(
        _ verb: Substring, _ tag: Substring, _ name: LockName, _ place: Int, _ session: SessionID,
        _ options: [Substring: String], at now: Instant
    ) {
        guard let grant = locks[name]?.grants[place] else { return }
        switch verb {
        case "RELEASE":
            if grant.mode == .write { locks[name]?.mark = nil }
            locks[name]?.grants.remove(at: place)
            cancelUpgrade(of: grant, name)
            say(session, "\(tag) RELEASED \(name.text) token=\(grant.token)")
        case "DOWNGRADE":
            if grant.mode == .write { locks[name]?.mark = nil }
            locks[name]?.grants[place].mode = .read
            say(session, "\(tag) \(granted(name, .read, grant.token, at: now))")
        case "RENEW":
            locks[name]?.grants[place].end = now.advanced(by: .seconds(2))
            say(session, "\(tag) RENEWED")
        default: say(session, "\(tag) VALID \(name.text) token=\(grant.token)")
        }
        touch(name)
    }

    private func cancelUpgrade(of grant: Grant, _ name: LockName) {
        for waiter in locks[name]?.waiters ?? [] where waiter.upgrades == grant.token {
            refuse(waiter, name, "CANCELLED \(name.text) write")
        }
    }

    func cancel(_ tag: Substring, _ text: Substring, _ session: SessionID) {
        for (name, lock) in locks {
            for waiter in lock.waiters where waiter.tag == text && waiter.session == session {
                refuse(waiter, name, "CANCELLED \(name.text) \(waiter.mode)")
            }
        }
        say(session, "\(tag) OK")
    }

    func refuse(_ waiter: Waiter, _ name: LockName, _ line: String) {
        guard let place = locks[name]?.waiters.firstIndex(where: { $0.number == waiter.number }) else { return }
        locks[name]?.waiters.remove(at: place)
        if place < locks[name]?.recallPlace ?? 0 { locks[name]?.recallPlace -= 1 }
        say(waiter.session, "\(waiter.tag) \(line)")
        touch(name)
    }

    func died(_ session: SessionID, at now: Instant) {
        advance(to: now)
        sessions.remove(session)
        for name in locks.keys.sorted() {
            guard let lock = locks[name] else { continue }
            for waiter in lock.waiters where waiter.session == session { refuse(waiter, name, "") }
            if lock.grants.contains(where: { $0.session == session && $0.mode == .write }) { locks[name]?.mark = .yes }
            locks[name]?.grants.removeAll { $0.session == session }
            touch(name)
        }
        pump(at: now)
    }

    func deliver(_ delivery: SimulatedNetwork.Delivery, at now: Instant) {
        advance(to: now)
        switch delivery {
        case .answer(let id, let answer): claims.answer(id, answer, at: now)
        case .event(let event): claims.note(event, at: now)
        }
        pump(at: now)
    }

    // MARK: - Time

    func advance(to now: Instant) {
        claims.advance(to: now)
        for name in locks.keys.sorted() {
            for waiter in locks[name]?.waiters ?? [] where waiter.deadline.map({ $0 <= now }) ?? false {
                let word = waiter.isProbe ? "BUSY" : "TIMEOUT"
                refuse(waiter, name, "\(word) \(name.text) \(waiter.mode)")
            }
            for grant in locks[name]?.grants ?? [] where grant.end.map({ $0 <= now }) ?? false {
                if grant.mode == .write { locks[name]?.mark = .yes }
                locks[name]?.grants.removeAll { $0.token == grant.token }
                cancelUpgrade(of: grant, name)
                say(grant.session, "! EXPIRED \(name.text) token=\(grant.token)")
                touch(name)
            }
        }
        pump(at: now)
    }

    var nextDeadline: Instant? {
        var next = claims.nextDeadline
        for lock in locks.values {
            for waiter in lock.waiters { next = Instant.earliest(next, waiter.deadline) }
            for grant in lock.grants { next = Instant.earliest(next, grant.end) }
        }
        return next
    }

    func nextRequest(
        at now: Instant
    ) -> (id: StoreRequestID, request: StoreRequest, deadline: Instant)? { claims.nextRequest(at: now) }

    func takeLines(at now: Instant) -> [(session: SessionID, line: String)] {
        // Each session with shared grants hears of a later end.
        if let until = claims.validUntil, announced.map({ until > $0 }) ?? true {
            let holders = locks.filter { configuration.isShared($0.key) }.values.flatMap { $0.grants.map(\.session) }
            for session in Set(holders) { say(session, "! UNTIL \(end(at: now))") }
        }
        announced = claims.validUntil
        defer { lines = [] }
        return lines.filter { sessions.contains($0.session) }
    }

    func succeed(at now: Instant) throws {
        let facts = claims.facts
        claims = facts.map { Claims(configuration, from: $0) } ?? Claims(configuration)
        for name in locks.keys.sorted() where configuration.isShared(name) { touch(name) }
        if facts == nil { seize() }
        pump(at: now)
    }

    func leave(at now: Instant) {
        claims.leave(at: now)
        pump(at: now)
    }

    func check() throws {
        for (name, lock) in locks {
            for (place, one) in lock.grants.enumerated() {
                for other in lock.grants.dropFirst(place + 1)
                where one.mode.conflicts(with: other.mode) && (one.session, one.owner) != (other.session, other.owner) {
                    throw Violation("the stand-in has granted \(name.text) twice")
                }
            }
        }
    }

    func say(_ session: SessionID, _ line: String) { lines.append((session, line)) }

    func touch(_ name: LockName) {
        settle(name)
        if configuration.isShared(name) { changed.append(name) }
    }

    func end(at now: Instant) -> String {
        let left = now.duration(to: claims.validUntil ?? now).wholeMilliseconds
        return "until=\(max(0, left))ms clock=\(now.nanoseconds / 1_000_000)ms"
    }

    var now = Instant.zero
}
