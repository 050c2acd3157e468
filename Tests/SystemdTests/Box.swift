import Foundation
import Glibc
import TestSupport
import Testing

/// A machine that runs systemd, for one test, which does with it what it likes.
///
/// The command that makes one is named by `PRWLOCK_SYSTEMD_BOX`, or lies in a folder beside the package's.
/// It runs what it is given, as root, under a systemd, and shares the current directory with it. On a
/// machine that is to be thrown away and runs systemd itself, that command is `env`.
struct Box {
    private static let package = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent()

    /// What makes one; nil if nothing does, or if what the tests use is missing in it.
    ///
    /// One that is named is taken at its word: it must do, or the tests fail.
    static let command: [String]? = {
        if let named = ProcessInfo.processInfo.environment["PRWLOCK_SYSTEMD_BOX"], !named.isEmpty {
            return named.split(separator: " ").map(String.init)
        }
        let beside = [package.appending(path: "../shared/tools/systemd-box").standardized.path]
        let needed = "type systemctl systemd-analyze nc man useradd runuser ps perl"
        let trial = process(beside + ["bash", "-c", needed], in: package, output: .nullDevice)
        guard (try? trial.run()) != nil else { return nil }
        trial.waitUntilExit()
        return trial.terminationStatus == 0 ? beside : nil
    }()

    /// Something was not as it should be in the box; what was printed there.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs a test in a fresh box with everything installed, and throws what it says if it fails.
    ///
    /// `script` is bash, with the words of `box.sh`. When the machine has gone down, `afterwards` may look at what the
    /// test left in its directory; so that it waits for a slow job, the machine has `stopTimeout` seconds to go down.
    static func run(
        _ script: String, stopTimeout: Int? = nil, afterwards: (URL) throws -> Void = { _ in }
    ) async throws {
        let command = try #require(command)
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "prwlock-box-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        try stage(in: folder)
        let lines = ["source box.sh", "install_all", script].joined(separator: "\n")
        try Data(lines.utf8).write(to: folder.appending(path: "test.sh"))

        let output = folder.appending(path: "output")
        try Data().write(to: output)
        let process = process(
            command + (stopTimeout.map { ["--stop-timeout=\($0)"] } ?? []) + ["bash", "test.sh"], in: folder,
            output: try FileHandle(forWritingTo: output))
        // Other tests may run meanwhile.
        try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { _ in continuation.resume() }
            do { try unblockingSignals { try process.run() } } catch { continuation.resume(throwing: error) }
        }
        guard process.terminationStatus == 0 else {
            throw Failure(description: String(decoding: try Data(contentsOf: output), as: UTF8.self))
        }
        try afterwards(folder)
    }

    /// Whether a test may have it go down: not where it is the machine of the tests.
    static var goesDown: Bool { command.map { $0 != ["env"] } ?? false }

    /// Starts something with no signal blocked: a process inherits what the thread blocks that starts it, and the tests'
    /// threads block most. A script could not end its jobs then.
    private static func unblockingSignals(_ body: () throws -> Void) rethrows {
        var (none, before) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    private static func process(_ command: [String], in folder: URL, output: FileHandle) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        return process
    }

    /// Copies what is to be installed, for a box need not see where the package lies.
    private static func stage(in folder: URL) throws {
        let parts = [
            "prwlockd": URL(filePath: DaemonProcess.executable),
            "prwlock": URL(filePath: DaemonProcess.executable).deletingLastPathComponent().appending(
                path: "prwlock"),
            "systemd": package.appending(path: "systemd"),
            "manual": package.appending(path: "Sources/manual"),
            "box.sh": package.appending(path: "Tests/SystemdTests/box.sh"),
        ]
        for (name, source) in parts {
            try FileManager.default.copyItem(at: source, to: folder.appending(path: name))
        }
    }
}

/// What needs a machine with systemd, one test at a time: each has it for itself.
@Suite(
    "Under a real systemd",
    .enabled("needs a machine with systemd, nc and man: name what makes one in PRWLOCK_SYSTEMD_BOX") {
        Box.command != nil
    },
    .serialized)
enum BoxTests {}
