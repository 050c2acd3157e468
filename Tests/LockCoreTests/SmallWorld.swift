import LockModel
import LockVocabulary

/// Explores every sequence of commands up to a depth, with 2 locks, 3 sessions and 4 owners.
///
/// It visits each state of the model once. States are equal if they differ only by the names of locks and sessions. For
/// each command in each state, it leads fresh rules there by the shortest path and compares their answer, effects and
/// state with the model (`Twin`), which may have no circle and no lost wake-up (`Model.fault`). The search is exhaustive
/// in the states of the guarantees, not in the paths to them.
struct SmallWorld {
    /// A set of commands to explore.
    enum Alphabet: Sendable {
        /// Requests without a timeout, and grants without a lease.
        case order
        /// Timeouts, leases, and steps of time.
        case time
        /// Requests without a timeout, and steps of the time for which a reader is patient.
        case patience
        /// Requests without a timeout, and cached grants, with the steps of their clients.
        case caching
    }

    private static let locks = ["a", "b"]
    private static let parties = [
        Model.Party(session: 0, owner: "-"), Model.Party(session: 0, owner: "t"),
        Model.Party(session: 1, owner: "-"), Model.Party(session: 2, owner: "-"),
    ]
    private static let tick = Duration.milliseconds(1)

    let alphabet: Alphabet
    /// The number of states visited, and of commands carried out.
    private(set) var states = 0
    private(set) var commands = 0

    init(_ alphabet: Alphabet) { self.alphabet = alphabet }

    /// How long readers are patient.
    private var patience: Duration? { alphabet == .patience ? Self.tick : nil }

    /// Explores all sequences up to a depth after some first steps; throws the shortest that fails.
    mutating func explore(depth: Int, from first: [TwinStep] = []) throws {
        var seen: Set<[Int]> = [Self.canonical(try follow(first))]
        var frontier: [[TwinStep]] = [first]
        states += 1
        for level in 1...depth {
            var next: [[TwinStep]] = []
            for path in frontier {
                for step in enabled(try follow(path)) {
                    commands += 1
                    let sequence = path + [step]
                    var twin = try follow(path)
                    do {
                        try twin.play(step)
                        try twin.compare()
                    } catch {
                        throw Twin.Disagreement(description: "after \(sequence): \(error)")
                    }
                    if level < depth, seen.insert(Self.canonical(twin)).inserted {
                        next.append(sequence)
                    }
                }
            }
            states += next.count
            frontier = next
        }
    }

    private func follow(_ path: [TwinStep]) throws -> Twin {
        var twin = Twin(sessions: 3, patience: patience, hasSlots: alphabet == .caching)
        for step in path { try twin.play(step) }
        return twin
    }

    /// The steps that are possible in a state.
    private func enabled(_ twin: borrowing Twin) -> [TwinStep] {
        var steps: [TwinStep] = alphabet == .caching ? slotSteps(twin) : []
        let model = twin.model
        let waits: [TimeLimit] = alphabet == .time ? [.upTo(Self.tick)] : [.forever]
        for party in Self.parties {
            for lock in Self.locks {
                for mode in LockMode.allCases {
                    for wait in alphabet == .caching ? waits : waits + [.upTo(.zero)] {
                        let lease = alphabet == .time && wait != .upTo(.zero) ? Self.tick * 2 : nil
                        let command = Command.acquire(
                            lock, mode, owner: party.owner, wait: wait, lease: lease)
                        steps.append(.command(party.session, command))
                    }
                }
            }
        }
        for grant in model.grants {
            let choice = GrantChoice(token: twin.token(of: grant))
            var commands = [Command.release(grant.lock, choice)]
            commands += waits.map { .upgrade(grant.lock, choice, wait: $0) }
            commands += [LockMode.read, .update].map { .downgrade(grant.lock, choice, to: $0) }
            if alphabet == .time { commands.append(.renew(grant.lock, choice, nil)) }
            steps += commands.map { .command(grant.party.session, $0) }
        }
        for request in model.requests {
            steps.append(
                .command(request.party.session, .cancel(request.lock, owner: request.party.owner)))
        }
        for party in Self.parties {
            // With one grant or one request it is the same as a release or a cancel.
            let stakes = model.grants.count { $0.party == party } + model.requests.count { $0.party == party }
            if stakes > 1 { steps.append(.command(party.session, .releaseAll(owner: party.owner))) }
        }
        for session in 0..<3 { steps.append(.end(session)) }
        if alphabet == .time || alphabet == .patience { steps.append(.pass(Self.tick)) }
        return steps
    }

    /// The steps of clients on their slots, and commands about what is cached.
    private func slotSteps(_ twin: borrowing Twin) -> [TwinStep] {
        if twin.canCache { return [.cache] }
        var steps: [TwinStep] = []
        for slot in twin.knownSlots {
            steps += [.enter(slot.token), .leave(slot.token)]
            steps.append(.command(2, .revoke(slot.lock, slot.token)))
            steps.append(.command(slot.session, .validate(slot.lock, slot.token)))
            steps.append(.command(slot.session, .releaseAll(owner: slot.owner)))
            guard twin.isIdle(slot) else { continue }
            let choice = GrantChoice(token: slot.token)
            steps.append(.command(slot.session, .release(slot.lock, choice)))
            steps.append(.command(slot.session, .release(slot.lock, .only)))
            steps.append(.command(slot.session, .renew(slot.lock, choice, .upTo(Self.tick))))
        }
        return steps
    }

    // MARK: - Equal states

    /// The state as numbers: the least of all forms that differ only by the names of locks and sessions.
    private static func canonical(_ twin: borrowing Twin) -> [Int] {
        let model = twin.model
        let slots = twin.knownSlots.map { slot in
            (slot: slot, state: [twin.holds(slot), twin.isOver(slot) ? 1 : 0])
        }
        var least: [Int]?
        for locks in [[0, 1], [1, 0]] {
            for sessions in [[0, 1, 2], [0, 2, 1]] {
                let form = form(model, slots, canCache: twin.canCache, locks: locks, sessions: sessions)
                if least.map({ form.lexicographicallyPrecedes($0) }) ?? true { least = form }
            }
        }
        return least ?? []
    }

    private static func form(
        _ model: Model, _ slots: [(slot: TwinSlot, state: [Int])], canCache: Bool, locks: [Int],
        sessions: [Int]
    ) -> [Int] {
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
                // Whether an upgrade waits is part of the state; the grant's number is not.
                model.requests.contains { $0.upgrades == grant.id } ? 1 : 0,
            ]
        }
        // The order of arrival matters for the requests on a lock, and not for grants.
        let queues = [0, 1].map { number in
            let requests = model.requests.filter { lock($0.lock) == number }
            return requests.flatMap { request in
                party(request.party) + [
                    Int(request.mode.rawValue), request.upgrades == nil ? 0 : 1, left(request.deadline),
                    // Where an impatient read is among the others; the others differ by the end of their patience.
                    request.place.map { place in requests.count { $0.arrival < place } } ?? -1,
                    request.place == nil && request.mode == .read && model.patience != nil
                        ? Int(request.since.duration(to: model.now).wholeMilliseconds) : -1,
                ]
            }
        }
        let grants = places.sorted { $0.lexicographicallyPrecedes($1) }
        let cached = slots.map { slot, state in
            [lock(slot.lock), sessions[slot.session], slot.owner == "-" ? 0 : 1, Int(slot.mode.rawValue)]
                + state
        }
        let words = cached.sorted { $0.lexicographicallyPrecedes($1) }.flatMap(\.self)
        return words + [canCache ? -4 : -5] + grants.flatMap(\.self) + [-2] + queues.joined(separator: [-3])
            + [-2]
            + model.marks.map(lock).sorted()
    }
}
