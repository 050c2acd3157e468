import Foundation
import LockVocabulary
import LockWire
import TestSupport
import Testing

@testable import prwlock_tool

/// `prwlock wait`.
@Suite struct WaitTests {
    private func changed(
        _ change: ChangeKind, _ mode: LockMode = .write, token: UInt64? = nil, request: UInt64? = nil,
        by process: Int32 = 1
    ) throws -> Notice.Changed {
        Notice.Changed(
            name: try #require(LockName("jobs")), change: change, processID: process, mode: mode,
            token: token.map { Token(rawValue: $0) }, request: request)
    }

    private func row(_ process: Int32, _ mode: LockMode) -> Row {
        .waiter(
            Row.Waiter(
                processID: process, mode: mode, owner: .session, waited: .zero, timeout: .forever, note: .none
            ))
    }

    @Test(
        "a lock that goes from one holder to the next is never free in between, and one that is released is")
    func handover() throws {
        var state = LockOccupancy()
        state.apply(try changed(.granted, token: 1))
        state.apply(try changed(.waiting, request: 7, by: 2))
        #expect(!state.isFree(for: .write) && !state.isFree(for: .read))
        state.apply(try changed(.released, token: 1))
        #expect(!state.isFree(for: .write) && !state.isFree(for: .read))
        state.apply(try changed(.granted, token: 2, request: 7, by: 2))
        #expect(!state.isFree(for: .write))
        state.apply(try changed(.died, token: 2, by: 2))
        #expect(state.isFree(for: .write))
    }

    @Test("a request of the listing, which has no number there, leaves by a notice that has one")
    func listed() throws {
        for end in [ChangeKind.timeout, .cancelled, .refused] {
            var state = LockOccupancy()
            state.add(row(2, .write))
            state.add(row(2, .write))
            state.apply(try changed(end, request: 7, by: 2))
            #expect(state.waiters == 1 && !state.isFree(for: .read))
            state.apply(try changed(end, request: 8, by: 2))
            #expect(state.isFree(for: .write))
        }
    }

    @Test("a lock may be read beside readers and an updater, unless a writer waits (G2)")
    func reading() throws {
        var state = LockOccupancy()
        state.apply(try changed(.granted, .read, token: 1))
        state.apply(try changed(.granted, .update, token: 2))
        #expect(state.isFree(for: .read) && !state.isFree(for: .write))
        state.apply(try changed(.waiting, .write, request: 3))
        #expect(!state.isFree(for: .read))
        state.apply(try changed(.upgraded, .update, token: 2))
        state.apply(try changed(.granted, .write, token: 3, request: 3))
        #expect(!state.isFree(for: .read))
        state.apply(try changed(.downgraded, .read, token: 3))
        #expect(state.isFree(for: .read) && !state.isFree(for: .write))
    }

    /// A counter of the daemon.
    private func counter(_ name: String, _ session: RawSession) throws -> Int {
        try session.send("STATS")
        let line = try session.lines(through: "END").first { $0.hasPrefix("* \(name) ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0
    }

    /// Starts `prwlock wait`, and returns when it watches.
    private func start(_ arguments: [String], at daemon: DaemonProcess, _ session: RawSession) throws
        -> ToolProcess
    {
        let tool = try ToolProcess(["wait"] + arguments, at: daemon)
        while try counter("watchers", session) == 0 {}
        return tool
    }

    @Test("it ends when the holder and all that wait have ended, and has no place in the queue")
    func waits() throws {
        let daemon = try DaemonProcess()
        let (holder, next) = (try daemon.connect(), try daemon.connect())
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED") == true)
        let tool = try start(["jobs", "--json"], at: daemon, next)
        try next.send("WRITE jobs")
        #expect(try holder.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
        #expect(try next.nextLine()?.hasPrefix("GRANTED") == true)
        #expect(try next.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
        let object = try JSONSerialization.jsonObject(with: Data(try tool.rest().utf8)) as? [String: Any]
        #expect(object?["free"] as? Bool == true)
        #expect(try tool.status() == 0)
    }

    @Test("with -n or -w it exits with the status of -E if the lock is not free")
    func statuses() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        #expect(try holder.ask("READ jobs")?.hasPrefix("GRANTED") == true)
        #expect(try ToolProcess(["wait", "-n", "jobs"], at: daemon).status() == 1)
        #expect(try ToolProcess(["wait", "-nE7", "jobs"], at: daemon).status() == 7)
        #expect(try ToolProcess(["wait", "-w", "10ms", "other", "jobs"], at: daemon).status() == 1)
        #expect(try ToolProcess(["wait", "-ns", "jobs"], at: daemon).status() == 0)
        #expect(try ToolProcess(["wait", "-n", "other"], at: daemon).status() == 0)
        #expect(try ToolProcess(["wait"], at: daemon).status() == 64)
        let own = try ToolProcess(shell: "prwlock run own prwlock wait own", at: daemon)
        #expect(try own.status() == 1)
        #expect(try own.complaints().contains("would wait for itself"))
    }

    @Test("several names are waited for until all are free, and a mark is reported")
    func several() throws {
        let daemon = try DaemonProcess()
        let (one, two, looker) = (try daemon.connect(), try daemon.connect(), try daemon.connect())
        #expect(try one.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        #expect(try two.ask("WRITE b")?.hasPrefix("GRANTED") == true)
        let tool = try start(["a", "b"], at: daemon, looker)
        #expect(try one.ask("RELEASE a")?.hasPrefix("RELEASED") == true)
        #expect(try two.ask("QUIT") == "BYE")
        #expect(try tool.status() == 0)
        #expect(try tool.complaints().contains("b: its last writer died"))
    }

    @Test("if the daemon ends, it asks the next one, where the lock is free")
    func restart() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs")?.hasPrefix("GRANTED") == true)
        let tool = try start(["jobs"], at: daemon, holder)
        daemon.kill()
        try daemon.restart()
        #expect(try tool.status() == 0)
    }

    @Test("a lock that this user may not look at is refused, not called free")
    func denied() throws {
        let folder = try TemporaryDirectory()
        try "deny everyone look secret\n".write(toFile: folder("rules"), atomically: true, encoding: .utf8)
        let daemon = try DaemonProcess("--rules", folder("rules"))
        let tool = try ToolProcess(["wait", "-n", "secret"], at: daemon)
        #expect(try tool.complaints().contains("you may not look at secret"))
        #expect(try tool.status() == 77)
    }
}
