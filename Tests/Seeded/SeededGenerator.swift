import Glibc

/// A generator of random numbers that its seed determines: SplitMix64 (Steele, Lea and Flood 2014).
///
/// `PRWLOCK_TEST_SEED=… swift test` repeats a failure.
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Picks one of the choices.
    public mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        guard let choice = choices.randomElement(using: &self) else { fatalError("nothing to choose from") }
        return choice
    }

    /// True in so many of a hundred calls.
    public mutating func happens(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    public mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// The seeds to try: the one in `PRWLOCK_TEST_SEED`, or a fixed few and a new one.
    public static var seeds: [UInt64] { given ?? [1, 2, 3, 4] + newOnes(1) }

    /// The seeds for a quick test: the one in `PRWLOCK_TEST_SEED`, or five new ones.
    public static var newSeeds: [UInt64] { given ?? newOnes(5) }

    private static var given: [UInt64]? {
        getenv("PRWLOCK_TEST_SEED").flatMap { UInt64(String(cString: $0)) }.map { [$0] }
    }

    private static func newOnes(_ count: Int) -> [UInt64] {
        (0..<count).map { _ in UInt64.random(in: 0...UInt64(UInt32.max)) }
    }
}
