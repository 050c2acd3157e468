import Glibc

/// Where tables and JSON go. Nothing is kept back: whoever reads a pipe sees each line when it is written.
enum StandardOutput {
    static func write(_ text: String) { writeAll(text, to: STDOUT_FILENO) }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// How many columns a line may have; nil where nobody looks at them.
    static var columns: Int? { terminalColumns(STDOUT_FILENO) }
}

/// Where is said what went wrong, and for whom one waits.
enum StandardError {
    static func say(_ line: String) { write("prwlock: \(line)\n") }

    static func write(_ text: String) { writeAll(text, to: STDERR_FILENO) }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    static var columns: Int? { terminalColumns(STDERR_FILENO) }
}

/// Writes all of a text; what cannot be written is lost, since there is nobody to tell.
func writeAll(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count >= 0 {
            rest = rest.dropFirst(count)
        } else if errno != EINTR {
            return
        }
    }
}

private func terminalColumns(_ descriptor: Int32) -> Int? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
}
