import Glibc
import Posix
import TestSupport
import Testing

/// A real daemon with logs and a service manager that take nothing.
@Suite("A daemon does not wait for its log or its manager") struct FullLogTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A datagram socket at a path, which is not read.
    private func boundSocket(_ name: String) throws -> OwnedDescriptor {
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let receiver = OwnedDescriptor(owning: number)
        try #require(connectOrBind(number, directory(name), Glibc.bind) == 0)
        return receiver
    }

    private func connectOrBind(
        _ number: Int32, _ path: String,
        _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        return withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// Fills the queue of the socket at this path; the datagrams stay in it for as long as it is not read.
    private func fill(_ name: String) throws {
        // A sender has a limit of its own, and several of them reach the receiver's.
        var isFull = false
        for _ in 0..<16 where !isFull {
            let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            let sender = OwnedDescriptor(owning: number)
            try #require(connectOrBind(sender.rawValue, directory(name), Glibc.connect) == 0)
            var count = 0
            while send(sender.rawValue, "x", 1, Int32(MSG_DONTWAIT)) == 1 { count += 1 }
            isFull = count == 0
        }
        try #require(isFull)
    }

    /// Reads what is in the queue; returns the last datagram.
    private func drain(_ socket: borrowing OwnedDescriptor) -> [String] {
        var all: [String] = []
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(socket.rawValue, &bytes, bytes.count, Int32(MSG_DONTWAIT)), count >= 0 {
            all.append(String(decoding: bytes[..<count], as: UTF8.self))
        }
        return all
    }

    /// Waits until the queue has a datagram with these words.
    private func expect(_ words: String, from socket: borrowing OwnedDescriptor) throws {
        for _ in 0..<3_000 {
            if drain(socket).contains(where: { $0.contains(words) }) { return }
            usleep(10_000)
        }
        Issue.record("nothing said `\(words)`")
    }

    private func statistic(_ name: String, of daemon: DaemonProcess) throws -> Int? {
        let session = try daemon.connect()
        try session.send("STATS")
        let row = try session.lines(through: "END").first { $0.hasPrefix("* \(name) ") }
        return row?.split(separator: " ").last.flatMap { Int($0) }
    }

    @Test("a journal with a full queue: locks are served, what is lost is counted and told later")
    func journal() throws {
        let journal = try boundSocket("journal")
        try fill("journal")
        let daemon = try DaemonProcess(
            "--max-session-grants", "1", environment: ["PRWLOCK_TEST_JOURNAL": directory("journal")],
            in: directory)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE b")?.hasPrefix("ERROR limit-grants") == true)
        #expect(try session.ask("RELEASE a")?.hasPrefix("RELEASED") == true)
        #expect(try statistic("total-lost-entries", of: daemon) ?? 0 > 0)

        _ = drain(journal)
        try expect(" lost: the log had no room", from: journal)
        #expect(try session.ask("WRITE b")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE c")?.hasPrefix("ERROR limit-grants") == true)
        try expect("a limit was hit", from: journal)
        #expect(try daemon.stop() == 0)
    }

    @Test(
        "a manager with a full queue: locks are served, and it hears that the daemon is ready when it reads")
    func manager() throws {
        let manager = try boundSocket("manager")
        try fill("manager")
        let daemon = try DaemonProcess(
            environment: ["NOTIFY_SOCKET": directory("manager"), "WATCHDOG_USEC": "2000000"], in: directory)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        daemon.signal(SIGHUP)
        #expect(try session.ask("RELEASE a")?.hasPrefix("RELEASED") == true)
        _ = drain(manager)
        try expect("READY=1", from: manager)
        try expect("WATCHDOG=1", from: manager)
        try fill("manager")
        #expect(try daemon.stop() == 0)
    }

    @Test("standard error that is a full pipe, or a full socket: locks are served", arguments: [true, false])
    func standardError(isPipe: Bool) throws {
        var ends: [Int32] = [-1, -1]
        try #require(
            isPipe ? pipe(&ends) == 0 : socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let reader = OwnedDescriptor(owning: ends[0])
        let writer = OwnedDescriptor(owning: ends[1])
        // Only for the filling: a write to what the daemon inherits waits for room.
        let flags = fcntl(writer.rawValue, F_GETFL)
        _ = fcntl(writer.rawValue, F_SETFL, flags | O_NONBLOCK)
        var filling = [UInt8](repeating: UInt8(ascii: "x"), count: 4_096)
        while write(writer.rawValue, filling, filling.count) > 0 {}
        while write(writer.rawValue, filling, 1) > 0 {}
        _ = fcntl(writer.rawValue, F_SETFL, flags)

        let daemon = try DaemonProcess(
            arguments: ["--max-session-grants", "1"], in: directory, standardError: writer.rawValue)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE b")?.hasPrefix("ERROR limit-grants") == true)
        #expect(try statistic("total-lost-entries", of: daemon) ?? 0 > 0)
        #expect(fcntl(writer.rawValue, F_GETFL) & O_NONBLOCK == 0, "the pipe is others' too")

        var said = ""
        while !said.contains(" lost: the log had no room (LOST=") {
            let count = read(reader.rawValue, &filling, filling.count)
            try #require(count > 0)
            said += String(decoding: filling[..<count], as: UTF8.self).filter { $0 != "x" }
        }
        #expect(try daemon.stop() == 0)
    }
}
