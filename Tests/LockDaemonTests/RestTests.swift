import Glibc
import Posix
import TestSupport
import Testing

/// All threads of a daemon without work sleep: none wakes now and then.
@Suite("A daemon at rest") struct RestTests {
    /// The run time of each thread of a process, and the number of its runs; nil if a thread is running or ready to run.
    private func work(of process: Int32) -> [String]? {
        guard let folder = opendir("/proc/\(process)/task") else { return nil }
        defer { closedir(folder) }
        var work: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix(".") { continue }
            let thread = "/proc/\(process)/task/\(name)"
            guard let status = try? FileContents.read(thread + "/stat"),
                let time = try? FileContents.read(thread + "/schedstat"),
                // After the program's name in parentheses comes the state: S for asleep.
                String(decoding: status, as: UTF8.self).contains(") S ")
            else { return nil }
            work.append(name + " " + String(decoding: time, as: UTF8.self))
        }
        return work.sorted()
    }

    /// Waits until no thread of the process runs for a moment. The test fails if that never happens.
    private func waitForRest(of process: Int32) throws {
        for _ in 0..<1_500 {
            let before = work(of: process)
            usleep(20_000)
            if let before, work(of: process) == before { return }
        }
        Issue.record("the daemon does not come to rest")
    }

    @Test("after tokens were reserved") func tokens() throws {
        let daemon = try DaemonProcess(environment: ["PRWLOCK_TEST_TOKEN_BLOCK": "4"])
        let session = try daemon.connect()
        for number in 0..<20 {
            // The daemon may refuse until the disk has the next block.
            while try session.ask("READ a\(number)")?.hasPrefix("GRANTED") == false {}
        }
        try waitForRest(of: daemon.processID)
    }

    @Test("while a session does not read what it is owed") func unread() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        for hundred in 0..<100 {
            let names = (0..<100).map { "a-rather-long-name/\(hundred * 100 + $0)" }
            try holder.send(bytes: names.flatMap { Array("READ \($0)\n".utf8) })
            for name in names { #expect(try holder.nextLine()?.hasPrefix("GRANTED \(name) ") == true) }
        }
        let reader = try daemon.connect()
        try reader.send("LIST")
        try waitForRest(of: daemon.processID)
        #expect(try reader.lines(through: "END ").last == "END 10000")
    }

    @Test("while a session sends more than it may a second") func throttled()
        throws
    {
        let directory = try TemporaryDirectory()
        let rules = OwnedDescriptor(owning: open(directory("rules"), O_WRONLY | O_CREAT, 0o600))
        try FileContents.write(Array("limit everyone requests=1\n".utf8), to: rules)
        let daemon = try DaemonProcess("--rules", directory("rules"), in: directory)
        let session = try daemon.connect()
        try session.send(bytes: Array(String(repeating: "PING\n", count: 50).utf8))
        try waitForRest(of: daemon.processID)
        #expect(try session.nextLine() == "PONG")
    }
}
