import Glibc

/// Random numbers from a seed, so that a failure can be had again: `PRWLOCK_TEST_SEED=… swift test`.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// The seeds to try: the one from the environment, or a few of this moment's.
    static var seeds: [UInt64] {
        if let text = getenv("PRWLOCK_TEST_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
        return (0..<5).map { _ in UInt64.random(in: .min ... .max) }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
