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

    @Test("lets everything happen: a history in which nothing does proves nothing") func happenings() {
        // For each event, the number of histories that have it: one alone would be luck.
        var histories: [String: Int] = [:]
        for seed in UInt64(0)..<20 {
            for what in Run.live(seed: seed, steps: 0..<1_000).counts.keys {
                histories[what, default: 0] += 1
            }
        }
        for what in [
            "GRANTED", "BUSY", "TIMEOUT", "DEADLOCK", "CANCELLED", "DENIED", "REVOKED", "VALID", "STALE",
            "ERROR tag-in-use", "ERROR line-too-long", "ERROR limit-grants", "ERROR limit-waiters",
            "ERROR limit-locks", "ERROR limit-watchers", "ERROR draining", "cut off", "deaths",
            "half-closes", "restarts", "reloads", "drains", "refused sessions",
            "refused sessions of a user", "out of descriptors", "own notes", "others' notes", "successions",
            "kills before a store", "kills before a commit", "slots given", "steps on slots: enter",
            "steps on slots: enter again", "steps on slots: leave", "steps on slots: leave, wanted",
        ] {
            #expect(histories[what, default: 0] > 1, "\(what)")
        }
    }

    @Test("has each attack of a hostile account reach its size, and go beyond a turn of the server")
    func attacks() {
        var counts: [String: Int] = [:]
        for seed in UInt64(0)..<80 {
            counts.merge(Run.live(seed: seed, steps: 0..<300).counts, uniquingKeysWith: +)
        }
        for attack in Simulation.attacks {
            #expect(counts["attack: \(attack)", default: 0] > 1, "\(attack)")
            #expect(counts["attack beyond a turn: \(attack)", default: 0] > 0, "\(attack)")
        }
        for what in ["calls that leave work", "calls of more than a turn", "rounds", "ERROR limit-waits"] {
            #expect(counts[what, default: 0] > 10, "\(what)")
        }
    }

    @Test("lives the same history from the same seed") func sameSeed() {
        let one = Run.live(seed: 7, steps: 0..<400, isTold: true)
        let other = Run.live(seed: 7, steps: 0..<400, isTold: true)
        #expect(one.sum == other.sum && one.trace == other.trace)
        #expect(Run.live(seed: 8, steps: 0..<400).sum != one.sum)
    }
}
