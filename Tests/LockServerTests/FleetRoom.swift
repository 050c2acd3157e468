import LockClaims
import LockServer
import LockVocabulary
import SimulatedStore
import Testing

/// Servers of several hosts in virtual time, with clients that have letters, around a simulated store.
///
/// `play` runs a transcript. `1a> ` precedes a line that the client `a` of the host 1 sends, and `1a< ` one that it receives before
/// the next step. A step takes a few milliseconds, in which messages to and from the store are delivered. `+ 5s` lets time pass,
/// `1a dies` ends the process of a client, `1a ends` only its input, `2 stops` and `2 goes on` stop a host without its knowledge, `2 is cut off` and
/// `2 is back` are about its network, `2 crashes` ends the host for ever.
///
/// All clients read at once. The transcript shows all lines but `! UNTIL`; tokens are shown as `token=T`, and the time until
/// which a grant counts as `until`.
final class FleetRoom {
    final class Host {
        var server: Server
        var sessions: [Character: SessionID] = [:]
        var heard: [Character: [String]] = [:]
        var isStopped = false
        var isGone = false
        /// What arrives while it is stopped.
        var backlog: [SimulatedNetwork.Delivery] = []

        init(_ configuration: ServerConfiguration) { server = Server(configuration) }
    }

    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
    let hosts: [Host]
    var network: SimulatedNetwork
    private var step = Duration.milliseconds(20)

    init(
        hosts count: Int = 2, prefixes: [String] = [""],
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) {
        network = SimulatedNetwork(hosts: count, seed: 1)
        hosts = (1...count).map { number in
            var configuration = ServerConfiguration()
            configuration.ownUserID = 500
            configuration.lastToken = Token(rawValue: 1_000_000)
            guard let name = HostName("web\(number)") else { preconditionFailure("no name of a host") }
            configuration.fleet = ClaimsConfiguration(
                host: name, instance: "instance\(number)", namePrefixes: prefixes)
            change(&configuration)
            return Host(configuration)
        }
        pass(.milliseconds(100))
    }

    // MARK: - Transcripts

    func play(_ transcript: String, sourceLocation: SourceLocation = #_sourceLocation) {
        var before = "the beginning"
        var expected: [String: [String]] = [:]
        for line in transcript.split(separator: "\n") {
            if line.dropFirst(2).hasPrefix("< ") {
                expected[String(line.prefix(2)), default: []].append(String(line.dropFirst(4)))
                continue
            }
            compare(expected, after: before, sourceLocation)
            (expected, before) = ([:], String(line))
            act(line)
        }
        compare(expected, after: before, sourceLocation)
    }

    private func act(_ line: Substring) {
        if line.hasPrefix("+ ") {
            let number = Int64(line.dropFirst(2).prefix { $0.isNumber }) ?? 0
            return pass(line.hasSuffix("ms") ? .milliseconds(number) : .seconds(number))
        }
        let number = Int(line.prefix(1)) ?? 1
        let host = hosts[number - 1]
        if line.dropFirst(2).hasPrefix("> ") {
            let letter = line.dropFirst().first ?? "?"
            say(number, letter, String(line.dropFirst(4)) + "\n")
        } else {
            switch line.dropFirst(2) {
            case "stops": host.isStopped = true
            case "goes on":
                host.isStopped = false
                let backlog = host.backlog
                host.backlog = []
                for delivery in backlog { give(delivery, to: host) }
            case "is cut off": network.silence(number - 1, until: Instant(nanoseconds: .max))
            case "is back": network.calm(at: now)
            case "crashes": host.isGone = true
            case let rest where rest.hasSuffix("dies"):
                let letter = line.dropFirst().first ?? "?"
                if let session = host.sessions[letter] { host.server.died(session, at: now) }
            case let rest where rest.hasSuffix("ends"):
                let letter = line.dropFirst().first ?? "?"
                if let session = host.sessions[letter] { host.server.endOfInput(session, at: now) }
            default: Issue.record("a transcript has no line such as \(line)")
            }
        }
        pass(step)
    }

    private func compare(_ expected: [String: [String]], after line: String, _ sourceLocation: SourceLocation)
    {
        for (index, host) in hosts.enumerated() where !host.isGone {
            for letter in host.sessions.keys.sorted() {
                let heard = host.heard.removeValue(forKey: letter) ?? []
                let shown = heard.filter { !$0.hasPrefix("! UNTIL") }.map(Self.shown)
                #expect(
                    shown == expected["\(index + 1)\(letter)"] ?? [], "\(index + 1)\(letter), after \(line)",
                    sourceLocation: sourceLocation)
            }
            #expect(throws: Never.self, sourceLocation: sourceLocation) {
                try host.server.checkInvariants()
            }
        }
    }

    /// A line without what depends on the store's revision and on the time.
    private static func shown(_ line: String) -> String {
        line.split(separator: " ").compactMap { word in
            if word.hasPrefix("token=") { return "token=T" }
            if word.hasPrefix("clock=") { return nil }
            if word.hasPrefix("until=") { return "until" }
            if word.hasPrefix("age=") || word.hasPrefix("waited=") { return nil }
            return String(word)
        }.joined(separator: " ")
    }

    // MARK: - Clients

    /// Sends text. The client is a session of the host from then on.
    func say(_ number: Int, _ letter: Character, _ text: String) {
        let host = hosts[number - 1]
        if host.sessions[letter] == nil {
            host.sessions[letter] = host.server.open(
                Peer(processID: Int32(letter.asciiValue ?? 0) - 96, userID: 1000, groupID: 1000), at: now)
        }
        guard let session = host.sessions[letter] else { return }
        Array(text.utf8).withUnsafeBytes { host.server.receive($0, from: session, at: now) }
    }

    /// Sends text, and returns all lines that come back within a moment, as they are.
    func ask(_ number: Int, _ letter: Character, _ text: String) -> [String] {
        say(number, letter, text + "\n")
        pass(step)
        return hosts[number - 1].heard.removeValue(forKey: letter) ?? []
    }

    func stat(_ number: Int, _ name: String) -> Int? {
        let row = ask(number, "z", "STATS").first { $0.hasPrefix("* \(name) ") }
        return row.flatMap { Int($0.split(separator: " ").last ?? "") }
    }

    // MARK: - Time

    func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        work()
        while let due = nextDeadline, due <= end {
            now = max(now, due)
            work()
        }
        now = end
        work()
    }

    private var nextDeadline: Instant? {
        hosts.filter { !$0.isStopped && !$0.isGone }.reduce(network.nextDeadline) {
            Instant.earliest($0, $1.server.nextDeadline)
        }
    }

    private func work() {
        for (host, delivery) in network.take(until: now) where !hosts[host].isGone {
            if hosts[host].isStopped {
                hosts[host].backlog.append(delivery)
            } else {
                give(delivery, to: hosts[host])
            }
        }
        for (index, host) in hosts.enumerated() where !host.isStopped && !host.isGone {
            repeat {
                host.server.advance(to: now)
                host.server.resumeWork(at: now)
                while let asked = host.server.nextStoreRequest(at: now) {
                    network.send(asked.id, asked.request, deadline: asked.deadline, from: index, at: now)
                }
                for letter in host.sessions.keys { hear(letter, at: host) }
            } while host.server.hasUnfinishedWork
        }
    }

    private func give(_ delivery: SimulatedNetwork.Delivery, to host: Host) {
        switch delivery {
        case .answer(let id, let answer): host.server.storeAnswer(id, answer, at: now)
        case .event(let event): host.server.storeEvent(event, at: now)
        }
    }

    private func hear(_ letter: Character, at host: Host) {
        guard let session = host.sessions[letter] else { return }
        let bytes = host.server.withOutput(of: session) { Array($0) }
        guard !bytes.isEmpty else { return }
        host.server.wrote(bytes.count, to: session, at: now)
        host.heard[letter, default: []] += String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(
            String.init)
    }
}
