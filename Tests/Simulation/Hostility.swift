import LockModel
import LockServer
import LockVocabulary
import Seeded

/// The hostile account: it carries out its attack step by step, between the steps of the other clients.
extension Simulation {
    /// The names of all attacks, as the counts have them.
    public static var attacks: [String] { Attack.allCases.map(\.rawValue) }

    /// The places of the hostile account's clients.
    private var hostile: [Int] { clients.indices.filter { clients[$0].userID == Attack.userID } }

    private func hostile(_ number: Int) -> Int? {
        let hostile = hostile
        return number < hostile.count ? hostile[number] : nil
    }

    /// Carries out the next step of the attack; begins it again if it is over.
    mutating func goOnAttacking() throws {
        guard let attack else { return }
        if acts.isEmpty { acts = attack.acts(size: generator.number(12...32)) }
        switch acts.removeFirst() {
        case .connect(let number): for _ in 0..<number { try connect(Attack.userID) }
        case .say(let number, let sayings): try say(sayings, number)
        case .send(let number, let sayings):
            guard let index = hostile(number), !clients[index].isDone else { return }
            for saying in sayings { utter(saying, index) }
            try deliverAll(index)
        case .strike(let size): strike(attack, size)
        case .endInput(let number):
            if let index = hostile(number), !clients[index].isDone { try halfClose(index) }
        case .pass(let duration): try pass(duration)
        case .idle: break
        case .die: try kill(hostile)
        }
    }

    /// Counts an attack that has reached its size, and one that is longer than a turn.
    private mutating func strike(_ attack: Attack, _ size: Int) {
        let sessions = Set(hostile.map { clients[$0].number })
        let reached =
            switch attack {
            case .lines, .exits: hostile.map { clients[$0].said.count }.max() ?? 0
            case .connects: hostile.count
            case .leases, .timeouts, .deadHolder, .readers, .recalls, .chain, .deepNames, .lists:
                referee.model.grants.count { sessions.contains($0.party.session) }
                    + referee.model.requests.count { sessions.contains($0.party.session) }
            }
        guard reached >= size else { return count("attacks that failed") }
        count("attack: \(attack.rawValue)")
        if reached > work.turns.steps { count("attack beyond a turn: \(attack.rawValue)") }
    }

    private mutating func utter(_ saying: Attack.Saying, _ index: Int) {
        let line = composer.line(saying.meaning, saying.text)
        clients[index].outbox += line.bytes
        clients[index].said.append(line)
        trace.add(now, clients[index].session, "sends", line.bytes)
    }

    private mutating func deliverAll(_ index: Int) throws {
        guard case .open(reads: true, _) = server.interest(in: clients[index].session) else { return }
        try arrive(index, clients[index].outbox.count)
    }

    /// Sends lines, and reads all replies, until the lines are carried out or wait for others.
    private mutating func say(_ sayings: [Attack.Saying], _ number: Int) throws {
        guard let index = hostile(number), !clients[index].isDone else { return }
        let session = clients[index].session
        for saying in sayings { utter(saying, index) }
        for _ in 0..<1_000 {
            guard let index = client(session) else { return }
            try deliverAll(index)
            let owed = server.withOutput(of: session) { $0.count }
            if owed > 0 { try read(owed, index) }
            guard let index = client(session), !clients[index].isEnded, !clients[index].said.isEmpty
            else { return }
            try resume()
        }
    }
}
