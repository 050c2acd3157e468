import LockClaims
import LockVocabulary
import SimulatedStore

/// One history of a fleet, from a seed.
public struct FleetRun: Sendable {
    public let seed: UInt64
    /// The violation and its step; nil if there was none.
    public let failure: (step: Int, what: String)?
    /// How many steps it had, with those of its end.
    public let steps: Int
    public let sum: UInt64
    public let counts: [String: Int]
    public let trace: [String]

    /// Lets so many events happen in a fleet of so many hosts, and then ends the history.
    public static func live(seed: UInt64, hosts: Int, steps: Int, isTold: Bool = false) -> FleetRun {
        var step = 0
        do {
            var simulation = try FleetSimulation(
                seed: seed, hosts: hosts, maker: ServerDaemon.init(_:_:_:), isTold: isTold)
            var failure: (step: Int, what: String)?
            do {
                while step < steps {
                    try simulation.step()
                    step += 1
                }
                try simulation.end(&step)
            } catch {
                failure = (step, "at \(simulation.now): \(error)")
            }
            var counts = simulation.oracle.counts
            counts["claims gained"] = simulation.registers.handovers
            counts["seconds"] = Int(simulation.now.nanoseconds / 1_000_000_000)
            return FleetRun(
                seed: seed, failure: failure, steps: step, sum: simulation.trace.sum, counts: counts,
                trace: simulation.trace.lines)
        } catch {
            return FleetRun(seed: seed, failure: (0, "\(error)"), steps: 0, sum: 0, counts: [:], trace: [])
        }
    }
}

extension FleetSimulation {
    /// Ends all faults, lets all requests be decided and all holds be released; then the daemons leave. Nothing may be left over.
    mutating func end(_ step: inout Int) throws {
        isEnding = true
        isStorm = true
        try beginCalm()
        let most = now.advanced(by: settings.recovery + .seconds(30))
        while !oracle.asked.isEmpty || !oracle.holds.isEmpty || !oracle.lapsed.isEmpty {
            try self.step()
            step += 1
            if now > most { throw Violation("not decided at the end: \(state); lapsed \(oracle.lapsed)") }
        }
        // Hosts that have started anew wait for the end of their former sessions, and what dead hosts had is removed.
        try pass(settings.recovery, &step)
        if let dead = registers.deadEntry { throw Violation("a dead session is left: \(dead)") }
        for host in hosts.indices {
            for client in hosts[host].clients { try die(client.number, of: host) }
            hosts[host].daemon?.leave(at: local(host))
            try batch(host, [])
        }
        try pass(settings.recovery + settings.lease, &step)
        // A mark stays until a writer releases the lock.
        let marks = registers.onlyMarks.filter { name, mark in
            oracle.marks[name] ?? .none != .none
                || mark == "maybe" && (oracle.isUnsure || oracle.unproven.contains(name))
        }.map { "prwlock/n/\($0.key)" }
        let left = network.store.pairs(prefix: Array("prwlock/".utf8)).map {
            String(decoding: $0.key, as: UTF8.self)
        }
        .filter { $0 != "prwlock/fleet" && !marks.contains($0) }
        guard left.isEmpty else { throw Violation("keys are left over: \(left); \(registers.described)") }
        guard network.store.liveLeases.isEmpty else { throw Violation("leases are left over") }
    }

    private mutating func pass(_ duration: Duration, _ step: inout Int) throws {
        let end = now.advanced(by: duration)
        while now < end {
            try self.step()
            step += 1
        }
    }
}
