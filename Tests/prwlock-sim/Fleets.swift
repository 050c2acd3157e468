import FleetSimulation

/// The histories of fleets: several hosts in each.
struct Fleets {
    let hosts: Int
    let first: UInt64
    let seeds: Int
    let steps: Int
    let isTold: Bool

    /// Lives through all histories and tells of them. Returns how many failed.
    func run() -> Int {
        let start = ContinuousClock.now
        var counts: [String: Int] = [:]
        var failures = 0
        var total = 0
        for number in 0..<seeds {
            let run = FleetRun.live(seed: first &+ UInt64(number), hosts: hosts, steps: steps, isTold: isTold)
            counts.merge(run.counts, uniquingKeysWith: +)
            total += run.steps
            for line in run.trace { print(line) }
            if seeds == 1 {
                print("seed \(run.seed): \(run.steps) steps, trace \(String(run.sum, radix: 16))")
            }
            if let failure = run.failure {
                failures += 1
                print("FAILED  seed \(run.seed), step \(failure.step): \(failure.what)")
                print("        prwlock-sim --hosts \(hosts) --seed \(run.seed) --steps \(steps) --trace")
            }
            if seeds > 1, number % 20 == 19 {
                print("\(number + 1) of \(seeds) seeds, from \(first) on; \(failures) failed")
            }
        }
        let rate = Int(Double(total) / max((ContinuousClock.now - start) / .seconds(1), 0.001))
        print("\(total) steps of \(hosts) hosts, \(rate) a second; \(failures) of \(seeds) seeds failed")
        print(counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        return failures
    }
}
