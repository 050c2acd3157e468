import Glibc
import LockCore
import LockVocabulary
import Testing

/// A generator whose numbers follow from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Random commands from a few sessions on a few locks, so that they meet all the time.
private struct History {
    var world: World
    var generator: SeededGenerator
    let letters: [Character] = ["a", "b", "c", "d", "e", "f"]
    let locks = ["one", "two", "three"]
    let owners = ["-", "-", "t1", "t2"]

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        var limits = Limits()
        limits.sessionGrants = 12
        limits.sessionWaiters = 6
        limits.marks = 2
        world = World(limits: limits, tokens: .max - 1)
        world.table.isObserved = true
    }

    mutating func step() {
        let letter = pick(letters)
        let lock = pick(locks)
        let owner = pick(owners)
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<40:
            world.ask(
                letter, pick([.read, .read, .update, .write]), lock, owner: owner,
                wait: pick([.forever, .upTo(.zero), .upTo(.milliseconds(20))]),
                lease: pick([.forever, .forever, .upTo(.milliseconds(30))]))
        case 40..<68: world.release(letter, lock, owner: pick([owner, nil]))
        case 68..<76: world.upgrade(letter, lock, owner: pick([owner, nil]))
        case 76..<80: world.downgrade(letter, lock, to: pick([.read, .update]))
        case 80..<84: world.renew(letter, lock, lease: pick([nil, .forever, .upTo(.milliseconds(50))]))
        case 84..<90: world.cancel(letter, lock, owner: pick([owner, nil]))
        case 90..<93: world.end(letter)
        case 93: world.table.setRecall(Bool.random(using: &generator), of: world.session(letter))
        default: world.pass(.milliseconds(Int64.random(in: 0...15, using: &generator)))
        }
    }

    private mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        guard let choice = choices.randomElement(using: &generator) else {
            fatalError("nothing to choose from")
        }
        return choice
    }
}

/// The seeds to try: the one in `PRWLOCK_TEST_SEED`, or a fixed few and a new one.
private var seeds: [UInt64] {
    if let given = getenv("PRWLOCK_TEST_SEED"), let seed = UInt64(String(cString: given)) { return [seed] }
    return [1, 2, 3, 4, 5, UInt64.random(in: 0...UInt64(UInt32.max))]
}

@Test("the invariants hold after every step of random histories", arguments: seeds)
func invariantsHold(seed: UInt64) throws {
    var history = History(seed: seed)
    for step in 0..<4_000 {
        history.step()
        do {
            try history.world.table.checkInvariants()
        } catch {
            Issue.record("step \(step) of PRWLOCK_TEST_SEED=\(seed): \(error)")
            return
        }
        _ = history.world.news()
    }
}

@Test("nothing is left when all sessions have ended", arguments: seeds)
func nothingIsLeft(seed: UInt64) throws {
    var history = History(seed: seed)
    for _ in 0..<1_000 { history.step() }
    for letter in history.letters { history.world.end(letter) }
    let table = history.world.table
    try table.checkInvariants()
    #expect(table.sessionCount == 0 && table.grantCount == 0 && table.waiterCount == 0)
    #expect(table.lockCount == table.markCount)
}
