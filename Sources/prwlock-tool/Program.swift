import Glibc

/// A program for this process to execute.
struct Program {
    private let words: [ByteString]

    init(_ words: [ByteString]) { self.words = words }

    /// The words that run a command line in the user's shell, as `flock(1)` and `su(1)` do.
    static func shell(_ commandLine: ByteString) -> [ByteString] {
        var shell = ByteString("/bin/sh".utf8)
        if let chosen = getenv("SHELL"), chosen.pointee != 0 {
            shell = ByteString(UnsafeRawBufferPointer(start: chosen, count: strlen(chosen)))
        }
        return [shell, ByteString("-c".utf8), commandLine]
    }

    /// Executes the program. Returns only on failure, with the reason.
    func execute() -> Complaint {
        var arguments = words.map { word in
            (word.bytes + [0]).withUnsafeBytes { bytes in
                bytes.bindMemory(to: CChar.self).baseAddress.flatMap { strdup($0) }
            }
        }
        arguments.append(nil)
        if let path = arguments.first, let path { execvp(path, &arguments) }
        return failure(errno)
    }

    /// The complaint that the program cannot be executed, with the exit codes that shells use.
    func failure(_ code: Int32) -> Complaint {
        let program = words.first?.shown ?? ""
        return Complaint("\(program): \(String(cString: strerror(code)))", code: code == ENOENT ? 127 : 126)
    }
}
