import LockModel
import LockVocabulary

/// Every sequence of commands of a small world, up to a depth: 2 locks, 3 sessions, 4 owners.
///
/// The states are the model's: two sequences that lead to the same one, but for the names of alike sessions and locks, are
/// followed once. Each command in each state is told to fresh rules that were led there by the shortest way, and what they
/// answer, do and have become must agree with the model (`Twin`), in which no circle and no lost wake-up may be
/// (`Model.fault`). So this is exhaustive as to states of the guarantees, and not as to every way into one.
struct SmallWorld {
    /// Which commands there are.
    enum Alphabet: Sendable {
        /// Requests that wait for ever, and grants that last.
        case order
        /// Timeouts, leases, and time that passes.
        case time
    }

    private static let locks = ["a", "b"]
    private static let parties = [
        Model.Party(session: 0, owner: "-"), Model.Party(session: 0, owner: "t"),
        Model.Party(session: 1, owner: "-"), Model.Party(session: 2, owner: "-"),
    ]
    private static let tick = Duration.milliseconds(1)

    let alphabet: Alphabet
    /// How many states were reached, and how many commands told.
    private(set) var states = 0
    private(set) var commands = 0

    init(_ alphabet: Alphabet) { self.alphabet = alphabet }

    /// Follows all sequences up to a depth; throws the shortest that goes wrong.
    mutating func explore(depth: Int) throws {
        var seen: Set<[Int]> = [Self.canonical(Model())]
        var frontier: [[TwinCommand]] = [[]]
        states = 1
        for level in 1...depth {
            var next: [[TwinCommand]] = []
            for path in frontier {
                for command in enabled(try follow(path).model) {
                    commands += 1
                    let sequence = path + [command]
                    var twin = try follow(path)
                    do {
                        try twin.play(command)
                        try twin.compare()
                    } catch {
                        throw Twin.Disagreement(description: "after \(sequence): \(error)")
                    }
                    if level < depth, seen.insert(Self.canonical(twin.model)).inserted {
                        next.append(sequence)
                    }
                }
            }
            states += next.count
            frontier = next
        }
    }

    private func follow(_ path: [TwinCommand]) throws -> Twin {
        var twin = Twin(sessions: 3)
        for command in path { try twin.play(command) }
        return twin
    }

    /// What may be done in a state.
    private func enabled(_ model: Model) -> [TwinCommand] {
        var commands: [TwinCommand] = []
        let waits: [TimeLimit] = alphabet == .order ? [.forever] : [.upTo(Self.tick)]
        for party in Self.parties {
            for lock in Self.locks {
                for mode in LockMode.allCases {
                    for wait in waits + [.upTo(.zero)] {
                        commands.append(
                            .acquire(
                                party.session, party.owner, lock, mode, wait: wait,
                                lease: alphabet == .time && wait != .upTo(.zero) ? Self.tick * 2 : nil))
                    }
                }
            }
        }
        for grant in model.grants {
            let session = grant.party.session
            let choice = TwinCommand.Choice.grant(grant.id)
            commands.append(.release(session, grant.lock, choice))
            for wait in waits { commands.append(.upgrade(session, grant.lock, choice, wait: wait)) }
            for mode in [LockMode.read, .update] {
                commands.append(.downgrade(session, grant.lock, choice, to: mode))
            }
            if alphabet == .time { commands.append(.renew(session, grant.lock, choice, nil)) }
        }
        for request in model.requests {
            commands.append(
                .cancel(request.party.session, request.lock, owner: request.party.owner))
        }
        for party in Self.parties {
            // Of one grant or one request it is a release or a cancel.
            let stakes = model.grants.count { $0.party == party } + model.requests.count { $0.party == party }
            if stakes > 1 { commands.append(.releaseAll(party.session, party.owner)) }
        }
        for session in 0..<3 { commands.append(.end(session)) }
        if alphabet == .time { commands.append(.pass(Self.tick)) }
        return commands
    }

    // MARK: - States that are alike

    /// The state as numbers, the least of those that differ only by which lock and which of two sessions is which.
    private static func canonical(_ model: Model) -> [Int] {
        var least: [Int]?
        for locks in [[0, 1], [1, 0]] {
            for sessions in [[0, 1, 2], [0, 2, 1]] {
                let form = form(model, locks: locks, sessions: sessions)
                if least.map({ form.lexicographicallyPrecedes($0) }) ?? true { least = form }
            }
        }
        return least ?? []
    }

    private static func form(_ model: Model, locks: [Int], sessions: [Int]) -> [Int] {
        func lock(_ name: String) -> Int { locks[name == "a" ? 0 : 1] }
        func party(_ party: Model.Party) -> [Int] {
            [sessions[party.session], party.owner == "-" ? 0 : 1]
        }
        func left(_ end: Instant?) -> Int {
            end.map { Int(model.now.duration(to: $0).wholeMilliseconds) } ?? -1
        }
        let places = model.grants.map { grant in
            [lock(grant.lock)] + party(grant.party) + [
                Int(grant.mode.rawValue), left(grant.leaseEnd), grant.isRecalled ? 1 : 0,
                // Which upgrade waits on it is part of what it is; its number is not.
                model.requests.contains { $0.upgrades == grant.id } ? 1 : 0,
            ]
        }
        // Of requests the order of coming counts, on each lock; of grants it does not.
        let queues = [0, 1].map { number in
            model.requests.filter { lock($0.lock) == number }.flatMap { request in
                party(request.party) + [
                    Int(request.mode.rawValue), request.upgrades == nil ? 0 : 1, left(request.deadline),
                ]
            }
        }
        let grants = places.sorted { $0.lexicographicallyPrecedes($1) }
        return grants.flatMap(\.self) + [-2] + queues.joined(separator: [-3]) + [-2]
            + model.marks.map(lock).sorted()
    }
}
