import FleetSimulation
import Testing

@Suite("A fleet of hosts in a simulated world") struct FleetSimulationTests {
    @Test("keeps its guarantees, from these seeds and some new ones", arguments: 0..<8)
    func guarantees(number: Int) {
        let seed = number < 5 ? UInt64(number) : UInt64.random(in: 0...UInt64(UInt32.max))
        let run = FleetRun.live(seed: seed, hosts: 3, steps: 3_000)
        if let failure = run.failure {
            Issue.record(
                "prwlock-sim --hosts 3 --seed \(seed) --steps 3000: \(failure.step): \(failure.what)")
        }
    }

    @Test("follows from its seed") func determinism() {
        let runs = (0..<2).map { _ in FleetRun.live(seed: 7, hosts: 3, steps: 2_000) }
        #expect(runs[0].sum == runs[1].sum && runs[0].steps == runs[1].steps)
    }

    @Test("lets everything happen: a history in which nothing does proves nothing") func happenings() {
        var counts: [String: Int] = [:]
        for seed in UInt64(0)..<20 {
            counts.merge(
                FleetRun.live(seed: seed, hosts: 3, steps: 2_000).counts, uniquingKeysWith: +)
        }
        for what in [
            "GRANTED", "BUSY", "TIMEOUT", "DEADLOCK", "CANCELLED", "RELEASED", "VALID",
            "ERROR cluster-unavailable",
            "ownerdied=1", "ownerdied=maybe", "! REVOKED", "! EXPIRED", "! UNTIL", "claims gained",
            "links cut",
            "connections lost", "leader changes", "compactions", "quota", "stops", "crashes",
            "revoked leases",
            "restored backups", "killed workers", "client deaths",
        ] {
            #expect(counts[what, default: 0] > 0, "\(what) never happens")
        }
    }
}
