import Glibc

/// A program that this process becomes.
struct Program {
    private let words: [String]

    init(_ words: [String]) { self.words = words }

    /// A command line for the user's shell, as `flock(1)` and `su(1)` give it.
    static func shell(_ commandLine: String) -> [String] {
        let shell = getenv("SHELL").map { String(cString: $0) } ?? ""
        return [shell.isEmpty ? "/bin/sh" : shell, "-c", commandLine]
    }

    /// Becomes the program; returns only why it cannot, with the exit codes that shells use.
    func execute() -> Complaint {
        var arguments = words.map { strdup($0) } + [nil]
        execvp(words[0], &arguments)
        let (code, reason) = (errno, String(cString: strerror(errno)))
        return Complaint("\(words[0]): \(reason)", code: code == ENOENT ? 127 : 126)
    }
}
