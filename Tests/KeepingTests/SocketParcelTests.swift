import CTestSupport
import Foundation
import Glibc
import Keeping
import Posix
import Seeded
import Testing

@Suite("A parcel keeps sockets in flight")
struct SocketParcelTests {
    @Test("the next owner gets each socket once, and the sockets are the same", arguments: [0, 1, 253, 400])
    func unpack(count: Int) throws {
        let sockets = try Sockets(count)
        let parcel = try SocketParcel()
        for socket in sockets.numbers { #expect(parcel.put(socket) == .kept) }
        #expect(parcel.count == count)
        let ends = parcel.descriptors.map { dup($0) }
        #expect(try cookies(ofParcelWith: ends) == sockets.cookies)
    }

    @Test("unpacking leaves all sockets in the parcel")
    func unpackAgain() throws {
        let sockets = try Sockets(300)
        let parcel = try SocketParcel()
        for socket in sockets.numbers { _ = parcel.put(socket) }
        for _ in 0..<5 {
            #expect(try cookies(ofParcelWith: parcel.descriptors.map { dup($0) }) == sockets.cookies)
        }
    }

    @Test("a socket in two messages, as a kill amid packing leaves it, comes out once")
    func twice() throws {
        let sockets = try Sockets(20)
        let parcel = try SocketParcel()
        for socket in sockets.numbers { _ = parcel.put(socket) }
        let other = SocketParcel(adopting: parcel.descriptors.map { dup($0) })
        for socket in sockets.numbers { _ = other.put(socket) }
        let next = SocketParcel(adopting: parcel.descriptors.map { dup($0) })
        var numbers: [Int32] = []
        try next.unpack { numbers.append($0.release()) }
        #expect(next.count == 20)
        #expect(next.inFlight == 40)
        // Packing frees the second copies.
        for number in numbers { next.remove(number) }
        for number in numbers { #expect(next.put(number) == .kept) }
        let fresh = try Sockets(254)
        for number in fresh.numbers { #expect(next.put(number) == .kept) }
        for number in fresh.numbers { next.remove(number) }
        #expect(try cookies(ofParcelWith: next.descriptors.map { dup($0) }).isSuperset(of: sockets.cookies))
        for number in numbers { close(number) }
    }

    @Test("however sessions come and go, what is in flight is bounded")
    func churn() throws {
        let parcel = try SocketParcel()
        let lasting = try Sockets(20)
        var left = lasting.numbers[...]
        for round in 0..<20_000 {
            // A lasting session in every thousand.
            if round % 1_000 == 0, let socket = left.popFirst() { #expect(parcel.put(socket) == .kept) }
            let number = dup(lasting.numbers[0])
            #expect(parcel.put(number) == .kept)
            parcel.remove(number)
            close(number)
            #expect(parcel.inFlight <= 2 * parcel.count + 759)
        }
        #expect(try cookies(ofParcelWith: parcel.descriptors.map { dup($0) }) == lasting.cookies)
    }

    @Test("when most sessions have ended, their sockets leave the parcel")
    func endings() throws {
        let sockets = try Sockets(2_000)
        let parcel = try SocketParcel()
        for socket in sockets.numbers { #expect(parcel.put(socket) == .kept) }
        for socket in sockets.numbers.dropLast(10) { parcel.remove(socket) }
        #expect(parcel.inFlight <= 2 * 10 + 759)
        let left = Set(sockets.numbers.suffix(10).compactMap { UnixSocket.cookie(of: $0) })
        #expect(try cookies(ofParcelWith: parcel.descriptors.map { dup($0) }).isSuperset(of: left))
    }

    @Test("at the limit of descriptors in flight a socket is refused, and the others are safe")
    func limit() throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: KeeperProcess.workerProgram)
        process.arguments = ["limit"]
        process.standardOutput = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(text == "too many: true, at the limit: true\nall come out: true\n")
    }

    @Test("a process that is killed amid putting and packing leaves every socket that lasts")
    func kills() throws {
        var random = SeededGenerator(seed: 5)
        let parcel = try SocketParcel()
        var expected: Set<UInt64> = []
        for _ in 0..<60 {
            let child = try ChurningChild(parcel)
            child.follow(Int.random(in: 1...400, using: &random), &expected)
            for _ in 0..<Int.random(in: 0...3_000, using: &random) { _ = getppid() }
            child.kill()
            child.follow(.max, &expected)
            let left = try cookies(ofParcelWith: parcel.descriptors.map { dup($0) })
            #expect(left.isSuperset(of: expected), "\(expected.subtracting(left).count) are lost")
            expected.formIntersection(left)
        }
    }

    @Test("a process that is killed before or after any call that removes messages leaves every socket")
    func killsAtRemovals() throws {
        let parcel = try SocketParcel()
        var expected: Set<UInt64> = []
        for round in 0..<60 as Range<UInt32> {
            let child = try ChurningChild(parcel)
            child.follow(1, &expected)
            #expect(child.kill(atRemoval: 1 + round % 10, packed: round > 30, after: round.isMultiple(of: 3)))
            child.follow(.max, &expected)
            let left = try cookies(ofParcelWith: parcel.descriptors.map { dup($0) })
            #expect(left.isSuperset(of: expected), "\(expected.subtracting(left).count) are lost")
            expected.formIntersection(left)
        }
    }

    private func cookies(ofParcelWith ends: [Int32]) throws -> Set<UInt64> {
        let parcel = SocketParcel(adopting: ends)
        var cookies: [UInt64] = []
        try parcel.unpack { cookies.append(UnixSocket.cookie(of: $0.rawValue) ?? 0) }
        #expect(Set(cookies).count == cookies.count)
        return Set(cookies)
    }
}

/// Sockets that are connected to each other.
private final class Sockets {
    let numbers: [Int32]

    init(_ count: Int) throws {
        var numbers: [Int32] = []
        while numbers.count < count {
            numbers += try UnixSocket.pair().split { [$0.release(), $1.release()] }
        }
        while numbers.count > count { close(numbers.removeLast()) }
        self.numbers = numbers
    }

    deinit { for number in numbers { close(number) } }

    var cookies: Set<UInt64> { Set(numbers.compactMap { UnixSocket.cookie(of: $0) }) }
}

/// A process that puts sockets into a parcel and removes them, and reports those that last.
private final class ChurningChild {
    private let process: Int32
    private let reports: OwnedDescriptor

    init(_ parcel: SocketParcel) throws {
        let pair = try UnixSocket.pair(ofMessages: true)
        // No report is read while the child is traced.
        var room: Int32 = 1 << 20
        setsockopt(pair.second.rawValue, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        process = try ChildProcess(
            executable: KeeperProcess.workerProgram, arguments: ["kept-worker", "churn"], environment: [],
            descriptors: [null, pair.second.rawValue, STDERR_FILENO] + parcel.descriptors
        ).spawn()
        reports = try pair.first.duplicate()
    }

    /// Reads so many reports, or all to the end of the process.
    func follow(_ count: Int, _ expected: inout Set<UInt64>) {
        var message: [UInt64] = [0, 0]
        for _ in 0..<count {
            guard recv(reports.rawValue, &message, 16, 0) == 16 else { return }
            if message[0] == 0 { expected.insert(message[1]) } else { expected.remove(message[1]) }
        }
    }

    /// Kills it at one of its calls that remove messages; false if it does not come to that.
    func kill(atRemoval count: UInt32, packed: Bool, after: Bool) -> Bool {
        defer { kill() }
        return support_kill_at_removal(process, packed ? 6 : 4, packed ? 1 : count, after ? 1 : 0) == 0
    }

    func kill() {
        Glibc.kill(process, SIGKILL)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        #expect(status & 0x7f == SIGKILL)
    }
}
