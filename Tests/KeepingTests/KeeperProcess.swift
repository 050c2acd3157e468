import Foundation
import Glibc
import Posix
import TestSupport

/// A keeper as a real process, with a channel to its worker; `deinit` kills both.
final class KeeperProcess {
    let processID: Int32
    private let channel: OwnedDescriptor
    /// The worker that reported its start last.
    private(set) var worker: Int32 = 0
    private var hasEnded = false

    static let workerProgram = DaemonProcess.executable.replacing("prwlockd", with: "kept-worker")

    /// - Parameters:
    ///   - program: the path at which an upgrade finds the next version.
    ///   - inherited: descriptors of the keeper from 3 on, before the channel.
    ///   - errors: its standard error.
    init(
        _ arguments: String..., program: String = workerProgram, environment: [String] = [],
        inherited: [Int32] = [], errors: Int32 = STDERR_FILENO
    ) throws {
        let pair = try UnixSocket.pair(ofMessages: true)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        let process = ChildProcess(
            executable: Self.workerProgram, arguments: ["kept-worker"] + arguments,
            environment: environment + ["TEST_CHANNEL=\(3 + inherited.count)", "TEST_PROGRAM=\(program)"],
            descriptors: [null, null, errors] + inherited + [pair.second.rawValue])
        processID = try process.spawn()
        channel = try pair.first.duplicate()
    }

    deinit {
        if !hasEnded {
            Glibc.kill(processID, SIGKILL)
            waitpid(processID, nil, 0)
        }
        // A worker outlives its keeper, and ends at the end of the channel.
    }

    // MARK: - The worker

    /// Blocks until the worker says something; nil if nothing comes by then, or if its end is closed.
    func next(within milliseconds: Int32 = 30_000) -> String? {
        var request = pollfd(fd: channel.rawValue, events: Int16(POLLIN), revents: 0)
        while true {
            let ready = poll(&request, 1, milliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready == 1 else { return nil }
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = recv(channel.rawValue, &bytes, bytes.count, 0)
            guard count > 0 else { return nil }
            let text = String(decoding: bytes[..<count], as: UTF8.self)
            let words = text.split(separator: " ")
            if words.first == "start", words.count > 1 { worker = Int32(words[1]) ?? 0 }
            return text
        }
    }

    /// The words of the next report of a start, without the process id.
    func started() throws -> [String] {
        while let text = next() {
            let words = text.split(separator: " ").map(String.init)
            if words.first == "start" { return Array(words.dropFirst(2)) }
        }
        throw RawSession.TimedOut(description: "no worker started")
    }

    func tell(_ order: String) { send(channel.rawValue, order, order.utf8.count, Int32(MSG_NOSIGNAL)) }

    /// Gives the worker an order, and returns what it says.
    @discardableResult
    func ask(_ order: String) -> String? {
        tell(order)
        return next()
    }

    func killWorker() { Glibc.kill(worker, SIGKILL) }

    // MARK: - The keeper

    func signal(_ number: Int32) { Glibc.kill(processID, number) }

    /// Waits for its end; returns its exit status, or minus the signal that ended it.
    func exitStatus() throws -> Int32 {
        let watch = try ProcessWatch(process: processID)
        var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 30_000) == 1 else {
            throw RawSession.TimedOut(description: "the keeper does not end")
        }
        var status: Int32 = 0
        waitpid(processID, &status, 0)
        hasEnded = true
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    /// How often it has waited: each wait ends in a wake-up.
    func waits() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
        return line.flatMap { Int($0.split(separator: "\t")[1]) } ?? -1
    }

    /// Whether it waits in the kernel.
    func isWaiting() throws -> Bool {
        let status = try String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8)
        return status.contains("State:\tS")
    }
}
