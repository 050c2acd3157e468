import ArgumentParser
import CBench
import Glibc

/// An attack of a hostile user on a server.
struct Attack: ExpressibleByArgument, CaseIterable {
    private let index: Int
    let name: String
    /// What the attacker does, for the table.
    let text: String
    /// Whether an echo server can stand the same attack.
    let suitsEcho: Bool
    /// Whether the attacker connects again and again, so that the first answer to a new client matters.
    let isOfConnections: Bool
    /// Whether the attack has no end of its own.
    let isEndless: Bool

    private init?(index: Int) {
        guard let name = bench_attack_name(index), let text = bench_attack_text(index) else { return nil }
        self.index = index
        self.name = String(cString: name)
        self.text = String(cString: text)
        suitsEcho = bench_attack_has(index, BENCH_SUITS_ECHO)
        isOfConnections = bench_attack_has(index, BENCH_OF_CONNECTIONS)
        isEndless = bench_attack_has(index, BENCH_ENDLESS)
    }

    init?(argument: String) {
        guard let attack = Self.allCases.first(where: { $0.name == argument }) else { return nil }
        self = attack
    }

    static let allCases: [Attack] = {
        var attacks: [Attack] = []
        while let attack = Attack(index: attacks.count) { attacks.append(attack) }
        return attacks
    }()

    static var allValueStrings: [String] { allCases.map(\.name) }

    /// The process that attacks. As root it is another user's.
    final class Attacker {
        private let name: String
        private let process: pid_t
        private var wasReaped = false

        /// Starts the process, and returns when it is prepared.
        init(_ attack: Attack, on socket: String) throws {
            name = attack.name
            process = bench_attack_start(socket, attack.index, geteuid() == 0 ? 65_534 : 0)
            guard process > 0 else { throw Failure(name, errno: -process) }
            let code = bench_attack_await(process)
            wasReaped = code != 0
            try check(code, "\(name): preparation")
        }

        deinit { end() }

        func strike() throws { try check(bench_attack_strike(process), name) }

        /// Whether the process has ended by itself.
        var hasEnded: Bool {
            if !wasReaped { wasReaped = bench_has_ended(process) }
            return wasReaped
        }

        func end() {
            if !wasReaped { bench_attack_end(process) }
            wasReaped = true
        }
    }
}
