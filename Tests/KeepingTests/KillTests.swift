import CLinux
import Glibc
import Posix
import Seeded
import TestSupport
import Testing

@Suite("No session ends when the worker is killed", .serialized)
struct KillTests {
    @Test(
        "1,000 sessions and more that come and go, under kills at random points",
        arguments: [1, 2] as [UInt64])
    func sessions(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let world = try EchoWorld()
        var lasting = try (0..<1_000).map { _ in try world.connect() }
        for session in lasting { try session.exchange() }
        var passing: [EchoSession] = []
        var lostOnArrival = 0
        for round in 0..<100 {
            // The packing that the arrivals cause is also under kills.
            var arrivals = try (0..<Int.random(in: 0...60, using: &random)).map { _ in try world.connect() }
            let asked = (0..<50).map { _ in Int.random(in: 0..<lasting.count, using: &random) }
            // One is served: then the kills before it are no fault of what is kept.
            try lasting[asked[0]].exchange()
            for index in Set(asked) { try lasting[index].ask() }
            for session in arrivals { session.tryToAsk() }
            let killAt = Int.random(in: 0...40, using: &random)
            for (count, index) in Set(asked).enumerated() {
                if count == killAt { try world.kill(again: round.isMultiple(of: 3), &random) }
                try lasting[index].answer()
            }
            // A connection that was accepted and not yet put into the parcel ends with the worker.
            let before = arrivals.count
            arrivals = arrivals.filter { $0.answerOrEnd() }
            lostOnArrival += before - arrivals.count
            passing += arrivals
            if passing.count > 100 { passing.removeFirst(Int.random(in: 1...100, using: &random)) }
        }
        for session in lasting + passing { try session.exchange() }
        #expect(lostOnArrival <= world.kills)
        // The sockets of those that closed leave the parcel once the worker has seen their ends.
        passing.removeAll()
        #expect(try world.count(reaching: lasting.count) >= lasting.count)
        lasting.removeAll()
    }

    @Test("kills without pause: each one hits a worker that has just begun")
    func withoutPause() throws {
        var random = SeededGenerator(seed: 3)
        let world = try EchoWorld()
        let sessions = try (0..<300).map { _ in try world.connect() }
        for session in sessions { try session.exchange() }
        for _ in 0..<100 {
            for _ in 0..<3 { try world.kill(again: false, &random) }
            try sessions[Int.random(in: 0..<300, using: &random)].exchange()
        }
        for session in sessions { try session.exchange() }
    }
}

/// A keeper, its workers that echo, and the place where they listen.
private final class EchoWorld {
    private let directory: TemporaryDirectory
    private let keeper: KeeperProcess
    private(set) var kills = 0

    init() throws {
        TestProcess.raiseDescriptorLimit()
        directory = try TemporaryDirectory()
        keeper = try KeeperProcess("echo", environment: ["TEST_SOCKET=\(directory("s"))"])
        try waitUntilServed()
    }

    private func waitUntilServed() throws {
        while let text = keeper.next() {
            guard !text.contains("empty") else { break }
            if text.hasPrefix("serving") { return }
        }
        throw RawSession.TimedOut(description: "no worker serves")
    }

    func connect() throws -> EchoSession {
        EchoSession(try UnixSocket.connect(to: directory("s")))
    }

    /// Kills the worker, after all that the workers have said. `again`: kills also the next one, before or amid its unpacking.
    func kill(again: Bool, _ random: inout SeededGenerator) throws {
        for attempt in 0..<(again ? 2 : 1) {
            if attempt > 0 || kills > 0 { _ = try keeper.started() }
            // The time that passes here is that of the worker's first steps.
            for _ in 0..<Int.random(in: 0...2_000, using: &random) { _ = getppid() }
            keeper.killWorker()
            kills += 1
        }
    }

    /// Waits until the worker serves no more sessions than this, and returns how many it serves.
    func count(reaching target: Int) throws -> Int {
        while true {
            keeper.tell("count")
            while let text = keeper.next() {
                let words = text.split(separator: " ")
                guard words.first == "count", let count = Int(words[1]) else { continue }
                if count <= target { return count }
                break
            }
        }
    }
}

/// A session that sends numbers and expects each of them back, once or, after a kill, twice.
private final class EchoSession {
    private let socket: OwnedDescriptor
    private var number: UInt64 = 0

    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

    func exchange() throws {
        try ask()
        try answer()
    }

    func ask() throws {
        guard tryToAsk() else { throw SystemError.last("send") }
    }

    @discardableResult
    func tryToAsk() -> Bool {
        number += 1
        return send(socket.rawValue, &number, 8, Int32(MSG_NOSIGNAL)) == 8
    }

    func answer() throws {
        guard answerOrEnd() else { throw SystemError(code: ECONNRESET, call: "answer", subject: "\(number)") }
    }

    /// Blocks until the answer comes; false if the session ends.
    func answerOrEnd() -> Bool {
        while true {
            var request = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, 30_000)
            if ready < 0, errno == EINTR { continue }
            var answer: UInt64 = 0
            guard ready == 1, recv(socket.rawValue, &answer, 8, 0) == 8 else { return false }
            if answer == number { return true }
            // Only the last answer may come twice.
            guard answer == number - 1 else { return false }
        }
    }
}
