import Foundation
import Glibc
import TestSupport
import Testing

/// A machine that runs systemd, for one test, which may do anything with it.
///
/// `PRWLOCK_SYSTEMD_BOX` names the command that makes a box; otherwise the command is in a folder beside the package's. It
/// runs its arguments as root under systemd, and shares the current directory with the box. On a disposable machine that
/// runs systemd itself, the command is `env`.
struct Box {
    private static let package = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The command that makes a box; nil if there is none, or if the box lacks a program that the tests need.
    ///
    /// The tests fail if the variable names a command that does not work.
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

    /// A check in the box failed; this is the output.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs a test in a fresh box with everything installed, and throws its output if it fails.
    ///
    /// `script` is bash, with the functions of `box.sh`. After the shutdown of the box, `afterwards` may check the files in the
    /// test's directory. The shutdown waits `stopTimeout` seconds for a slow job.
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
        // Other tests may run at the same time.
        try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { _ in continuation.resume() }
            do { try unblockingSignals { try process.run() } } catch { continuation.resume(throwing: error) }
        }
        guard process.terminationStatus == 0 else {
            throw Failure(description: String(decoding: try Data(contentsOf: output), as: UTF8.self))
        }
        try afterwards(folder)
    }

    /// Whether a test may shut the box down: not if it is the machine that runs the tests.
    static var goesDown: Bool { command.map { $0 != ["env"] } ?? false }

    /// Starts a program with no signal blocked. A process inherits the signal mask of the thread that starts it, and the
    /// threads of the tests block most signals. A script could not end its jobs then.
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

    /// Copies the files to install, because a box may not see the package's folder.
    private static func stage(in folder: URL) throws {
        let parts = [
            "prwlockd": URL(filePath: DaemonProcess.executable),
            "prwlock": URL(filePath: DaemonProcess.executable).deletingLastPathComponent().appending(
                path: "prwlock"),
            "systemd": package.appending(path: "systemd"),
            "manual": package.appending(path: "Sources/manual"),
            "box.sh": package.appending(path: "Tests/SystemdTests/box.sh"),
            "sessions.pl": package.appending(path: "Tests/SystemdTests/sessions.pl"),
        ]
        for (name, source) in parts {
            try FileManager.default.copyItem(at: source, to: folder.appending(path: name))
        }
    }
}

/// The tests that need a machine with systemd, one at a time: each has the machine for itself.
@Suite(
    "Under a real systemd",
    .enabled("needs a machine with systemd, nc and man: name what makes one in PRWLOCK_SYSTEMD_BOX") {
        Box.command != nil
    },
    .serialized)
enum BoxTests {}
