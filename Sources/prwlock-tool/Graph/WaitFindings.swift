import LockVocabulary

/// What is to be seen first in a graph: the process that blocks most, the oldest wait, and the longest chain of waiting.
struct WaitFindings {
    /// A step of a chain: a request, and the grant that it waits for.
    struct Step {
        let wait: Int
        let grant: Int
    }

    /// What waits for one party, directly or by others.
    struct Blocked {
        /// How many parties wait.
        let count: Int
        /// How long their requests have waited in all.
        let waited: Duration
    }

    /// For each party, what waits for it.
    let blocked: [Blocked]
    /// The party behind which others have waited longest in all; nil if none blocks another. A short holder that many wait
    /// for at this moment is not it.
    let worst: Int?
    /// The request that has waited longest.
    let oldest: Int?
    /// The longest chain, from the party at its end, which waits for all others, to the one that they all wait for.
    let chain: [Step]

    /// How many parties the longest chain has.
    var chainLength: Int { chain.isEmpty ? 0 : chain.count + 1 }

    init(of graph: WaitGraph) {
        let blocked = graph.parties.indices.map { graph.blocked(by: $0) }
        self.blocked = blocked
        let blocking = blocked.indices.filter { blocked[$0].count > 0 }
        // For a chain's last member all others wait, so it is before them.
        worst = blocking.max { blocked[$0].waited < blocked[$1].waited }
        oldest = graph.waits.indices.max { graph.waits[$0].waited < graph.waits[$1].waited }
        var search = ChainSearch(graph)
        chain = search.longest()
    }

    /// The parties in the order of what waits for them, the worst first.
    var order: [Int] {
        blocked.indices.sorted { (blocked[$0].waited, $1) > (blocked[$1].waited, $0) }
    }

    /// The requests and grants of the chain.
    var chainWaits: Set<Int> { Set(chain.map(\.wait)) }
    var chainGrants: Set<Int> { Set(chain.map(\.grant)) }
}

extension WaitGraph {
    /// What waits for a party, directly or by others. Cost: O(grants + requests).
    fileprivate func blocked(by party: Int) -> WaitFindings.Blocked {
        var found: Set<Int> = [party]
        var requests: Set<Int> = []
        /// The locks that were searched, each with the mode of the grant.
        var searched: Set<[Int]> = []
        var open = [party]
        while let next = open.popLast() {
            for grant in parties[next].grants.map({ grants[$0] }) {
                guard searched.insert([grant.lock, Int(grant.mode.rawValue)]).inserted else { continue }
                for wait in locks[grant.lock].waits
                where waits[wait].party != party && waits[wait].conflictingMode.conflicts(with: grant.mode) {
                    requests.insert(wait)
                    if found.insert(waits[wait].party).inserted { open.append(waits[wait].party) }
                }
            }
        }
        return WaitFindings.Blocked(
            count: found.count - 1, waited: requests.map { waits[$0].waited }.reduce(.zero, +))
    }
}

/// Finds the longest chain of waiting by a depth-first search that remembers the length from each party.
///
/// In a graph with a circle of parties the search leaves the step out that would close the circle, so the chain may not be
/// the longest one there: to find that is NP-hard.
private struct ChainSearch {
    private enum State {
        case isOnTheWay
        case known(length: Int, first: WaitFindings.Step?)
    }

    private let graph: WaitGraph
    private var states: [Int: State] = [:]

    init(_ graph: WaitGraph) { self.graph = graph }

    mutating func longest() -> [WaitFindings.Step] {
        var best: (length: Int, party: Int)?
        for party in graph.parties.indices where length(from: party) > best?.length ?? 0 {
            best = (length(from: party), party)
        }
        var chain: [WaitFindings.Step] = []
        var seen: Set<Int> = []
        var next = best?.party
        while let party = next, seen.insert(party).inserted,
            case .known(_, let first?) = states[party]
        {
            chain.append(first)
            next = graph.grants[first.grant].party
        }
        return chain
    }

    /// The number of steps from a party to the end of its longest chain.
    private mutating func length(from party: Int) -> Int {
        switch states[party] {
        case .isOnTheWay: return 0
        case .known(let length, _): return length
        case nil: break
        }
        states[party] = .isOnTheWay
        var best = 0
        var first: WaitFindings.Step?
        for wait in graph.parties[party].waits {
            for grant in graph.locks[graph.waits[wait].lock].grants
            where graph.isBehind(graph.waits[wait], graph.grants[grant]) {
                let next = graph.grants[grant].party
                if case .isOnTheWay = states[next] { continue }
                let length = 1 + length(from: next)
                if length > best { (best, first) = (length, WaitFindings.Step(wait: wait, grant: grant)) }
            }
        }
        states[party] = .known(length: best, first: first)
        return best
    }
}
