import Glibc

/// A line on standard error about the measurement in progress; only on a terminal.
struct Progress {
    private let isShown = isatty(STDERR_FILENO) == 1

    func say(_ text: String) {
        if isShown { writeError("\r\u{1B}[K\(text)") }
    }

    func clear() { say("") }
}
