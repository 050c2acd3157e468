import Glibc

/// A line on standard error that says what is being measured; silent where no person looks on.
struct Progress {
    private let isShown = isatty(STDERR_FILENO) == 1

    func say(_ text: String) {
        if isShown { writeError("\r\u{1B}[K\(text)") }
    }

    func clear() { say("") }
}
