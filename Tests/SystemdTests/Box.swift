import Foundation
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

    /// What makes one; nil if there is nothing that does.
    static let command: String? = {
        if let named = ProcessInfo.processInfo.environment["PRWLOCK_SYSTEMD_BOX"], !named.isEmpty {
            return named
        }
        let beside = package.appending(path: "../shared/tools/systemd-box").standardized.path
        return FileManager.default.isExecutableFile(atPath: beside) && geteuid() == 0 ? beside : nil
    }()

    /// Something was not as it should be in the box; what was printed there.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs a test in a fresh box with everything installed, and throws what it says if it fails.
    ///
    /// `script` is bash, with the words of `box.sh`.
    static func run(_ script: String) async throws {
        let command = try #require(command)
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "prwlock-box-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        try stage(in: folder)
        let lines = ["source box.sh", "install_all", script].joined(separator: "\n")
        try Data(lines.utf8).write(to: folder.appending(path: "test.sh"))

        let output = folder.appending(path: "output")
        let status = try await status(
            of: command.split(separator: " ").map(String.init) + ["bash", "test.sh"], in: folder,
            output: output)
        guard status == 0 else {
            throw Failure(description: String(decoding: try Data(contentsOf: output), as: UTF8.self))
        }
    }

    /// Runs a command without keeping other tests from running meanwhile.
    private static func status(of command: [String], in folder: URL, output: URL) async throws -> Int32 {
        try Data().write(to: output)
        let file = try FileHandle(forWritingTo: output)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = file
        process.standardError = file
        return try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
    }

    /// Copies what is to be installed, for a box need not see where the package lies.
    private static func stage(in folder: URL) throws {
        let parts = [
            "prwlockd": URL(filePath: DaemonProcess.executable),
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
    .enabled("needs a machine with systemd: name what makes one in PRWLOCK_SYSTEMD_BOX") {
        Box.command != nil
    },
    .serialized)
enum BoxTests {}
