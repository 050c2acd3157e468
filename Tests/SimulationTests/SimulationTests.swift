import Simulation
import Testing

@Suite("The whole server in a simulated world") struct SimulationTests {
    @Test("keeps its guarantees, from these seeds and some new ones", arguments: 0..<12)
    func guarantees(number: Int) {
        let seed = number < 8 ? UInt64(number) : UInt64.random(in: 0...UInt64(UInt32.max))
        let run = Run.live(seed: seed, steps: 0..<600)
        if let failure = run.failure {
            Issue.record("prwlock-sim --seed \(seed) --steps 600 --shrink: \(failure.step): \(failure.what)")
        }
    }

    @Test("lives the same history from the same seed") func sameSeed() {
        let one = Run.live(seed: 7, steps: 0..<400, isTold: true)
        let other = Run.live(seed: 7, steps: 0..<400, isTold: true)
        #expect(one.sum == other.sum && one.trace == other.trace)
        #expect(Run.live(seed: 8, steps: 0..<400).sum != one.sum)
    }
}
