import Glibc

/// Standard error for a process that must not wait for its reader.
///
/// `O_NONBLOCK` belongs to the open file, which other processes share: it is never set on descriptor 2. Instead, by what
/// descriptor 2 is:
///
/// 1. A pipe or a terminal is opened a second time, without waiting. Only this second opening is written to.
/// 2. A pipe or a terminal that may not be opened again (it belongs to another user) is written to while it says that it
///    has room. A pipe that has room takes a line of at most 4,096 bytes at once. If another process writes to the same
///    pipe in the same instant, the write may wait.
/// 3. A socket is sent to with `MSG_DONTWAIT`.
/// 4. A file has always room; a write to it waits for its disk at most.
struct StandardErrorOutput {
    private enum Way {
        case reopened(Int32)
        case polled
        case socket
        case file
    }

    /// What a pipe takes in one piece (`PIPE_BUF`): lines of several processes do not mix, and none is cut.
    static let longestLine = 4_096

    private let way: Way
    /// The end of a line of which the reader has taken the beginning.
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

    /// Writes a line, which is cut if it is too long. False if there is no room for it: then nothing of it is written.
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

    /// How many bytes were taken.
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
    /// The beginning that has so many bytes at the most and does not end within a character.
    func cut(to most: Int) -> ArraySlice<UInt8> {
        guard count > most else { return self[...] }
        var end = most
        while end > 0, self[end] & 0xC0 == 0x80 { end -= 1 }
        return self[..<end]
    }
}
