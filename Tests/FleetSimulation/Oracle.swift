import LockVocabulary

/// What all clients of all hosts know, and what must hold between them.
///
/// It knows nothing of claims or of the store. A hold counts in true time, so two hosts that both believe to hold a lock are
/// found when the second of them is told.
struct Oracle {
    let settings: FleetSettings
    /// Open requests by their numbers.
    var asked: [Int: Asked] = [:]
    /// The holds that count.
    var holds: [Hold] = []
    /// Holds that ended by their `until`, which the daemon must still revoke; and those that a client has released without an
    /// answer so far.
    var lapsed: [Hold] = []
    private var releasing: [GrantKey: Hold] = [:]
    private var lost: Set<GrantKey> = []
    /// The highest token of a writer or updater on each name, and the highest of all.
    private var highestWriter: [String: Token] = [:]
    private var highest: [String: Token] = [:]
    /// The highest token of each host, by name.
    private var ownHighest: [GrantPlace: Token] = [:]
    /// The highest tokens at the time of a backup's restoration, until all hosts have looked at the restored store.
    private var beforeRestore: [String: Token] = [:]
    var marks: [String: MarkState] = [:]
    /// Names for which clients asked that have died, until their daemon has seen it.
    private var unseenDeaths: [Int: Set<String>] = [:]
    /// Hosts of which the lease was revoked, until they have another session: nothing protects what they grant.
    var unprotected: Set<Int> = []
    /// Whether a host has died or lost its claims, or a worker was killed: a next holder may be told of a death for which there is
    /// no proof.
    var isUnsure = false
    /// The names of which a host may be told so without a proof.
    private(set) var unproven: Set<String> = []
    /// Since when there are no faults; nil while there are.
    var calmSince: Instant?
    /// When a request was last decided or a lock released, anywhere.
    private(set) var lastProgress = Instant.zero
    var counts: [String: Int] = [:]

    init(_ settings: FleetSettings) { self.settings = settings }

    /// Whether all that faults have left must be over.
    func isCalm(at now: Instant) -> Bool {
        calmSince.map { $0.advanced(by: settings.recovery) <= now } ?? false
    }

    // MARK: - What clients do

    mutating func sends(_ request: Asked) {
        asked[request.id] = request
        if request.waits { noteCompany(of: request) }
        switch request.verb {
        case .release(let token), .downgrade(let token):
            let key = GrantKey(host: request.party.host, token: token)
            guard let place = holds.firstIndex(where: { $0.key == key }) else { return }
            // What it does not protect any more does not count. A downgrade keeps the lock, as a reader.
            if case .release = request.verb {
                releasing[key] = holds.remove(at: place)
            } else {
                releasing[key] = holds[place]
                holds[place].mode = request.mode
            }
            if releasing[key]?.isWriter == true, marks[request.name] == .required {
                marks[request.name] = .possible
            }
        case .acquire, .upgrade, .validate, .renew, .cancel: break
        }
    }

    /// Requests of one host that wait for one name ask other hosts together.
    private mutating func noteCompany(of request: Asked) {
        for other in asked.values
        where other.waits && other.name == request.name && other.party.host == request.party.host
            && other.id != request.id
        {
            asked[other.id]?.isAlone = false
            asked[request.id]?.isAlone = false
        }
    }

    /// A client's process dies: its holds end, and nothing is said to it.
    mutating func dies(_ client: Int) {
        for hold in holds where hold.party.client == client { endsUnreleased(hold) }
        // It cannot be known whether the daemon grants these, or has ended those, before it sees the death.
        for request in asked.values where request.party.client == client {
            raiseMark(request.name, .possible)
            unseenDeaths[request.party.host, default: []].insert(request.name)
        }
        forget { $0.client == client }
    }

    /// A daemon has seen all that its clients have done so far.
    mutating func sawDeaths(_ host: Int) {
        for name in unseenDeaths.removeValue(forKey: host) ?? [] { raiseMark(name, .possible) }
    }

    /// A daemon dies with all that it knows.
    mutating func daemonDies(_ host: Int) {
        isUnsure = true
        for hold in holds where hold.party.host == host { endsUnreleased(hold) }
        for request in asked.values where request.party.host == host {
            raiseMark(request.name, .possible)
        }
        for name in settings.names where !settings.isShared(name) {
            // The marks of local names do not outlive the daemon; the names of hosts have nothing to do with each other.
            marks[name] = .possible
        }
        forget { $0.host == host }
    }

    /// A host's lease was revoked.
    mutating func losesProtection(_ host: Int) {
        isUnsure = true
        // Its marks may be lost with its claims, and it may grant to writers.
        for name in settings.names where settings.isShared(name) { marks[name] = .possible }
        holds.removeAll { $0.party.host == host && settings.isShared($0.name) }
        unprotected.insert(host)
    }

    /// The store was restored from a backup. It knows older marks, and an older revision: a host that has seen a higher one finds
    /// this out when it connects, and no other host can.
    mutating func storeIsRestored() {
        isUnsure = true
        beforeRestore.merge(highest, uniquingKeysWith: max)
        (highest, highestWriter) = ([:], [:])
        for name in settings.names where settings.isShared(name) { marks[name] = .possible }
    }

    /// All hosts have looked at the store, so its offset is above all tokens.
    mutating func allHostsAreBack() {
        highest.merge(beforeRestore, uniquingKeysWith: max)
        highestWriter.merge(beforeRestore, uniquingKeysWith: max)
        beforeRestore = [:]
    }

    private mutating func endsUnreleased(_ hold: Hold) {
        if hold.isWriter {
            raiseMark(hold.name, .required)
        } else if releasing[hold.key]?.isWriter == true {
            raiseMark(hold.name, .possible)
        }
    }

    private mutating func raiseMark(_ name: String, _ state: MarkState) {
        marks[name] = max(marks[name] ?? .none, state)
    }

    /// A host cannot know whether a writer of another one has died with the name in the meantime: it may say `maybe`.
    mutating func mayBeMarked(_ name: String) { unproven.insert(name) }

    private mutating func forget(_ isMeant: (Party) -> Bool) {
        for hold in releasing.values where isMeant(hold.party) { raiseMark(hold.name, .possible) }
        holds.removeAll { isMeant($0.party) }
        lapsed.removeAll { isMeant($0.party) }
        asked = asked.filter { !isMeant($0.value.party) }
        releasing = releasing.filter { !isMeant($0.value.party) }
    }

    /// Holds of which the time has passed do not count any more.
    mutating func advance(to now: Instant) {
        for hold in holds where hold.until <= now {
            count("holds that ended by until=")
            endsUnreleased(hold)
            isUnsure = true
            lapsed.append(hold)
        }
        holds.removeAll { $0.until <= now }
    }

    // MARK: - What clients hear

    mutating func granted(
        _ request: Asked, _ token: Token, died: String?, until: Instant, at now: Instant
    ) throws {
        try checkTime(request, at: now)
        progress(request, at: now)
        count("GRANTED")
        if unprotected.contains(request.party.host), settings.isShared(request.name) {
            marks[request.name] = .possible
            return
        }
        var hold = Hold(
            party: request.party, name: request.name, mode: request.mode, token: token, until: until,
            since: now)
        switch request.verb {
        case .downgrade(let old):
            guard token == old else { throw Violation("G7: a downgrade changed the token: \(request)") }
            if releasing.removeValue(forKey: hold.key)?.isWriter == true { clearMark(request.name) }
            return
        case .upgrade(let old):
            let key = GrantKey(host: request.party.host, token: old)
            if let place = holds.firstIndex(where: { $0.key == key }) {
                hold = holds.remove(at: place)
                (hold.mode, hold.token, hold.until) = (.write, token, until)
            }
        case .acquire: break
        case .release, .validate, .renew, .cancel: throw Violation("GRANTED answers \(request)")
        }
        // It was lost in the same moment.
        guard !lost.contains(hold.key) else { return raiseMark(hold.name, .possible) }
        try checkExclusion(hold, at: now)
        try checkToken(hold)
        try checkMark(hold, died)
        if until > now { holds.append(hold) } else { lapsed.append(hold) }
    }

    private func checkExclusion(_ hold: Hold, at now: Instant) throws {
        if let other = holds.first(where: { $0.until > now && $0.excludes(hold) && concerns(hold, $0) }) {
            throw Violation("G1: \(hold) is granted beside \(other)")
        }
    }

    /// Names that are not shared are other locks on each host.
    private func concerns(_ one: Hold, _ other: Hold) -> Bool {
        settings.isShared(one.name) || one.party.host == other.party.host
    }

    private mutating func checkToken(_ hold: Hold) throws {
        guard settings.isShared(hold.name) else {
            guard hold.token.rawValue < 1 << 62 else { throw Violation("G7: a local token of \(hold.token)") }
            return
        }
        guard hold.token.rawValue >> 62 == 1 else { throw Violation("G7: a shared token of \(hold.token)") }
        let place = GrantPlace(host: hold.party.host, name: hold.name)
        let floor = (hold.mode == .read ? highestWriter[hold.name] : highest[hold.name]) ?? ownHighest[place]
        if let floor, hold.token <= floor {
            throw Violation("G7: \(hold) has a token that is not above \(floor)")
        }
        if hold.mode != .read { highestWriter[hold.name] = hold.token }
        highest[hold.name] = max(hold.token, highest[hold.name] ?? hold.token)
        ownHighest[place] = max(hold.token, ownHighest[place] ?? hold.token)
    }

    private mutating func checkMark(_ hold: Hold, _ died: String?) throws {
        guard settings.isShared(hold.name) else { return }
        let state = marks[hold.name] ?? .none
        if state == .required, died == nil {
            throw Violation("G11: \(hold) is not told of the writer that died")
        }
        let mayBeUnproven = isUnsure || unproven.contains(hold.name)
        if state == .none, let died, died == "1" || !mayBeUnproven {
            throw Violation("G11: \(hold) is told ownerdied=\(died), and no writer died")
        }
        if let died { count("ownerdied=\(died)") }
        // Only a later release of a writer removes it.
        if let died { raiseMark(hold.name, died == "1" ? .required : .possible) }
    }

    private mutating func clearMark(_ name: String) {
        // A client that has died may have been granted the lock after this release.
        marks[name] = unseenDeaths.values.contains { $0.contains(name) } ? .possible : MarkState.none
        unproven.remove(name)
    }

    /// An answer of another kind.
    mutating func answered(_ request: Asked, _ words: [Substring], at now: Instant) throws {
        progress(request, at: now)
        let word = words.first ?? ""
        count(words.prefix(word == "ERROR" ? 2 : 1).joined(separator: " "))
        switch (request.verb, word) {
        case (.acquire, "BUSY"), (.upgrade, "BUSY"):
            guard request.wait == .zero else { throw Violation("BUSY answers \(request)") }
            try checkPromptness(request, at: now)
        case (.acquire, "TIMEOUT"), (.upgrade, "TIMEOUT"): try checkTimeout(request, at: now)
        case (.acquire, "DEADLOCK"), (.upgrade, "DEADLOCK"): try checkDeadlock(request, words)
        case (.acquire, "CANCELLED"), (.upgrade, "CANCELLED"): break
        case (.release(let token), "RELEASED"):
            let key = GrantKey(host: request.party.host, token: token)
            if releasing.removeValue(forKey: key)?.isWriter == true { clearMark(request.name) }
        case (.validate(let token), "VALID"):
            let key = GrantKey(host: request.party.host, token: token)
            if let over = lapsed.first(where: { $0.key == key }) { throw Violation("VALID: \(over)") }
        case (.validate(let token), "STALE"):
            let key = GrantKey(host: request.party.host, token: token)
            if let hold = holds.first(where: { $0.key == key }) { throw Violation("STALE: \(hold)") }
        case (.renew, "RENEWED"), (.cancel, _): break
        case (_, "ERROR"): try checkError(request, words, at: now)
        default: throw Violation("\(words) answers \(request)")
        }
    }

    private func checkTimeout(_ request: Asked, at now: Instant) throws {
        guard let wait = request.wait, wait > .zero, let arrival = request.arrival else {
            throw Violation("TIMEOUT answers \(request)")
        }
        // A clock may gain a twentieth.
        if arrival.world.duration(to: now) < wait * 9 / 10 {
            throw Violation("G5: a time-out after \(arrival.world.duration(to: now)) of \(wait): \(request)")
        }
    }

    /// Only an owner for which others wait can be in a circle: it holds something, or its request is before that of another.
    private func checkDeadlock(_ request: Asked, _ words: [Substring]) throws {
        if case .upgrade = request.verb { return }
        let party = request.party
        let isWaitedFor =
            holds.contains { $0.party == party } || !lapsed.isEmpty || unprotected.contains(party.host)
            || asked.values.contains {
                $0.party.host == party.host && $0.name == request.name && $0.id != request.id
            }
        guard isWaitedFor else {
            throw Violation("G8: an owner for which no other waits is in a circle: \(request) \(words)")
        }
    }

    private mutating func checkError(_ request: Asked, _ words: [Substring], at now: Instant) throws {
        switch (request.verb, words.dropFirst().first ?? "") {
        case (.acquire, "cluster-unavailable"), (.upgrade, "cluster-unavailable"):
            guard settings.isShared(request.name) else {
                throw Violation("a local name waits for the cluster: \(request)")
            }
            guard !isCalm(at: now) else {
                throw Violation("the cluster is there: \(words) answers \(request)")
            }
        case (.validate, "cluster-unavailable"): break
        case (.release(let token), "not-held"), (.downgrade(let token), "not-held"),
            (.renew(let token), "not-held"), (.upgrade(let token), "not-held"):
            let key = GrantKey(host: request.party.host, token: token)
            guard lost.contains(key) else { throw Violation("\(words) answers \(request)") }
            releasing[key] = nil
        default: throw Violation("\(words) answers \(request)")
        }
    }

    /// The daemon has taken a grant.
    mutating func lost(_ key: GrantKey, _ word: Substring, at now: Instant) {
        count("! \(word)")
        lastProgress = now
        lost.insert(key)
        if let hold = holds.first(where: { $0.key == key }) { endsUnreleased(hold) }
        if let hold = releasing[key] { raiseMark(hold.name, .possible) }
        holds.removeAll { $0.key == key }
        lapsed.removeAll { $0.key == key }
    }

    /// All shared holds of a client count until then now. Returns those that had ended for it a moment before: it returns them, as
    /// the daemon believes that it has them.
    mutating func extended(_ client: Int, until: Instant, at now: Instant) throws -> [Hold] {
        count("! UNTIL")
        let late = lapsed.filter { $0.party.client == client }
        lapsed.removeAll { $0.party.client == client }
        // An end is rounded to milliseconds.
        if let hold = late.first(where: { $0.until.advanced(by: .milliseconds(3)) < now }) {
            throw Violation("G9: extended, and not revoked: \(hold)")
        }
        // The daemon sees a writer return them in order, unless it takes them before.
        for hold in late where releasing[hold.key] == nil {
            releasing[hold.key] = hold
            if hold.isWriter { marks[hold.name] = .possible }
        }
        for place in holds.indices
        where holds[place].party.client == client && settings.isShared(holds[place].name) {
            holds[place].until = max(holds[place].until, until)
        }
        return late
    }

    private mutating func progress(_ request: Asked, at now: Instant) {
        asked[request.id] = nil
        lastProgress = now
    }

    private func checkTime(_ request: Asked, at now: Instant) throws {
        guard let wait = request.wait, let arrival = request.arrival else { return }
        guard wait > .zero else { return try checkPromptness(request, at: now) }
        if arrival.world.duration(to: now) > wait * 11 / 10 + .milliseconds(2) {
            throw Violation("G5: granted \(arrival.world.duration(to: now)) after it came: \(request)")
        }
    }

    /// A request that must not wait asks other hosts, and waits for none of their sessions. Only together with requests that may
    /// wait it takes up to a second.
    private func checkPromptness(_ request: Asked, at now: Instant) throws {
        guard request.isAlone, let arrival = request.arrival, isCalm(at: arrival.world) else { return }
        if arrival.world.duration(to: now) > .milliseconds(250) {
            throw Violation("G5: it waits for \(arrival.world.duration(to: now)): \(request)")
        }
    }

    mutating func count(_ what: String) { counts[what, default: 0] += 1 }
}

extension MarkState: Comparable {
    private var rank: Int {
        switch self {
        case .none: 0
        case .possible: 1
        case .required: 2
        }
    }

    static func < (left: MarkState, right: MarkState) -> Bool { left.rank < right.rank }
}
