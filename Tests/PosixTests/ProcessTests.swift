import Glibc
import Posix
import Testing

@Suite struct ProcessTests {
    @Test("a child has exactly the given descriptors, session, directory and environment")
    func spawnedChild() throws {
        let output = try UnixSocket.pair()
        let inherited = dup(output.first.rawValue)
        defer { close(inherited) }
        let script = "echo $(ls /proc/self/fd | wc -l) $(cut -d' ' -f6 /proc/$$/stat) $$ $(pwd) $WORD"
        let child = ChildProcess(
            executable: "/bin/sh", arguments: ["sh", "-c", script],
            environment: ["WORD=hello", "PATH=/bin:/usr/bin"],
            descriptors: [0, output.second.rawValue, 2], directory: "/", startsSession: true)
        let process = try child.spawn()
        let line = readLine(output.first)
        try reap(process)
        // 0, 1, 2, and the descriptor with which `ls` reads the directory.
        #expect(line == "4 \(process) \(process) / hello")
    }

    @Test("descriptors with crossing numbers reach the child in the given order")
    func crossedDescriptors() throws {
        let first = try UnixSocket.pair()
        let second = try UnixSocket.pair()
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(null) }
        let child = ChildProcess(
            executable: "/bin/sh", arguments: ["sh", "-c", "echo one; echo two >&2"], environment: [],
            descriptors: [null, second.second.rawValue, first.second.rawValue])
        let process = try child.spawn()
        #expect(readLine(second.first) == "one")
        #expect(readLine(first.first) == "two")
        try reap(process)
    }

    @Test("a missing program is an error of the call")
    func missingProgram() {
        let child = ChildProcess(
            executable: "/nonexistent", arguments: ["x"], environment: [], descriptors: [])
        let error = #expect(throws: SystemError.self) { try child.spawn() }
        #expect(error?.code == ENOENT)
    }

    @Test("a process watch reports the end of its process (G6)")
    func processWatch() throws {
        let process = try sleeper()
        let watch = try ProcessWatch(process: process)
        var ended = watch.hasEnded
        #expect(!ended)
        kill(process, SIGKILL)
        try waitUntilReadable(watch.rawValue)
        ended = watch.hasEnded
        #expect(ended)
        try reap(process)
        ended = watch.hasEnded
        #expect(ended)
        #expect(throws: SystemError.self) { _ = try ProcessWatch(process: process) }
    }

    @Test("the watch of a peer watches the process that connected (G6)")
    func peerWatch() throws {
        let pair = try UnixSocket.pair()
        do {
            let watch = try ProcessWatch(peerOf: pair.first)
            let ended = watch.hasEnded
            #expect(!ended)
        } catch {
            // The kernel is older than Linux 6.5.
            #expect(error.code == ENOPROTOOPT)
        }
    }

    @Test("the start time of a process is known while it lives, and grows with later processes")
    func startTime() throws {
        let mine = try #require(ProcessStartTime(of: getpid()))
        let process = try sleeper()
        let its = try #require(ProcessStartTime(of: process))
        #expect(mine <= its)
        #expect(ProcessStartTime(of: process) == its)
        kill(process, SIGKILL)
        try reap(process)
        #expect(ProcessStartTime(of: process) == nil)
    }

    private func sleeper() throws -> Int32 {
        try ChildProcess(
            executable: "/bin/sleep", arguments: ["sleep", "1000"], environment: [], descriptors: [0, 1, 2]
        ).spawn()
    }

    private func waitUntilReadable(_ descriptor: Int32) throws {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&request, 1, 30_000) == 1)
    }

    private func reap(_ process: Int32) throws {
        var status: Int32 = 0
        try #require(waitpid(process, &status, 0) == process)
    }

    private func readLine(_ descriptor: borrowing OwnedDescriptor) -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor.rawValue, &byte, 1) == 1, byte != UInt8(ascii: "\n") { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("a child that has not ended by the deadline is killed, and one that has ended has a status")
    func deadline() throws {
        let nothing = OwnedDescriptor(owning: open("/dev/null", O_RDWR | O_CLOEXEC))
        func start(_ script: String) throws -> Int32 {
            try ChildProcess(
                executable: "/bin/sh", arguments: ["sh", "-c", script], environment: [],
                descriptors: [nothing.rawValue, nothing.rawValue, nothing.rawValue]
            ).spawn()
        }
        #expect(try ChildProcess.status(of: start("exit 7"), by: .never) == 7 << 8)
        let child = try start("exec sleep 1000")
        #expect(ChildProcess.status(of: child, by: Deadline(after: .milliseconds(10))) == nil)
        #expect(kill(child, 0) == -1)
    }
}
