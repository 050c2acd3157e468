import Glibc
import LockVocabulary
import Posix
import TestSupport
import Testing

@testable import LockDaemon

/// Tokens over every kind of end (G7), and the grace time after an unclean one (G1).
@Suite struct TokenTests {
    private func token(_ reply: String?) throws -> UInt64 {
        let reply = try #require(reply)
        let field = try #require(reply.split(separator: " ").first { $0.hasPrefix("token=") })
        return try #require(UInt64(field.dropFirst("token=".count)))
    }

    @Test("after an orderly end the tokens go on where they were (G7)")
    func orderlyRestart() throws {
        let daemon = try DaemonProcess()
        for round in 1...5 {
            let session = try daemon.connect()
            #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=\(round)")
            #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=\(round)")
            #expect(try daemon.stop() == 0)
            try daemon.restart()
        }
    }

    @Test("after a kill the tokens go on above all that was given out (G7)")
    func killedRestart() throws {
        let daemon = try DaemonProcess(environment: ["PRWLOCK_TEST_TOKEN_BLOCK": "8"])
        var last: UInt64 = 0
        for _ in 0..<10 {
            let session = try daemon.connect()
            for _ in 0..<20 {
                var reply = try session.ask("WRITE jobs")
                // The disk may be too slow for such small blocks.
                while reply?.hasPrefix("ERROR no-token") == true { reply = try session.ask("WRITE jobs") }
                let token = try token(reply)
                #expect(token > last)
                last = token
                #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)
            }
            daemon.kill()
            try daemon.restart()
        }
    }

    @Test("after a kill nothing is granted for the grace time, and then who waits is served (G1)")
    func grace() throws {
        let daemon = try DaemonProcess()
        daemon.kill()
        try daemon.restart("--grace", "5s")
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs wait=0") == "BUSY jobs write held-by=?")
        #expect(try session.ask("WRITE jobs")?.hasPrefix("GRANTED jobs write") == true)
    }

    @Test("after an orderly end there is no grace time (G1)")
    func noGrace() throws {
        let daemon = try DaemonProcess("--grace", "1h")
        #expect(try daemon.stop() == 0)
        try daemon.restart()
        #expect(try daemon.connect().ask("WRITE jobs wait=0") == "GRANTED jobs write token=1")
    }

    @Test(
        "when the disk takes nothing more, requests are refused once the reserve is used up, and releases go on (G7)"
    )
    func fullDisk() throws {
        let daemon = try DaemonProcess(environment: ["PRWLOCK_TEST_TOKEN_BLOCK": "8"])
        let session = try daemon.connect()
        #expect(try session.ask("WRITE held") == "GRANTED held write token=1")
        // The daemon cannot write the second page of the file any more.
        daemon.limitFileSize(to: 4_096)
        var refused = false
        for _ in 0..<100 where !refused {
            refused = try session.ask("READ jobs")?.hasPrefix("ERROR no-token") == true
        }
        #expect(refused)
        try daemon.waitForLog("no more tokens until the disk takes it")
        #expect(try session.ask("RELEASE held") == "RELEASED held token=1")
        #expect(try session.ask("WRITE held")?.hasPrefix("ERROR no-token") == true)
        daemon.limitFileSize(to: nil)
        try daemon.waitForLog("tokens can be reserved again")
        #expect(try token(session.ask("WRITE held")) > 16)
        #expect(daemon.log.split(separator: "\n").count { $0.contains("no more tokens") } == 1)
    }

    @Test("a state directory that cannot be used is a clear error, never a token that falls (G7)")
    func unusableState() throws {
        let daemon = try DaemonProcess("--state-directory", "/dev/null/state", waits: false)
        #expect(try daemon.exitStatus() == 73)
        #expect(daemon.log.contains("the state directory /dev/null/state cannot be used"))
        #expect(throws: SystemError.self) { try FileStatus(at: daemon.socketPath) }
    }

    @Test("a damaged token file is a clear error (G7)")
    func damagedState() throws {
        let daemon = try DaemonProcess()
        daemon.kill()
        let file = OwnedDescriptor(owning: open(daemon.directory("state/tokens"), O_WRONLY | O_TRUNC))
        try FileContents.write(Array("prwlock tokens: write 9, up to 12, done, check 0\n".utf8), to: file)
        try daemon.restart(waits: false)
        #expect(try daemon.exitStatus() == 73)
        #expect(daemon.log.contains("tokens is damaged"))
    }

    @Test("an auto-started daemon that can write nowhere takes its tokens from the clock, and says so (G7)")
    func clockTokens() throws {
        let directory = try TemporaryDirectory()
        let listener = try UnixSocket.listen(at: directory("s"), mode: 0o600)
        let log = OwnedDescriptor(owning: open(directory("log"), O_WRONLY | O_CREAT, 0o600))
        let process = try ChildProcess(
            executable: DaemonProcess.executable,
            arguments: ["prwlockd", "--listen-fd", "3", "--exit-when-idle=50ms"],
            environment: ["HOME=/dev/null"],
            descriptors: [log.rawValue, log.rawValue, log.rawValue, listener.rawValue]
        ).spawn()
        let session = try RawSession(connectingTo: directory("s"))
        let before = WallClock.now()
        let token = try token(session.ask("WRITE jobs wait=10s"))
        #expect(token > before - 60_000_000 && token < before + 60_000_000)
        session.close()
        var status: Int32 = 0
        #expect(waitpid(process, &status, 0) == process && status == 0)
        #expect(
            try String(decoding: FileContents.read(directory("log")), as: UTF8.self).contains("wall clock"))
    }

    // MARK: - The file

    @Test("a page that was cut short is passed over, and the other still counts (G7)")
    func cutShort() throws {
        let directory = try TemporaryDirectory()
        let folder = try DirectoryDescriptor(directory.path)
        do {
            var file = try TokenFile(in: folder)
            try file.write(upTo: Token(rawValue: 100), isDone: false)
            try file.write(upTo: Token(rawValue: 200), isDone: true)
        }
        for byte in [0, 30, 60] {
            let place = off_t(4_096 + byte)
            let file = OwnedDescriptor(owning: open(directory("tokens"), O_RDWR))
            var original: UInt8 = 0
            #expect(pread(file.rawValue, &original, 1, place) == 1)
            #expect(pwrite(file.rawValue, [original ^ 1], 1, place) == 1)
            let damaged = try TokenFile(in: folder)
            let (newest, hasLostPage) = (damaged.newest, damaged.hasLostPage)
            #expect(newest?.upTo == Token(rawValue: 100))
            #expect(hasLostPage)
            #expect(pwrite(file.rawValue, [original], 1, place) == 1)
        }
        let whole = try TokenFile(in: folder)
        let newest = whole.newest
        #expect(newest == TokenFile.Record(write: 2, upTo: Token(rawValue: 200), isDone: true))
    }

    @Test("the last page counts as on the disk only for the process that has waited for it (G7)")
    func settled() throws {
        let directory = try TemporaryDirectory()
        let folder = try DirectoryDescriptor(directory.path)
        for upTo in 1...4 as ClosedRange<UInt64> {
            // The process before this one may have been killed within its last write.
            var file = try TokenFile(in: folder, isKnown: upTo > 1)
            #expect(file.newest?.upTo.rawValue == (upTo > 1 ? upTo - 1 : nil))
            #expect(file.settled?.upTo.rawValue == (upTo > 2 ? upTo - 2 : nil))
            try file.write(upTo: Token(rawValue: upTo), isDone: false)
            #expect(file.settled?.upTo.rawValue == upTo)
        }
    }
}
