import Foundation
import Glibc
import Posix
import TestSupport
import Testing

@Suite("The keeper starts one worker after another")
struct KeeperTests {
    @Test("a worker that is killed is followed by another one with the same descriptors")
    func restart() throws {
        let keeper = try KeeperProcess("script")
        #expect(try keeper.started().isEmpty)
        keeper.ask("keep ledger facts")
        keeper.ask("ready")
        let first = keeper.worker
        keeper.killWorker()
        let again = try keeper.started()
        #expect(again.prefix(2) == ["restarts=1", "signal=9"])
        #expect(again.last == "kept=ledger")
        #expect(keeper.worker != first)
        #expect(keeper.ask("read ledger") == "facts")
    }

    @Test("a message that the worker sent right before its death counts")
    func lastMessage() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        for round in 1...20 {
            keeper.ask("keep ledger \(round)")
            keeper.tell("keep ledger again-\(round)")
            #expect(keeper.next() == "done")
            keeper.killWorker()
            _ = try keeper.started()
            #expect(keeper.ask("read ledger") == "again-\(round)")
            keeper.ask("ready")
        }
    }

    @Test("a name that is kept again has the new descriptor, and a dropped name has none")
    func names() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.ask("keep ledger old")
        keeper.ask("keep parcel other")
        keeper.ask("keep ledger new")
        keeper.ask("drop parcel")
        keeper.killWorker()
        #expect(try keeper.started().filter { $0.hasPrefix("kept=") } == ["kept=ledger"])
        #expect(keeper.ask("read ledger") == "new")
    }

    @Test("more names than the keeper has room for are let go")
    func manyNames() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        for number in 1...30 { keeper.ask("keep name-\(number) x") }
        keeper.killWorker()
        // One of the 16 is the test's channel.
        #expect(try keeper.started().filter { $0.hasPrefix("kept=") }.count == 15)
        // The keeper opens the counts while the worker starts; it has them once it has carried out an order, and waits again.
        keeper.ask("ready")
        while try !keeper.isWaiting() { sched_yield() }
        // It holds no descriptor of those that it let go: 0 to 2, the signals, the channel's ends, the counts.
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(keeper.processID)/fd")
        #expect(open.count == 3 + 1 + 2 + 1 + 16)
    }

    @Test("the exit status of a worker is that of the keeper", arguments: [0, 64, 71, 75] as [Int32])
    func exitStatus(status: Int32) throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.tell("exit \(status)")
        #expect(try keeper.exitStatus() == status)
    }

    @Test("a worker that leaves is the last one, also if it is killed")
    func leaving() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.ask("leave")
        keeper.killWorker()
        #expect(try keeper.exitStatus() == 0)
    }

    @Test(
        "the worker gets the signals of an administrator",
        arguments: [SIGTERM, SIGINT, SIGHUP, SIGUSR1])
    func signals(signal: Int32) throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.signal(signal)
        #expect(keeper.next() == "signal \(signal)")
        #expect(keeper.ask("pid") == "pid \(keeper.worker)")
    }

    @Test("a worker that dies while it ends is followed by one that is told to end as well")
    func deathWhileEnding() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.ask("ready")
        keeper.signal(SIGTERM)
        #expect(keeper.next() == "signal \(SIGTERM)")
        keeper.killWorker()
        _ = try keeper.started()
        #expect(keeper.next() == "signal \(SIGTERM)")
        keeper.tell("exit 0")
        #expect(try keeper.exitStatus() == 0)
    }

    @Test("QUIT ends worker and keeper at once, in order, so that a manager may start another keeper")
    func leavingToManager() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        let worker = try ProcessWatch(process: keeper.worker)
        // A manager sends TERM right after it.
        keeper.signal(SIGQUIT)
        keeper.signal(SIGTERM)
        #expect(try keeper.exitStatus() == 0)
        #expect(ProcessWatch.hasEnded(worker.rawValue))
        #expect(keeper.next() == nil, "the worker was told to end")
    }

    @Test("the keeper's death is the end of the worker's channel")
    func keeperKilled() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.signal(SIGKILL)
        #expect(keeper.next() == "alone")
    }

    @Test("a worker notices the end of a keeper that has not taken its orders")
    func endWithOrders() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.signal(SIGSTOP)
        keeper.ask("ready")
        keeper.signal(SIGKILL)
        #expect(keeper.next() == "alone")
    }

    @Test("the keeper sleeps while the worker works")
    func rest() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.ask("ready")
        // It has carried out an order once it waits again, after all that comes with it.
        while try !keeper.isWaiting() { sched_yield() }
        let waits = try keeper.waits()
        for _ in 1...2_000 { keeper.ask("pid") }
        #expect(try keeper.waits() == waits)
    }
}
