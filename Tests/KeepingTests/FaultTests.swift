import Glibc
import Posix
import TestSupport
import Testing

@Suite("The keeper recognizes what is not a kill from outside")
struct FaultTests {
    @Test("after five crashes in ten seconds a worker starts empty, once")
    func crashes() throws {
        let keeper = try KeeperProcess("script")
        for count in 0..<5 {
            let words = try keeper.started()
            #expect(!words.contains("empty"))
            #expect(count == 0 || words.contains("restarts=\(count)"))
            keeper.ask("ready")
            keeper.tell("crash")
        }
        #expect(try keeper.started().prefix(2) == ["restarts=5", "signal=6"])
        keeper.ask("ready")
        keeper.tell("crash")
        #expect(try !keeper.started().contains("empty"))
    }

    @Test("a worker that starts empty is told so")
    func emptyWord() throws {
        let keeper = try KeeperProcess("script")
        for _ in 0..<5 {
            _ = try keeper.started()
            keeper.tell("crash")
        }
        #expect(try keeper.started().contains("empty"))
    }

    @Test("kills of workers that are ready are no crashes, however many")
    func kills() throws {
        let keeper = try KeeperProcess("script")
        for _ in 0..<30 {
            #expect(try !keeper.started().contains("empty"))
            keeper.ask("ready")
            keeper.killWorker()
        }
    }

    @Test("kills that are so quick that they meet the start of workers are no crashes")
    func quickKills() throws {
        let keeper = try KeeperProcess("script", environment: ["TEST_PATIENCE=3600000"])
        _ = try keeper.started()
        keeper.ask("ready")
        for count in 1...20 {
            keeper.killWorker()
            let words = try keeper.started()
            #expect(words.contains("restarts=\(count)") && !words.contains("empty"))
        }
    }

    @Test("five kills in a row before a worker is ready end in an empty start, if that lasts")
    func earlyKills() throws {
        let keeper = try KeeperProcess("script", environment: ["TEST_PATIENCE=0"])
        for _ in 0..<5 {
            #expect(try !keeper.started().contains("empty"))
            keeper.killWorker()
        }
        #expect(try keeper.started().contains("empty"))
    }

    @Test("the keeper gives up if workers that start empty crash as well")
    func givesUp() throws {
        let keeper = try KeeperProcess("script")
        for _ in 0..<10 {
            _ = try keeper.started()
            keeper.tell("crash")
        }
        #expect(try keeper.exitStatus() == 70)
    }

    @Test("a worker that hangs is killed, and counts as crashed")
    func hang() throws {
        let keeper = try KeeperProcess("script")
        for _ in 0..<5 {
            #expect(try !keeper.started().contains("empty"))
            keeper.ask("watch 20")
            kill(keeper.worker, SIGSTOP)
        }
        #expect(try keeper.started().contains("empty"))
    }

    @Test("crashes whose cause a worker has found do not count")
    func pardon() throws {
        let keeper = try KeeperProcess("script")
        for count in 0..<12 {
            #expect(try !keeper.started().contains("empty"))
            if count % 4 == 3 { keeper.ask("pardon") }
            keeper.ask("ready")
            keeper.tell("crash")
        }
    }

    @Test("a worker is told of a crash or a hang until one is ready, and of no kill from outside")
    func crashWord() throws {
        let keeper = try KeeperProcess("script")
        #expect(try !keeper.started().contains("crashed"))
        keeper.ask("ready")
        keeper.killWorker()
        #expect(try !keeper.started().contains("crashed"))
        keeper.ask("ready")
        keeper.tell("crash")
        #expect(try keeper.started().contains("crashed"))
        keeper.killWorker()
        #expect(try keeper.started().contains("crashed"))
        keeper.ask("ready")
        keeper.killWorker()
        #expect(try !keeper.started().contains("crashed"))
        keeper.ask("ready")
        keeper.ask("watch 20")
        kill(keeper.worker, SIGSTOP)
        #expect(try keeper.started().contains("crashed"))
    }

    @Test("a worker that no longer wants to be watched is not killed")
    func unwatched() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.ask("watch 60000")
        keeper.ask("watch 0")
        #expect(keeper.ask("pid") == "pid \(keeper.worker)")
    }

    @Test(
        "the next worker learns what the last one wrote, also without the rights of root",
        arguments: [nil, 65_534] as [UInt32?])
    func output(user: UInt32?) throws {
        guard user == nil || getuid() == 0 else { return }
        let keeper = try KeeperProcess(
            "script", environment: user.map { ["TEST_USER=\($0)"] } ?? [])
        _ = try keeper.started()
        // The keeper opens the counts while the worker starts, and a worker may be killed before that.
        func learned(after orders: String...) throws -> (bytes: Int, calls: Int)? {
            for _ in 0..<50 {
                for order in orders { keeper.ask(order) }
                keeper.killWorker()
                if let output = wrote(try keeper.started()) { return output }
            }
            return nil
        }
        let before = try #require(try learned(after: "ready"))
        let after = try #require(try learned(after: "ready", "write 7"))
        // The start writes the same each time.
        #expect(after.bytes - before.bytes == 70)
        #expect(after.calls - before.calls == 7)
    }

    private func wrote(_ words: [String]) -> (bytes: Int, calls: Int)? {
        let word = words.first { $0.hasPrefix("wrote=") }
        let numbers = word?.dropFirst(6).split(separator: "/").compactMap { Int($0) } ?? []
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
}
