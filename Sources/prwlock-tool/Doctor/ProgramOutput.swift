import CLinux
import Glibc
import Posix
import Rendezvous

/// A program that is run for its output.
enum ProgramOutput {
    /// The output of a program (both streams) and its exit status. Nil if it cannot be started, or is not done in time.
    ///
    /// - Parameter most: bytes of output; the rest is dropped.
    static func of(
        _ program: String, _ arguments: [String], environment: [String: String], by deadline: Deadline,
        most: Int = 1 << 16
    ) -> (output: [UInt8], status: Int32)? {
        guard let nothing = try? DirectoryDescriptor("/dev").open("null", flags: O_RDWR),
            let pipe = try? UnixSocket.pair(), let name = program.split(separator: "/").last,
            let process = try? ChildProcess(
                executable: program, arguments: [String(name)] + arguments,
                environment: environment.map { "\($0.key)=\($0.value)" },
                descriptors: [nothing.rawValue, pipe.second.rawValue, pipe.second.rawValue], directory: "/"
            ).spawn()
        else { return nil }
        return pipe.split { ours, theirs in
            // Only the program's copy is left, so that the output ends with the program.
            _ = consume theirs
            let output = read(ours, by: deadline, most: most)
            guard let status = ChildProcess.status(of: process, by: deadline) else { return nil }
            return (output, status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f)
        }
    }

    private static func read(
        _ socket: borrowing OwnedDescriptor, by deadline: Deadline, most: Int
    ) -> [UInt8] {
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            var request = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, deadline.milliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return output }
            let count = Glibc.read(socket.rawValue, &chunk, chunk.count)
            guard count > 0 else { return output }
            output += chunk[..<min(count, most - output.count)]
        }
    }

    /// The first executable file of this name in the folders of `PATH` that no other user could replace; nil if there is none.
    ///
    /// The environment may be another user's (`sudo -E`).
    static func find(_ name: String, in surroundings: Surroundings) -> String? {
        executables(name, in: surroundings).first(where: isTrusted)
    }

    /// What a shell would run under this name; nil if there is no such program.
    static func first(_ name: String, in surroundings: Surroundings) -> String? {
        executables(name, in: surroundings).first
    }

    private static func executables(_ name: String, in surroundings: Surroundings) -> [String] {
        let path = surroundings.variable("PATH") ?? "/usr/bin:/bin"
        // A relative folder names another one in each working directory.
        let folders = path.split(separator: ":").filter { $0.hasPrefix("/") }
        return folders.map { "\($0)/\(name)" }.filter { file in
            access(file, X_OK) == 0 && (try? FileStatus(following: file))?.isRegularFile == true
        }
    }

    /// Whether no user but root and this one could replace the program. The groups of folders are the administrator's choice.
    static func isTrusted(_ path: String) -> Bool {
        var trust = PathTrust.own()
        trust.groups = .any
        do throws(PathFault) {
            try trust.checkFile(path)
            return true
        } catch {
            return false
        }
    }
}
