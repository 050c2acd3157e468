import Glibc
import LockModel
import LockVocabulary
import Testing

/// `PRWLOCK_SMALL_WORLD_DEPTH` sets a greater depth, which takes minutes.
@Suite("Every sequence of commands in a small world") struct SmallWorldTests {
    private static var depth: Int {
        getenv("PRWLOCK_SMALL_WORLD_DEPTH").flatMap { Int(String(cString: $0)) } ?? 3
    }

    @Test(
        "agrees with the guarantees, up to a depth (G1 to G11)",
        arguments: [SmallWorld.Alphabet.order, .time])
    func sequences(alphabet: SmallWorld.Alphabet) throws {
        var world = SmallWorld(alphabet)
        try world.explore(depth: Self.depth)
        print(
            "small world, \(alphabet), depth \(Self.depth): \(world.states) states, \(world.commands) commands"
        )
    }

    @Test(
        "agrees with the guarantees where grants are cached, with steps of the clients between any two commands"
    )
    func caching() throws {
        func cached(_ session: Int, _ lock: String, _ mode: LockMode) -> [TwinStep] {
            [.command(session, .acquire(lock, mode)), .cache]
        }
        let token = Token(rawValue: 1)
        // Idle, and beside another cached grant.
        let starts = [
            cached(0, "a", .write) + [.leave(token)],
            cached(0, "a", .read) + [.leave(token)] + cached(1, "a", .read),
            cached(0, "a", .write) + [.leave(token)] + cached(1, "b", .write),
        ]
        var world = SmallWorld(.caching)
        for start in starts { try world.explore(depth: Self.depth - 1, from: start) }
        print("small world, caching: \(world.states) states, \(world.commands) commands")
    }

    @Test("agrees with the guarantees where readers lose patience (G2, G8)")
    func patience() throws {
        func asks(_ session: Int, _ lock: String, _ mode: LockMode) -> TwinStep {
            .command(session, .acquire(lock, mode))
        }
        // Both locks are held, and a writer came after a reader: few steps from a circle that time closes.
        let starts = [
            [asks(0, "a", .write), asks(1, "b", .write), asks(2, "a", .read), asks(1, "a", .write)],
            [asks(0, "a", .update), asks(1, "a", .read), asks(0, "b", .write), asks(2, "a", .write)],
        ]
        var world = SmallWorld(.patience)
        try world.explore(depth: Self.depth)
        for start in starts { try world.explore(depth: Self.depth - 1, from: start) }
        print("small world, patience: \(world.states) states, \(world.commands) commands")
    }
}
