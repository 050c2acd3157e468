import ArgumentParser
import Simulation

@main
struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prwlock-sim",
        abstract: "Run the lock server in a simulated world, and hold all it does against its guarantees.",
        discussion: """
            Simulated clients say anything that clients may say, over simulated sockets and by a simulated clock, all of it
            made from one seed. What the server answers is held against a model of the guarantees, and its buffers
            against their limits, at every step. The same seed gives the same history.

            With --hosts there are several servers, which share locks through a simulated etcd. Storms of faults and calms take
            turns: links that lose, delay, double and reorder, elections, ended leases, compaction, a full store, stopped and
            dead hosts, killed workers. A step is then one event, such as a message that arrives or a line that a client sends.
            """)

    @Option(help: "The seed of the first history; a new one if it is left out.")
    var seed: UInt64?
    @Option(help: "How many histories to live through, each with the next seed.")
    var seeds = 1
    @Option(help: "How many hosts share locks; one server alone if it is left out.")
    var hosts: Int?
    @Option(help: "How many steps a history has.")
    var steps = 1_000
    @Flag(help: "Leave out of a history that fails what does not matter to the failure.")
    var shrink = false
    @Flag(help: "Tell the history as a timeline.")
    var trace = false

    func validate() throws {
        if let hosts, hosts < 1 || hosts > 20 { throw ValidationError("There must be from 1 to 20 hosts.") }
        if hosts != nil, shrink { throw ValidationError("The history of a fleet is not made smaller.") }
        if seeds < 1 || steps < 1 { throw ValidationError("There must be one seed and one step at least.") }
    }

    func run() throws {
        let first = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
        if let hosts {
            let fleets = Fleets(hosts: hosts, first: first, seeds: seeds, steps: steps, isTold: trace)
            if fleets.run() > 0 { throw ExitCode.failure }
            return
        }
        let clock = ContinuousClock()
        let start = clock.now
        var counts: [String: Int] = [:]
        var failures = 0
        for number in 0..<seeds {
            let run = Run.live(seed: first &+ UInt64(number), steps: 0..<steps, isTold: trace)
            counts.merge(run.counts, uniquingKeysWith: +)
            if trace || seeds == 1 { tell(run) }
            if let failure = run.failure {
                failures += 1
                print("FAILED  seed \(run.seed), step \(failure.step): \(failure.what)")
                print("        prwlock-sim --seed \(run.seed) --steps \(steps) --shrink --trace")
                if shrink { tellShrunk(run.seed) }
            }
            if seeds > 1, number % 20 == 19 {
                print("\(number + 1) of \(seeds) seeds, from \(first) on; \(failures) failed")
            }
        }
        let total = seeds * steps
        let rate = Int(Double(total) / max((clock.now - start) / .seconds(1), 0.001))
        print("\(total) steps, \(rate) a second; \(failures) of \(seeds) seeds failed")
        let what = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        print(what.joined(separator: ", "))
        if failures > 0 { throw ExitCode.failure }
    }

    private func tell(_ run: Run) {
        for line in run.trace { print(line) }
        print("seed \(run.seed): \(steps) steps, trace \(String(run.sum, radix: 16))")
    }

    private func tellShrunk(_ seed: UInt64) {
        let kept = Run.shrink(seed: seed, steps: steps)
        let run = Run.live(seed: seed, steps: kept, isTold: true)
        print("\(kept.count) steps are enough:")
        for line in run.trace { print("  " + line) }
        print("  \(run.failure?.what ?? "")")
    }
}
