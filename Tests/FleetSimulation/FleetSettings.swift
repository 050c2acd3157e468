import LockVocabulary
import Seeded

/// What is the same for all hosts of a history.
struct FleetSettings {
    let hosts: Int
    /// The time to live of leases.
    let lease: Duration
    let minimumTurn: Duration
    let maximumTurn: Duration
    /// Which names are shared.
    let prefixes: [String]
    let names: [String]
    /// The most milliseconds between two acts on one host.
    let pause: Int
    /// How often in a hundred batches a worker is killed.
    let kills: Int
    let clientsOfHost: Int
    /// The owners of each client.
    let owners: [String]
    /// How many claims a host keeps that no session uses.
    let idleClaims: Int
    /// So many bits number the tokens of one epoch.
    let tokenBits: Int

    init(hosts: Int, _ generator: inout SeededGenerator) {
        self.hosts = hosts
        lease = .seconds(generator.pick([2, 3, 5]))
        minimumTurn = .milliseconds(generator.pick([0, 5, 20]))
        maximumTurn = .milliseconds(generator.pick([50, 200, 1_000]))
        prefixes = generator.happens(30) ? [""] : ["s/"]
        let shared = ["s/a", "s/b", "s/c", "s/d", "s/e", "s/f", "s/g", "s/h"]
        names = shared.prefix(generator.pick([1, 1, 2, 3, 4, 8])) + ["local"]
        pause = generator.pick([80, 80, 300])
        kills = generator.pick([0, 0, 1, 10])
        clientsOfHost = generator.number(1...3)
        owners = Array(["-", "t1", "t2"].prefix(generator.pick([1, 3, 3])))
        idleClaims = generator.pick([0, 1, 100, 100])
        tokenBits = generator.pick([1, 3, 16, 16])
    }

    func isShared(_ name: String) -> Bool { prefixes.contains { name.hasPrefix($0) } }

    /// How long it may take after the end of all faults until everything goes on: lost leases must end, and a new leader lets
    /// them live for longer.
    var recovery: Duration { lease + .seconds(5) }

    /// How much of a lease's time a host does not use, because clocks differ.
    var margin: Duration { max(lease / 10, .milliseconds(250)) }
}
