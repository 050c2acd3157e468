import LockVocabulary
import Seeded
import SimulatedStore

/// What the clients of a host do: each owner takes locks, holds them for a while, and returns them.
extension FleetSimulation {
    /// A client of a host does something.
    mutating func act(_ host: Int) throws {
        guard hosts[host].daemon != nil else { return }
        if hosts[host].clients.count < settings.clientsOfHost, !isEnding { return connect(host) }
        guard let client = hosts[host].clients.randomElement(using: &generator) else { return }
        if generator.happens(1), !isEnding { return try die(client.number, of: host) }
        let owner = isEnding ? nextToEnd(client, host) : generator.pick(settings.owners)
        let party = Party(host: host, client: client.number, owner: owner)
        let waiting = oracle.asked.values.filter { $0.party == party }.sorted { $0.id < $1.id }
        if let request = waiting.first {
            if request.waits, generator.happens(isEnding ? 0 : 2) {
                try say(.cancel, request.name, .read, nil, party, "CANCEL #r\(request.id)", client)
            }
            return
        }
        let held = oracle.holds.filter { $0.party == party }
        if let hold = held.randomElement(using: &generator) {
            try use(hold, party, client)
        } else if !isEnding {
            try acquire(party, client)
        }
    }

    /// The owner that still has something to return, if there is one.
    private func nextToEnd(_ client: Client, _ host: Int) -> String {
        let able = oracle.holds.first { hold in
            hold.party.client == client.number && !oracle.asked.values.contains { $0.party == hold.party }
        }
        return able?.party.owner ?? "-"
    }

    private mutating func connect(_ host: Int) {
        guard !hosts[host].isStopped, let daemon = hosts[host].daemon else { return }
        lastNumber += 1
        guard let session = daemon.open(Int32(lastNumber), at: local(host)) else { return }
        trace.add(now, hosts[host].name, "\(session) connects")
        hosts[host].clients.append(Client(number: lastNumber, session: session))
    }

    mutating func die(_ client: Int, of host: Int) throws {
        guard let place = hosts[host].clients.firstIndex(where: { $0.number == client }) else { return }
        let session = hosts[host].clients.remove(at: place).session
        trace.add(now, hosts[host].name, "\(session) dies")
        oracle.dies(client)
        try batch(host, [.death(session)])
    }

    private mutating func acquire(_ party: Party, _ client: Client) throws {
        let name = generator.pick(settings.names)
        let mode = generator.pick([LockMode.read, .read, .update, .write, .write])
        let wait: Duration? =
            switch generator.number(0...9) {
            case ..<2: .zero
            case ..<5: .milliseconds(generator.number(1...3_000))
            default: nil
            }
        let lease = generator.happens(5) ? " lease=\(generator.number(100...900))ms" : ""
        let text = "\(mode) \(name) owner=\(party.owner)\(Self.text(wait))\(lease)"
        try say(.acquire, name, mode, wait, party, text, client)
    }

    private static func text(_ wait: Duration?) -> String {
        wait.map { $0 == .zero ? " wait=0" : " wait=\($0.wholeMilliseconds)ms" } ?? ""
    }

    /// An owner does something with a hold of its own.
    private mutating func use(_ hold: Hold, _ party: Party, _ client: Client) throws {
        let choice = "\(hold.name) token=\(hold.token) owner=\(party.owner)"
        let isOld = hold.since.duration(to: now) > .milliseconds(300)
        let drawn = isEnding ? 0 : generator.number(0...99)
        switch drawn {
        case ..<(isOld ? 60 : 25):
            try say(.release(of: hold.token), hold.name, hold.mode, nil, party, "RELEASE \(choice)", client)
        case ..<70 where hold.mode != .write:
            let wait: Duration? = generator.pick([nil, .zero, .milliseconds(generator.number(1...2_000))])
            let text = "UPGRADE \(choice)\(Self.text(wait))"
            try say(.upgrade(of: hold.token), hold.name, .write, wait, party, text, client)
        case ..<75 where hold.mode != .read:
            try say(.downgrade(of: hold.token), hold.name, .read, nil, party, "DOWNGRADE \(choice)", client)
        case ..<78:
            try say(
                .validate(hold.token), hold.name, hold.mode, nil, party,
                "VALIDATE \(hold.name) token=\(hold.token)",
                client)
        case ..<80:
            try say(
                .renew(of: hold.token), hold.name, hold.mode, nil, party, "RENEW \(choice) lease=2s", client)
        case ..<88: try acquire(party, client)
        default: return
        }
    }

    /// A client returns what ended for it before the daemon extended it.
    mutating func giveBack(_ hold: Hold) throws {
        oracle.count("returned late")
        let client = hosts[hold.party.host].clients.first { $0.number == hold.party.client }
        guard let client else { return }
        let text = "RELEASE \(hold.name) token=\(hold.token) owner=\(hold.party.owner)"
        try say(.release(of: hold.token), hold.name, hold.mode, nil, hold.party, text, client)
    }

    private mutating func say(
        _ verb: Asked.Verb, _ name: String, _ mode: LockMode, _ wait: Duration?, _ party: Party,
        _ text: String, _ client: Client
    ) throws {
        lastNumber += 1
        let id = lastNumber
        oracle.sends(
            Asked(
                id: id, party: party, verb: verb, name: name, mode: mode, wait: wait, sent: now, arrival: nil)
        )
        trace.add(now, hosts[party.host].name, "\(client.session) sends #r\(id) \(text)")
        try batch(party.host, [.line(client.session, "#r\(id) \(text)\n", id: id)])
    }

    // MARK: - What they hear

    mutating func hear(_ line: String, _ client: Int, of host: Int) throws {
        var words = line.split(separator: " ")
        if words.first == "!" { return try hearNotice(words, client, of: host) }
        guard let tag = words.first, tag.hasPrefix("#r"), let id = Int(tag.dropFirst(2)),
            let request = oracle.asked[id], request.party.client == client
        else { throw Violation("an answer to no request: \(line)") }
        words.removeFirst()
        guard words.first == "GRANTED" else {
            if words.first == "DEADLOCK" { try circles.check(refused: request, words, oracle, at: now) }
            return try oracle.answered(request, words, at: now)
        }
        guard let token = Self.number("token", words) else { throw Violation("no token: \(line)") }
        let until = try until(words, host, isShared: settings.isShared(request.name))
        let died = words.first { $0.hasPrefix("ownerdied=") }?.dropFirst(10)
        try oracle.granted(
            request, Token(rawValue: token), died: died.map(String.init), until: until, at: now)
        if let hold = oracle.holds.last, hold.token.rawValue == token, hold.party == request.party {
            try registers.checkCover(of: hold, oracle)
        }
    }

    private mutating func hearNotice(_ words: [Substring], _ client: Int, of host: Int) throws {
        guard words.count > 1 else { throw Violation("a notice of nothing") }
        switch words[1] {
        case "REVOKED", "EXPIRED":
            guard let token = Self.number("token", words) else { throw Violation("no token: \(words)") }
            oracle.lost(GrantKey(host: host, token: Token(rawValue: token)), words[1], at: now)
        case "UNTIL":
            let until = try until(words, host, isShared: true)
            for hold in try oracle.extended(client, until: until, at: now) {
                agenda.note(.returns(hold), at: now)
            }
        default: oracle.count("! \(words[1])")
        }
    }

    /// When a grant ends by its line, in true time: a client reads it as soon as it is written.
    private func until(_ words: [Substring], _ host: Int, isShared: Bool) throws -> Instant {
        let until = words.first { $0.hasPrefix("until=") }.flatMap { Int64($0.dropFirst(6).dropLast(2)) }
        let clock = words.first { $0.hasPrefix("clock=") }.flatMap { Int64($0.dropFirst(6).dropLast(2)) }
        guard isShared else {
            guard until == nil, clock == nil else { throw Violation("a local name has an end: \(words)") }
            return Instant(nanoseconds: .max)
        }
        guard let until, let clock else { throw Violation("a shared name has no end: \(words)") }
        guard .milliseconds(until) <= settings.lease else {
            throw Violation("until= is beyond the lease: \(words)")
        }
        let written = min(Instant(nanoseconds: clock * 1_000_000), local(host))
        return hosts[host].clock.world(written.advanced(by: .milliseconds(until)))
    }

    static func number(_ key: String, _ words: [Substring]) -> UInt64? {
        words.first { $0.hasPrefix(key + "=") }.flatMap { UInt64($0.dropFirst(key.count + 1)) }
    }
}
