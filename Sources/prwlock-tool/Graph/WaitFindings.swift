import LockVocabulary

/// What is to be seen first in a graph: the process that blocks most, the oldest wait, and the longest chain of waiting.
struct WaitFindings {
    /// A step of a chain: a request, and the grant that it waits for.
    struct Step {
        let wait: Int
        let grant: Int
    }

    /// For each party, how many others wait for it, directly or by others.
    let blocked: [Int]
    /// The party that blocks most; nil if none blocks another.
    let worst: Int?
    /// The request that has waited longest.
    let oldest: Int?
    /// The longest chain, from the party at its end, which waits for all others, to the one that they all wait for.
    let chain: [Step]

    /// How many parties the longest chain has.
    var chainLength: Int { chain.isEmpty ? 0 : chain.count + 1 }

    init(of graph: WaitGraph) {
        let blocked = graph.parties.indices.map { graph.countBlocked(by: $0) }
        self.blocked = blocked
        let blocking = blocked.indices.filter { blocked[$0] > 0 }
        // Of a chain's members, the one that does not wait itself is the cause.
        worst = blocking.max {
            (blocked[$0], graph.parties[$1].waits.count) < (blocked[$1], graph.parties[$0].waits.count)
        }
        oldest = graph.waits.indices.max { graph.waits[$0].waited < graph.waits[$1].waited }
        var search = ChainSearch(graph)
        chain = search.longest()
    }

    /// The requests and grants of the chain.
    var chainWaits: Set<Int> { Set(chain.map(\.wait)) }
    var chainGrants: Set<Int> { Set(chain.map(\.grant)) }
}

extension WaitGraph {
    /// The number of parties that wait for this one, directly or by others. Cost: O(grants + requests).
    fileprivate func countBlocked(by party: Int) -> Int {
        var found: Set<Int> = [party]
        /// The locks that were searched, each with the mode of the grant.
        var searched: Set<[Int]> = []
        var open = [party]
        while let next = open.popLast() {
            for grant in parties[next].grants.map({ grants[$0] }) {
                guard searched.insert([grant.lock, Int(grant.mode.rawValue)]).inserted else { continue }
                for wait in locks[grant.lock].waits.map({ waits[$0] })
                where wait.conflictingMode.conflicts(with: grant.mode) {
                    if found.insert(wait.party).inserted { open.append(wait.party) }
                }
            }
        }
        return found.count - 1
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
