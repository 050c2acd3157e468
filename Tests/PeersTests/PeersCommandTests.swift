import Foundation
import TestSupport
import Testing

/// `prwlock-bench peers` as a process, with a folder of its own for temporary files.
private struct PeersRun {
    let process = Process()
    let output = Pipe()
    let errors = Pipe()
    let folder: TemporaryDirectory

    init(
        _ arguments: [String], of command: String? = "peers", in folder: TemporaryDirectory,
        environment: [String: String] = [:]
    ) throws {
        self.folder = folder
        let daemon = URL(filePath: DaemonProcess.executable)
        process.executableURL = daemon.deletingLastPathComponent().appending(path: "prwlock-bench")
        process.arguments = (command.map { [$0] } ?? []) + arguments
        process.environment = ["PATH": "/usr/bin:/bin", "TMPDIR": folder.path].merging(environment) { $1 }
        process.standardOutput = output
        process.standardError = errors
        try process.run()
    }

    /// Waits until all processes have ended that have the output open: also the one that removes the files.
    func printed() throws -> String {
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }

    func peers() throws -> [String: [String: Any]] {
        let object = try JSONSerialization.jsonObject(with: Data(try printed().utf8)) as? [String: Any]
        let results = try #require(object?["results"] as? [[String: Any]])
        let peers = try #require(results.first?["peers"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: peers.map { ($0["peer"] as? String ?? "", $0) })
    }

    /// What is left in the folder.
    func rest() throws -> [String] { try FileManager.default.subpathsOfDirectory(atPath: folder.path) }
}

@Suite("prwlock-bench peers")
struct PeersCommandTests {
    private let temporary: TemporaryDirectory
    private let folder: TemporaryDirectory

    init() throws {
        temporary = try TemporaryDirectory()
        folder = try TemporaryDirectory()
    }

    @Test("measures what needs nothing but this project in each scenario, and leaves no file")
    func ownLocks() throws {
        let locks = ["c-cached", "swift-cached", "c", "swift", "pthread", "flock", "ofd"]
        let image = folder("peers.svg")
        let run = try PeersRun(
            locks + ["--json", "--svg", image, "--seconds", "0.05", "--runs", "2"], in: temporary)
        let peers = try run.peers()
        #expect(Set(peers.keys) == Set(locks))
        for (name, peer) in peers {
            #expect(peer["status"] as? String == "measured", "\(name): \(peer["detail"] ?? "")")
            let cells = try #require(peer["cells"] as? [[String: Any]])
            #expect(cells.count == 4, "\(name)")
            for cell in cells {
                #expect((cell["runs"] as? [Any])?.count == 2, "\(name)")
                // Two writers may not have had a turn each in so short a time.
                if cell["scenario"] as? String == "two-writing-in-turns" { continue }
                #expect((cell["median"] as? Double ?? 0) > 0, "\(name)")
            }
        }
        #expect(run.process.terminationStatus == 0)
        let rest = try run.rest()
        #expect(rest == [])
        #expect(try Drawing(String(contentsOfFile: image, encoding: .utf8)).bars.count >= 3 * locks.count)
    }

    @Test("measures the package of an interpreter that it finds by PYTHONPATH")
    func python() throws {
        let module = """
            import fcntl, os
            class InterProcessReaderWriterLock:
                def __init__(self, path):
                    self.file = os.open(path, os.O_RDWR | os.O_CREAT)
                def acquire_read_lock(self):
                    fcntl.flock(self.file, fcntl.LOCK_SH)
                def acquire_write_lock(self):
                    fcntl.flock(self.file, fcntl.LOCK_EX)
                def release_read_lock(self):
                    fcntl.flock(self.file, fcntl.LOCK_UN)
                release_write_lock = release_read_lock
            """
        try module.write(toFile: folder("fasteners.py"), atomically: true, encoding: .utf8)
        let run = try PeersRun(
            ["fasteners", "original", "--json", "--seconds", "0.02", "--runs", "1"], in: temporary,
            environment: ["PYTHONPATH": folder.path])
        let peers = try run.peers()
        let fasteners = try #require(peers["fasteners"])
        #expect(fasteners["status"] as? String == "measured", "\(fasteners["detail"] ?? "")")
        #expect((fasteners["cells"] as? [[String: Any]])?.count == 4)
        #expect(peers["original"]?["status"] as? String == "not installed")
        #expect((peers["original"]?["detail"] as? String)?.contains("--original FOLDER") == true)
        #expect(run.process.terminationStatus == 0)
    }

    @Test("shows what is not installed, with the reason, and is content")
    func notInstalled() throws {
        let run = try PeersRun(
            ["filelock", "flock", "--python", folder("python"), "--seconds", "0.01", "--runs", "1"],
            in: temporary)
        let table = try run.printed()
        #expect(
            table.contains("filelock FileLock, Python: not installed: \(folder("python")): there is no such"))
        #expect(run.process.terminationStatus == 0)
    }

    @Test("measures the other locks if one fails, and has status 1")
    func failing() throws {
        try script("echo this is no Python >&2", at: "python")
        let run = try PeersRun(
            [
                "filelock", "flock", "--json", "--python", folder("python"), "--seconds", "0.01", "--runs",
                "1",
            ],
            in: temporary)
        let peers = try run.peers()
        #expect(peers["filelock"]?["detail"] as? String == "it has ended: this is no Python")
        #expect(peers["flock"]?["status"] as? String == "measured")
        #expect(run.process.terminationStatus == 1)
    }

    @Test("ends all of its processes and removes its files when it is killed")
    func killed() throws {
        let pipe = folder("pipe")
        try #require(mkfifo(pipe, 0o600) == 0)
        try script("exec 9>'\(pipe)'; echo started >&9; echo ready; exec cat", at: "python")
        let run = try PeersRun(
            ["filelock", "c", "--python", folder("python"), "--seconds", "600"], in: temporary)
        let participants = try #require(FileHandle(forReadingAtPath: pipe))
        #expect(participants.availableData.isEmpty == false)
        kill(run.process.processIdentifier, SIGKILL)
        #expect(try run.printed().isEmpty)
        // Its end is that of all who have it open.
        _ = try participants.readToEnd()
        let rest = try run.rest()
        #expect(rest == [])
        #expect(run.process.terminationReason == .uncaughtSignal)
    }

    @Test("names the locks that there are, if it is asked for another one")
    func unknown() throws {
        let run = try PeersRun(["flok"], in: temporary)
        _ = try run.printed()
        let said = try run.errors.fileHandleForReading.readToEnd() ?? Data()
        #expect(String(decoding: said, as: UTF8.self).contains("there are c-cached, swift-cached"))
        #expect(run.process.terminationStatus == 64)
    }

    @Test("every option of prwlock-bench and of peers is in the manual, and no other is")
    func manual() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        let manual = try String(
            contentsOf: root.appending(path: "Sources/manual/prwlock-bench.1"), encoding: .utf8)
        let help =
            try PeersRun(["--help"], in: temporary).printed()
            + PeersRun(["--help"], of: nil, in: temporary).printed()
        let options = Set(help.matches(of: /\n {2}(?:-h, )?--([a-z-]+)/).map { String($0.1) })
        let described = Set(manual.matches(of: /\.It .*?Fl -([a-z-]+)/).map { String($0.1) })
        #expect(options == described)
    }

    private func script(_ text: String, at name: String) throws {
        try "#!/bin/sh\n\(text)\n".write(toFile: folder(name), atomically: true, encoding: .utf8)
        try #require(chmod(folder(name), 0o755) == 0)
    }
}
