public import LockVocabulary

/// That a lock which other hosts wait for is not given up before this host gets another one.
public struct FleetDependency: Sendable, Equatable {
    /// A waiting request of a session. It has the same number for as long as it waits.
    public struct Edge: Sendable, Equatable {
        public let lock: LockName
        public let number: UInt64
    }

    /// The lock that other hosts wait for: the fleet's session waits for it.
    public let awaited: LockName
    /// The lock that this host waits for: the fleet's session holds what a session waits for.
    public let awaits: LockName
    /// The requests of sessions on the way, from the one that keeps `awaited` to the one that waits for `awaits`.
    public let path: [Edge]
}

extension LockTable {
    /// What the waiting of the fleet's session on one lock has to do with what it holds on another.
    ///
    /// A session may hold a lock, and wait for more of it than the claim lets it have, while another host waits for what it
    /// holds. Then the two are one: the lock waits for itself.
    ///
    /// The fleet has an owner of its own for each lock, so no circle of this host goes from one lock to another by way of other
    /// hosts. This finds its parts: with those of other hosts, the claims machine looks for circles over hosts. Bounded by
    /// `searchSteps` in all, so some may be missing where thousands wait.
    public mutating func fleetDependencies() -> [FleetDependency] {
        guard let fleet else { return [] }
        var found: [FleetDependency] = []
        var budget = limits.searchSteps
        // The locks that sessions came to wait for last are the first ones.
        var walk = sessions[fleet].owners.walk()
        while budget > 0, let owner = walk.next(in: owners) {
            budget -= 1
            guard let grant = owners[owner].grants.first else { continue }
            let awaits = grants[grant].lock
            guard sessionWaiters(of: awaits) > 0 else { continue }
            let mode = deferredMode(on: awaits)
            var search = WaitsFor(
                WaitsFor.Request(
                    owner: owner, asking: hop(owner, awaits), lock: awaits, mode: mode ?? grants[grant].mode,
                    upgrades: grant),
                budget: budget, isBehind: isBehind)
            search.reach(self, isDeferred: mode != nil) { waiting, path in
                let request = owners[waiting].waiters.first
                guard let awaited = waiting == owner ? awaits : request.map({ waiters[$0].lock }) else {
                    return
                }
                found.append(
                    FleetDependency(
                        awaited: name(of: awaited), awaits: name(of: awaits),
                        path: path.map { FleetDependency.Edge(lock: name(of: $0.lock), number: $0.number) }))
            }
            budget = search.budget
        }
        noteSearched(limits.searchSteps - max(0, budget))
        return found
    }
}
