import Glibc
import Posix

/// Where tables and JSON go. Nothing is kept back: whoever reads a pipe sees each line when it is written.
enum StandardOutput {
    /// Writes all of a text; ends the program where that cannot be done, such as on a full disk.
    ///
    /// A program that reads half a list takes it for the whole: the exit code must say otherwise.
    static func write(_ text: String) {
        if let error = tryWrite(text) { fail(error) }
    }

    static func fail(_ error: SystemError) -> Never {
        StandardError.say("the output cannot be written: \(String(cString: strerror(error.code)))")
        exit(Complaint.output)
    }

    /// Writes all of a text; returns why it cannot be written.
    static func tryWrite(_ text: String) -> SystemError? {
        writeAll(text, to: STDOUT_FILENO) ? nil : .last("write")
    }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// How many columns a line may have; nil where nobody looks at them.
    static var columns: Int? { terminalColumns(STDOUT_FILENO) }
}

/// Where is said what went wrong, and for whom one waits.
enum StandardError {
    static func say(_ line: String) { write("prwlock: \(line)\n") }

    static func write(_ text: String) { writeAll(text, to: STDERR_FILENO) }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Whether it is this process's terminal, and this process is in the foreground there.
    static var isForegroundTerminal: Bool { isTerminal && tcgetpgrp(STDERR_FILENO) == getpgrp() }

    static var columns: Int? { terminalColumns(STDERR_FILENO) }
}

/// Writes all of a text; false, with `errno`, if a part of it cannot be written.
@discardableResult
func writeAll(_ text: String, to descriptor: Int32) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count >= 0 {
            rest = rest.dropFirst(count)
        } else if errno == EAGAIN {
            // Another process made the pipe or terminal non-blocking.
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
