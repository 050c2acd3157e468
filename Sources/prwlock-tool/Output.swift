import Glibc
import Posix

/// Writes tables and JSON to standard output. It does not buffer, so the reader of a pipe gets each line at once.
enum StandardOutput {
    /// Writes all of a text. Ends the program if that fails, for example on a full disk.
    ///
    /// A program that reads half a list would take it for the whole list, so the exit code must report the error.
    static func write(_ text: Shown) {
        if let error = tryWrite(text) { fail(error) }
    }

    static func fail(_ error: SystemError) -> Never {
        StandardError.report("the output cannot be written: \(String(cString: strerror(error.code)))")
        exit(Complaint.output)
    }

    /// Writes all of a text. Returns the error; nil on success.
    static func tryWrite(_ text: Shown) -> SystemError? {
        writeAll(text.text, to: STDOUT_FILENO) ? nil : .last("write")
    }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// The width of the terminal in columns; nil if standard output is not a terminal.
    static var columns: Int? { terminalColumns(STDOUT_FILENO) }
}

/// Writes errors, and the line of a process that waits, to standard error.
enum StandardError {
    static func report(_ line: String) { write("prwlock: \(line)\n") }

    static func write(_ text: Shown) { writeAll(text.text, to: STDERR_FILENO) }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Whether standard error is this process's terminal, and this process is in the foreground there.
    static var isForegroundTerminal: Bool { isTerminal && tcgetpgrp(STDERR_FILENO) == getpgrp() }

    static var columns: Int? { terminalColumns(STDERR_FILENO) }
}

/// Writes all of a text. Returns false, and sets `errno`, if a part cannot be written.
@discardableResult
func writeAll(_ text: String, to descriptor: Int32) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count >= 0 {
            rest = rest.dropFirst(count)
        } else if errno == EAGAIN {
            // The descriptor is non-blocking, because another process that shares it set that flag.
            var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&request, 1, -1)
        } else if errno != EINTR {
            return false
        }
    }
    return true
}

private func terminalColumns(_ descriptor: Int32) -> Int? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
}
