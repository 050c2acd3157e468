import LockCore
import LockVocabulary

/// Who waits for whom, by the words of G8 and nothing else: the holders that conflict with a request, the conflicting
/// requests ahead of it in the queue, and, with several requests open, all of them; a waiting upgrade counts.
///
/// It is made anew from all there is each time, which nobody could afford but a test.
struct WaitGraph {
    struct Edge: Hashable {
        let from: Ledger.Party
        let lock: LockName
        let to: Ledger.Party
    }

    private(set) var edges: Set<Edge> = []
    private var next: [Ledger.Party: Set<Ledger.Party>] = [:]
    /// Requests that nothing and nobody is in the way of.
    private(set) var idle: [Ledger.Request] = []

    /// The graph of all that a ledger holds, and of one more request where it would come to stand.
    init(_ ledger: Ledger, with added: Ledger.Request? = nil, locks: [LockName]) {
        for lock in locks {
            var queue = ledger.queue(of: lock)
            if let added, added.lock == lock {
                queue.insert(added, at: queue.firstIndex { $0.row > added.row } ?? queue.count)
            }
            let holders = ledger.holders(of: lock)
            for (place, request) in queue.enumerated() {
                let held = holders.filter {
                    $0.token != request.upgrades && request.mode.conflicts(with: $0.hold.mode)
                }
                let ahead = queue[..<place].filter { request.mode.conflicts(with: $0.mode) }
                for other in held.map(\.hold.party) + ahead.map(\.party) { add(request, other) }
                if held.isEmpty && ahead.isEmpty { idle.append(request) }
            }
        }
    }

    private mutating func add(_ request: Ledger.Request, _ other: Ledger.Party) {
        edges.insert(Edge(from: request.party, lock: request.lock, to: other))
        next[request.party, default: []].insert(other)
    }

    /// Whether a way leads from a party back to itself.
    func hasCircle(through party: Ledger.Party) -> Bool {
        var seen: Set<Ledger.Party> = []
        var ahead = [party]
        while let one = ahead.popLast() {
            for other in next[one] ?? [] {
                if other == party { return true }
                if seen.insert(other).inserted { ahead.append(other) }
            }
        }
        return false
    }

    /// Whether anybody waits for itself, over however many others.
    var hasCircle: Bool { next.keys.contains { hasCircle(through: $0) } }

    /// Whether each hop of a circle that was named is an edge, from the last round to the first.
    func contains(_ circle: Circle) -> Bool {
        let parties = circle.hops.map { Ledger.Party(session: $0.session, owner: $0.owner) }
        return zip(circle.hops, zip(parties, parties.dropFirst() + parties.prefix(1))).allSatisfy {
            hop, pair in
            edges.contains(Edge(from: pair.0, lock: hop.lock, to: pair.1))
        }
    }
}
