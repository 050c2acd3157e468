import Glibc
import Testing

/// An exhaustive search of `SlotWorld`: the protocol of the slots, with kills, stops and deaths between any two steps.
///
/// `PRWLOCK_SLOT_WORLD_DEEP=1` searches in larger worlds, which takes minutes.
@Suite("The protocol of the slots") struct SlotProtocolTests {
    private struct Found: Error, CustomStringConvertible {
        let description: String
    }

    /// Visits every state. Returns their number; throws the way to a state with a fault.
    private static func explore(_ setting: SlotWorld.Setting) throws(Found) -> Int {
        let start = SlotWorld(setting)
        var seen: Set<SlotWorld> = [start]
        var trail: [(name: String, from: Int)] = [("the beginning", -1)]
        var open: [(state: SlotWorld, number: Int)] = [(start, 0)]
        while let (state, number) = open.popLast() {
            let steps = state.steps(setting)
            if let fault = state.fault(hasSteps: !steps.must.isEmpty, planted: setting.fault) {
                throw Found(description: way(to: number, trail) + ": " + fault)
            }
            for (name, next) in steps.must + steps.may where seen.insert(next).inserted {
                if state.isOver, next.clients.indices.contains(where: { begins($0, state, next) }) {
                    throw Found(description: way(to: number, trail) + ", \(name): holds after the end")
                }
                trail.append((name, number))
                open.append((next, trail.count - 1))
            }
        }
        return seen.count
    }

    private static func begins(_ client: Int, _ before: SlotWorld, _ after: SlotWorld) -> Bool {
        before.clients[client].phase != .holding && after.clients[client].phase == .holding
    }

    private static func way(to number: Int, _ trail: [(name: String, from: Int)]) -> String {
        var names: [String] = []
        var place = number
        while place >= 0 {
            names.append(trail[place].name)
            place = trail[place].from
        }
        return names.reversed().joined(separator: ", ")
    }

    // MARK: - Settings

    /// Whether to search in larger worlds too, which takes minutes.
    private static let isDeep = getenv("PRWLOCK_SLOT_WORLD_DEEP") != nil

    private static let settings: [(String, SlotWorld.Setting)] = {
        var settings: [(String, SlotWorld.Setting)] = []
        func add(_ name: String, _ rounds: [Int], deep: [Int], _ change: (inout SlotWorld.Setting) -> Void) {
            var setting = SlotWorld.Setting()
            setting.rounds = isDeep ? deep : rounds
            change(&setting)
            settings.append((name, setting))
        }
        let write = (lock: 0, isRead: false)
        let read = (lock: 0, isRead: true)
        let other = (lock: 1, isRead: false)
        add("two writers, a kill", [2, 1], deep: [3, 2]) { $0.kills = 1 }
        add("a death of the daemon in a batch", [2, 1], deep: [2, 2]) { ($0.deaths, $0.batch) = (1, 2) }
        add("a death of the daemon in a batch, and a kill", [1, 1], deep: [2, 2]) {
            ($0.deaths, $0.kills, $0.batch) = (1, 1, 2)
        }
        add("two locks in one slot, a death of the daemon", [3, 1], deep: [3, 2]) {
            $0.requests = [[write, other], [write]]
            $0.deaths = isDeep ? 1 : 0
        }
        add("two locks in one slot, a kill", [2, 1], deep: [3, 2]) {
            $0.requests = [[write, other], [write]]
            $0.kills = 1
        }
        add("a reader and a writer, revoked", [2, 1], deep: [2, 2]) {
            $0.requests = [[read], [write]]
            ($0.revokes, $0.kills) = (1, isDeep ? 1 : 0)
        }
        add("a reader that holds twice, and a writer", [2, 1], deep: [2, 2]) {
            $0.requests = [[read], [write]]
            ($0.recurses, $0.kills, $0.deaths) = (true, 1, isDeep ? 1 : 0)
        }
        add("a reader that also writes", [2, 1], deep: [2, 2]) {
            $0.requests = [[read, write], [read]]
            $0.deaths = isDeep ? 1 : 0
        }
        add("the end of the daemon", [2, 1], deep: [3, 2]) { $0.endsForGood = true }
        return settings
    }()

    @Test(
        "keeps writers apart, loses no wake-up and leaves the right mark, whatever comes between two steps",
        arguments: settings.indices)
    func search(number: Int) throws {
        let (name, setting) = Self.settings[number]
        print("slot protocol, \(name): \(try Self.explore(setting)) states")
    }

    @Test("does so with the functions of the header, each as one step", arguments: isDeep ? 0..<9 : 0..<3)
    func functions(number: Int) throws {
        var setting = Self.settings[number].1
        setting.usesFunctions = true
        print("slot protocol, functions, \(Self.settings[number].0): \(try Self.explore(setting)) states")
    }

    @Test(
        "does so with a client that never holds twice, whose steps are one swap each",
        arguments: settings.indices)
    func entries(number: Int) throws {
        var setting = Self.settings[number].1
        (setting.usesEntries, setting.recurses) = (true, false)
        print("slot protocol, entries, \(Self.settings[number].0): \(try Self.explore(setting)) states")
    }

    @Test(
        "the steps that are written out are those of the header, from every word", arguments: [true, false])
    func sameSteps(isRead: Bool) {
        let words = [1, 2].flatMap { generation in
            [0, SlotWord.wanted].flatMap { bit in
                [0, 1, 2, 3, SlotWord.holds].map { UInt64(generation) << 16 | bit | $0 }
            }
        }
        let phases = [SlotWorld.Phase.entering(lock: 0, seen: 1 << 16), .leaving(seen: 1 << 16 + 1)]
        for word in words {
            for phase in phases {
                let ends = [false, true].map { Self.end(of: phase, from: word, isRead, usesFunctions: $0) }
                #expect(ends[0] == ends[1], "\(phase) at \(String(word, radix: 16))")
            }
        }
    }

    /// The phase and the word after an operation of a client.
    private static func end(
        of phase: SlotWorld.Phase, from word: UInt64, _ isRead: Bool, usesFunctions: Bool
    ) -> [String] {
        var setting = SlotWorld.Setting()
        setting.usesFunctions = usesFunctions
        var world = SlotWorld(setting)
        world.words[0] = word
        world.clients[0].known[0] = SlotWorld.Known(isRead: isRead, token: 1)
        world.clients[0].held = SlotWorld.Held(lock: 0, isRead: isRead, token: 1, isBySlot: true)
        world.clients[0].phase = phase
        for _ in 0..<3 {
            switch world.clients[0].phase {
            case .entering, .leaving: world = world.clientSteps(0, setting).first?.1 ?? world
            default: break
            }
        }
        return ["\(world.clients[0].phase)", "\(world.words[0])"]
    }

    @Test("a fault in one of the two sides is found", arguments: SlotFault.allCases)
    func plantedFault(fault: SlotFault) throws {
        var findings: [String] = []
        for (name, setting) in Self.settings {
            var setting = setting
            setting.fault = fault
            do throws(Found) {
                _ = try Self.explore(setting)
            } catch {
                findings.append("\(name): \(error)")
                break
            }
        }
        #expect(!findings.isEmpty, "\(fault) is not found")
    }
}
