import Glibc
import Posix
import TestSupport
import Testing

/// A daemon with a log and a service manager that take nothing.
@Suite("A daemon does not wait for its log or its manager") struct FullLogTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func statistic(_ name: String, of daemon: DaemonProcess) throws -> Int? {
        let session = try daemon.connect()
        try session.send("STATS")
        let row = try session.lines(through: "END").first { $0.hasPrefix("* \(name) ") }
        return row?.split(separator: " ").last.flatMap { Int($0) }
    }

    @Test("a journal with a full queue: locks are served, what is lost is counted and told later")
    func journal() throws {
        let journal = try DatagramReceiver()
        try journal.fill()
        let daemon = try DaemonProcess(
            "--max-session-grants", "1", environment: ["PRWLOCK_TEST_JOURNAL": journal.path],
            in: directory)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE b")?.hasPrefix("ERROR limit-grants") == true)
        #expect(try session.ask("RELEASE a")?.hasPrefix("RELEASED") == true)
        #expect(try statistic("total-lost-entries", of: daemon) ?? 0 > 0)

        try journal.waitFor(" lost: the log had no room")
        #expect(try session.ask("WRITE b")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE c")?.hasPrefix("ERROR limit-grants") == true)
        try journal.waitFor("a limit was hit")
        #expect(try daemon.stop() == 0)
    }

    @Test(
        "a manager with a full queue: locks are served, and it hears that the daemon is ready when it reads")
    func manager() throws {
        let manager = try DatagramReceiver()
        try manager.fill()
        let daemon = try DaemonProcess(
            environment: ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000"], in: directory)
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a")?.hasPrefix("GRANTED") == true)
        daemon.signal(SIGHUP)
        #expect(try session.ask("RELEASE a")?.hasPrefix("RELEASED") == true)
        try manager.waitFor("READY=1")
        try manager.waitFor("WATCHDOG=1")
        try manager.fill()
        #expect(try daemon.stop() == 0)
    }

    @Test("standard error that is a full pipe, or a full socket: locks are served", arguments: [true, false])
    func standardError(isPipe: Bool) throws {
        var ends: [Int32] = [-1, -1]
        try #require(
            isPipe ? pipe(&ends) == 0 : socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let reader = OwnedDescriptor(owning: ends[0])
        let writer = OwnedDescriptor(owning: ends[1])
        // Non-blocking only for this: the daemon inherits a descriptor that waits for room.
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
