import LockVocabulary
import PRWLock

/// The words for parties, grants and requests that all forms of a graph share. They are not escaped.
extension WaitGraph {
    /// "4711 (alice, cron.service, ./deploy.sh)", with a long command line cut.
    func describe(_ party: Int) -> String {
        let facts = facts(of: party).map { Table.cut(Harmless.show($0), to: 48) }
        let id = parties[party].identity.shown
        return facts.isEmpty ? id : "\(id) (\(facts.joined(separator: ", ")))"
    }

    /// The user, the unit and the command line, as far as they are known.
    func facts(of party: Int) -> [String] {
        let process = parties[party].process
        return [process.user, process.unit, process.command].compactMap { $0 }
    }

    /// "deploy, held (write) for 12 minutes".
    func summary(of lock: Int) -> String {
        let held = locks[lock].grants.map { grants[$0] }
        guard let strongest = held.map(\.mode).max() else { return "not held" }
        let hosts = held.filter { $0.age == nil }
        if !hosts.isEmpty {
            return hosts.count == 1 ? "claimed (\(strongest))" : "claimed by \(hosts.count) hosts"
        }
        let longest = held.compactMap(\.age).max() ?? .zero
        let holders = locks[lock].holders > 1 ? " by \(locks[lock].holders)" : ""
        return "held (\(strongest))\(holders) for \(longest.inWords)"
    }

    func words(for wait: Wait) -> String { "\(wait.mode), waits \(wait.waited.inWords)" }

    /// The words for all requests of one party for a lock: those of the one that has waited longest.
    func words(for requests: [Int]) -> String {
        guard let oldest = requests.map({ waits[$0] }).max(by: { $0.waited < $1.waited }) else { return "" }
        return words(for: oldest) + (requests.count > 1 ? ", \(requests.count) requests" : "")
    }

    /// ": nightly report", or nothing.
    func note(of grant: Grant) -> String {
        grant.note.isEmpty ? "" : ": \(Harmless.show(NameAlphabet.decodeBytes(grant.note.text)))"
    }

    func words(for grant: Grant) -> String {
        grant.age.map { "\(grant.mode), for \($0.inWords)" } ?? "\(grant.mode), claimed"
    }
}

/// A number with its noun.
enum Count {
    static func of(_ number: Int, _ noun: String, _ plural: String? = nil) -> String {
        number == 1 ? "1 \(noun)" : "\(number) \(plural ?? noun + "s")"
    }

    static func processes(_ number: Int) -> String { of(number, "process", "processes") }
}

extension WaitGraph {
    /// The findings in sentences, each with the words that it begins with.
    func sentences(_ findings: WaitFindings) -> [(heading: String, text: String)] {
        var lines: [(String, String)] = []
        if let worst = findings.worst {
            let blocked = findings.blocked[worst]
            let count = "\(Count.processes(blocked.count)) for \(blocked.waited.inWords) in all"
            lines.append(("blocks most", "\(describe(worst)): \(count)\(holding(worst))"))
        }
        if let oldest = findings.oldest {
            let wait = waits[oldest]
            var text =
                "\(wait.waited.inWords), by \(parties[wait.party].identity.shown) "
                + "for \(locks[wait.lock].name.shown) (\(wait.mode))"
            let obstacles = obstacles(of: wait)
            if let first = obstacles.first {
                text += ", behind \(describe(first.party))"
                if obstacles.count > 1 { text += " and \(obstacles.count - 1) more" }
            }
            lines.append(("oldest wait", text))
        }
        if findings.chainLength > 2 {
            lines.append(
                ("longest chain", "\(Count.processes(findings.chainLength)), \(spell(findings.chain))"))
        }
        return lines
    }

    /// The lock that a party has held longest of those that others wait for, with the note.
    private func holding(_ party: Int) -> String {
        let held = parties[party].grants.map { grants[$0] }
        guard let grant = held.max(by: { $0.age ?? .zero < $1.age ?? .zero }) else { return "" }
        let name = Table.cut(locks[grant.lock].name.shown, to: 48)
        return ", has \(name) (\(words(for: grant)))\(note(of: grant))"
    }

    /// The party that all others of a chain wait for, then these, each with the lock that it waits for. The middle of a long
    /// chain is left out.
    private func spell(_ chain: [WaitFindings.Step]) -> String {
        let most = 6
        var words = chain.reversed().map { step in
            let wait = waits[step.wait]
            let name = Table.cut(locks[wait.lock].name.shown, to: 24)
            return "\(parties[wait.party].identity.shown) for \(name)"
        }
        if words.count > most { words.replaceSubrange(most / 2..<words.count - most / 2, with: ["..."]) }
        let first = chain.last.map { describe(grants[$0.grant].party) } ?? ""
        return "behind \(first): \(words.joined(separator: ", "))"
    }

    /// What is not in the graph; nil if it has all.
    var omission: String? {
        isCut ? "requests wait for more locks, fewer for each; --limit shows more locks" : nil
    }
}
