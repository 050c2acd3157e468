import Glibc
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
}
