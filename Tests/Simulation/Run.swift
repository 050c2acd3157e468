/// One history, from a seed.
public struct Run: Sendable {
    public let seed: UInt64
    /// The violation and its step; nil if there was none.
    public let failure: (step: Int, what: String)?
    public let sum: UInt64
    public let counts: [String: Int]
    public let trace: [String]

    /// Runs the steps with these numbers, and then ends the history.
    public static func live(seed: UInt64, steps: some Sequence<Int>, isTold: Bool = false) -> Run {
        var simulation = Simulation(seed: seed, isTold: isTold)
        var failure: (step: Int, what: String)?
        var last = 0
        do {
            for step in steps {
                last = step
                try simulation.step(step)
            }
            last += 1
            try simulation.end()
        } catch {
            failure = (last, "\(error)")
        }
        return Run(
            seed: seed, failure: failure, sum: simulation.trace.sum, counts: simulation.counts,
            trace: simulation.trace.lines)
    }

    /// Removes steps in ever smaller pieces while the rest still fails (delta debugging, Zeller 1999).
    public static func shrink(seed: UInt64, steps: Int) -> [Int] {
        guard let failure = live(seed: seed, steps: 0..<steps).failure else { return [] }
        var kept = Array(0..<min(steps, failure.step + 1))
        var size = max(1, kept.count / 2)
        while true {
            var start = 0
            var hasShrunk = false
            while start < kept.count {
                let fewer = Array(kept[..<start] + kept[min(start + size, kept.count)...])
                if live(seed: seed, steps: fewer).failure != nil {
                    kept = fewer
                    hasShrunk = true
                } else {
                    start += size
                }
            }
            if size == 1, !hasShrunk { return kept }
            size = max(1, size / 2)
        }
    }
}
