import Glibc

/// Standard error for a process that must not wait for its reader.
///
/// `O_NONBLOCK` belongs to the open file, which other processes share, so it is never set on descriptor 2. The kind of
/// file decides what happens instead:
///
/// 1. A pipe or a terminal is opened a second time, with `O_NONBLOCK`. All output goes to this second descriptor.
/// 2. A pipe or a terminal that may not be opened again (it belongs to another user) is polled before each write. A
///    pipe that has room takes a line of at most 4,096 bytes at once. If another process writes to the same pipe in the
///    same instant, the write may wait.
/// 3. For a socket, `send` has the flag `MSG_DONTWAIT`.
/// 4. A file always has room; a write to it waits only for its disk.
struct StandardErrorOutput {
    private enum Way {
        case reopened(Int32)
        case polled
        case socket
        case file
    }

    /// The most that a pipe takes in one piece (`PIPE_BUF`). Up to this length, lines of several processes do not mix.
    static let longestLine = 4_096

    private let way: Way
    /// The part of the last line that was not written yet.
    private var rest: [UInt8] = []

    init() {
        var status = stat()
        guard fstat(STDERR_FILENO, &status) == 0 else {
            way = .file
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFSOCK: way = .socket
        case S_IFIFO, S_IFCHR:
            let copy = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
            way = copy >= 0 ? .reopened(copy) : .polled
        default: way = .file
        }
    }

    /// Writes a line, cut to `longestLine`. Returns false, without writing any part of the line, if there is no room.
    mutating func write(_ line: String) -> Bool {
        guard writeRest() else { return false }
        var bytes = Array(line.utf8)
        if bytes.count >= Self.longestLine {
            bytes = Array(bytes.cut(to: Self.longestLine - 1))
        }
        bytes.append(UInt8(ascii: "\n"))
        let count = put(bytes)
        guard count > 0 else { return false }
        rest = Array(bytes.dropFirst(count))
        return true
    }

    private mutating func writeRest() -> Bool {
        guard !rest.isEmpty else { return true }
        rest.removeFirst(put(rest))
        return rest.isEmpty
    }

    /// Writes bytes; returns how many were taken.
    private func put(_ bytes: [UInt8]) -> Int {
        while true {
            let count =
                switch way {
                case .reopened(let copy): Glibc.write(copy, bytes, bytes.count)
                case .polled: Self.hasRoom() ? Glibc.write(STDERR_FILENO, bytes, bytes.count) : 0
                case .socket:
                    send(STDERR_FILENO, bytes, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
                case .file: Glibc.write(STDERR_FILENO, bytes, bytes.count)
                }
            if count >= 0 { return count }
            guard errno == EINTR else { return 0 }
        }
    }

    private static func hasRoom() -> Bool {
        var request = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        return poll(&request, 1, 0) == 1 && request.revents & Int16(POLLOUT) != 0
    }
}

extension Array<UInt8> {
    /// The longest prefix of at most `most` bytes that does not end within a character.
    func cut(to most: Int) -> ArraySlice<UInt8> {
        guard count > most else { return self[...] }
        var end = most
        while end > 0, self[end] & 0xC0 == 0x80 { end -= 1 }
        return self[..<end]
    }
}
