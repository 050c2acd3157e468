import Glibc
import Posix
import TestSupport

/// A running `prwlock`, or a shell that calls it. The test holds its standard streams.
final class ToolProcess {
    let processID: Int32
    private let input: OwnedDescriptor
    private let output: OwnedDescriptor
    private let errors: OwnedDescriptor
    private var pending: [UInt8] = []
    private var hasEnded = false

    /// The directory of the programs under test, which is also that of the tests.
    static let programs: String = {
        let daemon = DaemonProcess.executable
        return String(daemon[..<(daemon.lastIndex(of: "/") ?? daemon.startIndex)])
    }()

    /// Starts `prwlock` with a daemon's socket.
    ///
    /// - Parameter errors: receives standard error, in place of `complaints()`.
    convenience init(_ arguments: [String], at daemon: DaemonProcess, errors: Int32? = nil) throws {
        try self.init(
            Self.programs + "/prwlock", ["prwlock"] + arguments, socket: daemon.socketPath,
            errors: errors)
    }

    /// Starts a shell with `prwlock` on its path.
    convenience init(shell script: String, at daemon: DaemonProcess) throws {
        try self.init("/bin/sh", ["sh", "-c", script], socket: daemon.socketPath)
    }

    init(
        _ executable: String, _ arguments: [String], socket: String, environment: [String] = [],
        input ownInput: Int32? = nil, errors ownErrors: Int32? = nil
    ) throws {
        let inputPair = try UnixSocket.pair()
        let outputPair = try UnixSocket.pair()
        let errorPair = try UnixSocket.pair()
        processID = try ChildProcess(
            executable: executable, arguments: arguments,
            environment: [
                "PRWLOCK_SOCKET=\(socket)", "PATH=\(Self.programs):/usr/bin:/bin", "SHELL=/bin/sh",
                "TERM=xterm",
            ] + environment,
            descriptors: [
                ownInput ?? inputPair.second.rawValue, outputPair.second.rawValue,
                ownErrors ?? errorPair.second.rawValue,
            ]
        ).spawn()
        input = try inputPair.first.duplicate()
        output = try outputPair.first.duplicate()
        errors = try errorPair.first.duplicate()
    }

    deinit {
        guard !hasEnded else { return }
        kill(processID, SIGKILL)
        _ = try? status()
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Completes a `read` of the shell.
    func enter() { send(input.rawValue, "\n", 1, Int32(MSG_NOSIGNAL)) }

    /// The next line of standard output; nil when all processes that share it have closed it.
    func nextLine() throws -> String? {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                defer { pending.removeSubrange(...end) }
                return String(decoding: pending[..<end], as: UTF8.self)
            }
            let bytes = try Self.read(output.rawValue)
            if bytes.isEmpty { return nil }
            pending += bytes
        }
    }

    /// The rest of standard output.
    func rest() throws -> String { String(decoding: try restInBytes(), as: UTF8.self) }

    func restInBytes() throws -> [UInt8] {
        while case let bytes = try Self.read(output.rawValue), !bytes.isEmpty { pending += bytes }
        defer { pending = [] }
        return pending
    }

    /// The rest of standard error.
    func complaints() throws -> String {
        var said: [UInt8] = []
        while case let bytes = try Self.read(errors.rawValue), !bytes.isEmpty { said += bytes }
        return String(decoding: said, as: UTF8.self)
    }

    /// Whether standard error has unread output.
    var hasComplained: Bool {
        var request = pollfd(fd: errors.rawValue, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) == 1
    }

    var outputDescriptor: Int32 { output.rawValue }

    func signal(_ number: Int32) { kill(processID, number) }

    /// Waits for the end of the process. Returns its exit status, or minus the signal that ended it.
    func status() throws -> Int32 {
        let watch = try ProcessWatch(process: processID)
        var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 30_000) == 1 else {
            throw Failure(description: "process \(processID) does not end")
        }
        var status: Int32 = 0
        waitpid(processID, &status, 0)
        hasEnded = true
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    static func read(_ descriptor: Int32) throws -> [UInt8] {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 30_000) == 1 else {
            throw Failure(description: "nothing came in half a minute")
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }
}

extension DaemonProcess {
    /// The processes of this name that are connected to the daemon: monitors and holders.
    func processes(named name: String) throws -> [Int32] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [Int32] = []
        while let entry = readdir(folder) {
            let text = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let process = Int32(text),
                let comm = try? FileContents.read("/proc/\(process)/comm"),
                String(decoding: comm, as: UTF8.self) == name + "\n",
                let variables = try? FileContents.read("/proc/\(process)/environ"),
                String(decoding: variables, as: UTF8.self).contains(socketPath + "\0")
            else { continue }
            found.append(process)
        }
        return found
    }
}
