import CLinux
import Foundation
import Glibc
import Posix
import TestSupport
import Testing

@Suite("USR2 makes the keeper the program that is now on disk")
struct UpgradeTests {
    @Test("the next version goes on in the same process, with all that is kept and the count of restarts")
    func upgrade() throws {
        let version = try NextVersion(": > $folder/started")
        let keeper = try KeeperProcess("script", program: version.path)
        _ = try keeper.started()
        keeper.ask("keep ledger facts")
        keeper.ask("ready")
        keeper.killWorker()
        _ = try keeper.started()
        keeper.ask("ready")
        keeper.signal(SIGUSR2)
        let words = try keeper.started()
        #expect(words.prefix(3) == ["restarts=2", "signal=9", "replaced"])
        #expect(words.last == "kept=ledger")
        #expect(version.exists("started"))
        #expect(keeper.ask("read ledger") == "facts")
        #expect(try keeper.parentOfWorker() == keeper.processID)
        // The new keeper starts workers as the former one did.
        keeper.ask("ready")
        keeper.killWorker()
        let next = try keeper.started()
        #expect(next.first == "restarts=3")
        #expect(!next.contains("replaced"))
    }

    @Test("sockets of units stay where the worker expects them, over any number of upgrades")
    func upgrades() throws {
        let files = ["web", "kept-pair.1", "kept-pair.0", "other"].map { name in
            let file = linux_memory_file("test")
            write(file, name, name.utf8.count)
            return file
        }
        defer { for file in files { close(file) } }
        let keeper = try KeeperProcess(
            "script",
            environment: [
                "LISTEN_PID=self", "LISTEN_FDS=4", "LISTEN_FDNAMES=web:kept-pair.1:kept-pair.0:other",
                "WATCHDOG_PID=self",
            ], inherited: files)
        for count in 0..<12 {
            let words = try keeper.started()
            #expect(count == 0 || words.first == "restarts=\(count)")
            #expect(
                words.suffix(5) == [
                    "kept=pair", "LISTEN_PID=own", "LISTEN_FDS=2", "LISTEN_FDNAMES=web:other",
                    "WATCHDOG_PID=own",
                ])
            #expect(keeper.ask("contents 3") == "web")
            #expect(keeper.ask("contents 4") == "other")
            #expect(keeper.ask("read pair") == "kept-pair.0 kept-pair.1")
            keeper.ask("ready")
            keeper.signal(SIGUSR2)
        }
        // Nothing is left open of the former keepers: 0 to 2, the signals, the channel's ends, the counts, the sockets.
        _ = try keeper.started()
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(keeper.processID)/fd")
        #expect(open.count <= 3 + 1 + 2 + 1 + 2 + 3)
    }

    @Test("before a worker has served, the upgrade waits")
    func early() throws {
        let keeper = try KeeperProcess("script")
        _ = try keeper.started()
        keeper.signal(SIGUSR2)
        // The signal that the worker gets comes after USR2.
        keeper.signal(SIGUSR1)
        #expect(keeper.next() == "signal \(SIGUSR1)")
        #expect(keeper.ask("pid") == "pid \(keeper.worker)")
        // The next worker may start before this one has said that it is done.
        keeper.tell("ready")
        #expect(try keeper.started().first == "restarts=1")
    }

    /// A keeper with something that is kept, and with USR2, and the pipe for its messages.
    private func upgrading(to version: NextVersion) throws -> (KeeperProcess, Pipe) {
        let output = Pipe()
        let keeper = try KeeperProcess(
            "script", program: version.path, errors: output.fileHandleForWriting.fileDescriptor)
        _ = try keeper.started()
        keeper.ask("keep ledger facts")
        keeper.ask("ready")
        keeper.signal(SIGUSR2)
        return (keeper, output)
    }

    @Test(
        "a program that is not there, or fails its check, costs nothing but a line that says so",
        arguments: [
            (nil, "cannot be executed"), ("exit 3", "failed its check with exit status 3"),
            ("kill -SEGV $$", "was ended in its check by signal 11"),
        ] as [(String?, String)])
    func bad(script: String?, reason: String) throws {
        let version = try NextVersion(check: script ?? "")
        if script == nil { unlink(version.path) }
        let (keeper, output) = try upgrading(to: version)
        #expect(output.line() == "prwlock-keeper: no upgrade: the program on disk \(reason)")
        #expect(keeper.ask("pid") == "pid \(keeper.worker)")
        keeper.killWorker()
        #expect(try keeper.started().first == "restarts=1")
        #expect(keeper.ask("read ledger") == "facts")
    }

    @Test(
        "a program of another user, or behind another user's link, is neither tried nor executed",
        .enabled(if: geteuid() == 0, "needs two users"), arguments: [false, true])
    func stranger(isLink: Bool) throws {
        let version = try NextVersion(": > $folder/started", check: ": > $folder/tried")
        if isLink {
            rename(version.path, version.path + "-of-root")
            symlink(version.path + "-of-root", version.path)
        }
        lchown(version.path, 65_534, 65_534)
        let (keeper, output) = try upgrading(to: version)
        #expect(output.line() == "prwlock-keeper: no upgrade: the program on disk belongs to another user")
        #expect(keeper.ask("pid") == "pid \(keeper.worker)")
        #expect(!version.exists("tried") && !version.exists("started"))
        // The owner changes after the check.
        try version.write(": > $folder/started", check: "chown 65534 $0")
        keeper.signal(SIGUSR2)
        #expect(try keeper.started().prefix(2) == ["restarts=1", "signal=9"])
        #expect(
            output.line() == "prwlock-keeper: no upgrade: the program on disk cannot be executed: error 1")
        #expect(!version.exists("started"))
    }

    @Test("if the program vanishes after its check, the present one goes on with what is kept")
    func vanishing() throws {
        let version = try NextVersion(check: "rm $0")
        let (keeper, output) = try upgrading(to: version)
        let words = try keeper.started()
        #expect(words.prefix(2) == ["restarts=1", "signal=9"])
        #expect(!words.contains("replaced"))
        #expect(
            output.line() == "prwlock-keeper: no upgrade: the program on disk cannot be executed: error 2")
        #expect(keeper.ask("read ledger") == "facts")
        // Signals and orders still arrive, and the next attempt succeeds.
        keeper.ask("ready")
        keeper.signal(SIGHUP)
        #expect(keeper.next() == "signal \(SIGHUP)")
        try version.write("")
        keeper.signal(SIGUSR2)
        #expect(try keeper.started().first == "restarts=2")
        #expect(keeper.ask("read ledger") == "facts")
    }

    @Test(
        "signals that come while the keeper changes its program are not lost", arguments: [SIGTERM, SIGHUP])
    func signals(signal: Int32) throws {
        let version = try NextVersion("kill -\(signal) $$")
        let keeper = try KeeperProcess("script", program: version.path)
        _ = try keeper.started()
        keeper.ask("ready")
        keeper.signal(SIGUSR2)
        _ = try keeper.started()
        #expect(keeper.next() == "signal \(signal)")
        keeper.tell("exit 0")
        #expect(try keeper.exitStatus() == 0)
    }

    @Test("a keeper that is told to end during the check does not change its program")
    func ending() throws {
        let version = try NextVersion(": > $folder/started", check: "kill -TERM $PPID")
        let keeper = try KeeperProcess("script", program: version.path)
        _ = try keeper.started()
        keeper.ask("ready")
        keeper.signal(SIGUSR2)
        // If the check ends before the signal is read, another worker of the same program is told to end.
        var said = keeper.next()
        if said?.hasPrefix("start") == true { said = keeper.next() }
        #expect(said == "signal \(SIGTERM)")
        keeper.tell("exit 0")
        #expect(try keeper.exitStatus() == 0)
        #expect(!version.exists("started"))
    }
}

/// A script in the place of the next version, which becomes the program of the tests.
private struct NextVersion {
    let path: String
    private let directory: TemporaryDirectory

    /// - Parameters:
    ///   - start: what it does before it becomes the program.
    ///   - check: what it does as a trial.
    init(_ start: String = "", check: String = "") throws {
        directory = try TemporaryDirectory()
        path = directory("program")
        try write(start, check: check)
    }

    func write(_ start: String, check: String = "") throws {
        let script = """
            #!/bin/sh
            folder=${0%/*}
            for last do :; done
            if [ "$last" = --check-config ]; then
            \(check.isEmpty ? ":" : check)
            exit
            fi
            \(start)
            exec \(KeeperProcess.workerProgram) "$@"

            """
        try script.write(toFile: directory("new"), atomically: true, encoding: .utf8)
        guard chmod(directory("new"), 0o700) == 0, rename(directory("new"), path) == 0 else {
            throw SystemError.last("rename", path)
        }
    }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: directory(name)) }
}

extension Pipe {
    /// Blocks until a line comes.
    fileprivate func line() -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(fileHandleForReading.fileDescriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") {
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension KeeperProcess {
    fileprivate func parentOfWorker() throws -> Int32 {
        let text = try String(contentsOfFile: "/proc/\(worker)/stat", encoding: .utf8)
        return text.split(separator: " ").dropFirst(3).first.flatMap { Int32($0) } ?? -1
    }
}
