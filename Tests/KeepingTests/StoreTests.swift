import CLinux
import Glibc
import Posix
import TestSupport
import Testing

@Suite("The service manager stores what the keeper has")
struct StoreTests {
    @Test("each descriptor is stored under its name, and removed before another one takes its place")
    func store() throws {
        let manager = try Manager()
        let keeper = try KeeperProcess("script", environment: ["NOTIFY_SOCKET=\(manager.path)"])
        _ = try keeper.started()
        #expect(try manager.next().text == "FDSTORE=1\nFDNAME=kept-test.0")
        keeper.ask("keep ledger first")
        let first = try manager.next()
        #expect(first == Manager.Message(text: "FDSTORE=1\nFDNAME=kept-ledger.0", contents: "first"))
        keeper.ask("keep ledger second")
        #expect(try manager.next().text == "FDSTOREREMOVE=1\nFDNAME=kept-ledger.0")
        let second = try manager.next()
        #expect(second == Manager.Message(text: "FDSTORE=1\nFDNAME=kept-ledger.0", contents: "second"))
        keeper.ask("drop ledger")
        #expect(try manager.next().text == "FDSTOREREMOVE=1\nFDNAME=kept-ledger.0")
    }

    @Test(
        "what the manager brings back goes to the worker under its name, and sockets of units by LISTEN_FDS")
    func bringBack() throws {
        let names = ["web", "kept-ledger.0", "kept-pair.1", "kept-half.1", "kept-pair.0", "other"]
        let files = names.map { Self.file($0) }
        defer { for file in files { close(file) } }
        let keeper = try KeeperProcess(
            "script",
            environment: [
                "LISTEN_PID=self", "LISTEN_FDS=\(names.count)", "WATCHDOG_PID=self",
                "LISTEN_FDNAMES=\(names.joined(separator: ":"))",
            ], inherited: files)
        #expect(
            try keeper.started() == [
                // Half a pair is of no use.
                "kept=ledger", "kept=pair", "LISTEN_PID=own", "LISTEN_FDS=2", "LISTEN_FDNAMES=web:other",
                "WATCHDOG_PID=own",
            ])
        #expect(keeper.ask("read ledger") == "kept-ledger.0")
        #expect(keeper.ask("read pair") == "kept-pair.0 kept-pair.1")
        #expect(keeper.ask("contents 3") == "web")
        #expect(keeper.ask("contents 4") == "other")
        keeper.ask("ready")
        // The second worker gets the same, under its own process id.
        keeper.killWorker()
        #expect(try keeper.started().suffix(4).first == "LISTEN_PID=own")
        #expect(keeper.ask("contents 4") == "other")
    }

    @Test("descriptors for another process are left alone")
    func anotherProcess() throws {
        let keeper = try KeeperProcess(
            "script", environment: ["LISTEN_PID=1", "LISTEN_FDS=3", "WATCHDOG_PID=1"])
        #expect(try keeper.started() == ["WATCHDOG_PID=1"])
    }

    @Test("a manager that is not there costs nothing")
    func noManager() throws {
        let keeper = try KeeperProcess("script", environment: ["NOTIFY_SOCKET=/nowhere/notify"])
        _ = try keeper.started()
        #expect(keeper.ask("keep ledger x") == "done")
    }

    private static func file(_ contents: String) -> Int32 {
        let file = linux_memory_file("test")
        write(file, contents, contents.utf8.count)
        return file
    }
}

/// A socket in the place of the service manager.
private struct Manager {
    struct Message: Equatable {
        let text: String
        /// Of the file that came with it.
        let contents: String?
    }

    let path: String
    private let directory: TemporaryDirectory
    private let socket: Int32

    init() throws {
        directory = try TemporaryDirectory()
        path = directory("notify")
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let socket = socket
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw SystemError.last("bind", path) }
    }

    func next() throws -> Message {
        var request = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 30_000) == 1 else {
            throw RawSession.TimedOut(description: "no message to the manager came")
        }
        var bytes = [UInt8](repeating: 0, count: 512)
        var files = [Int32](repeating: -1, count: Int(LINUX_MOST_DESCRIPTORS))
        var count: Int32 = 0
        let length = linux_receive_descriptors(socket, &bytes, bytes.count, &files, &count, 0)
        let text = String(decoding: bytes[..<Int(max(0, length))], as: UTF8.self)
        guard count == 1 else { return Message(text: text, contents: nil) }
        defer { close(files[0]) }
        let size = pread(files[0], &bytes, bytes.count, 0)
        return Message(text: text, contents: String(decoding: bytes[..<max(0, size)], as: UTF8.self))
    }
}
