import CLinux
import Glibc
import LockWire
package import Posix

/// The lines that arrive on a session's socket.
struct LineReceiver {
    private var reader = LineReader(limit: 1 << 20)
    /// The answer to `PING` came before, as each connection begins with it.
    private var received = ReceivedBytes(after: "PONG\n".utf8.count)
    private var chunk = [UInt8](repeating: 0, count: 16_384)
    /// Whether descriptors are expected. The kernel drops those that no one asks for.
    private var awaitsFiles: Bool
    /// The files for cached grants, for the shell to take.
    private var files: SlotFiles?

    /// - Parameter awaitsFiles: whether the session has asked for slots.
    init(awaitsFiles: Bool = false) { self.awaitsFiles = awaitsFiles }

    /// Hands over the files that have arrived.
    mutating func takeFiles() -> SlotFiles? {
        defer { files = nil }
        return files
    }

    private mutating func receiveBytes(from descriptor: Int32) -> Int {
        guard awaitsFiles else {
            return chunk.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
        }
        var arrived: (Int32, Int32) = (-1, -1)
        var number: Int32 = 0
        let count = chunk.withUnsafeMutableBytes { bytes in
            withUnsafeMutableBytes(of: &arrived) {
                linux_receive_bytes(
                    descriptor, bytes.baseAddress, bytes.count,
                    $0.baseAddress?.assumingMemoryBound(to: Int32.self), 2, &number)
            }
        }
        if number == 2 {
            files = SlotFiles(slots: arrived.0, serving: arrived.1)
            awaitsFiles = false
        } else if number == 1 {
            close(arrived.0)
        }
        return Int(count)
    }

    /// Receives what the socket has now, without waiting. Left out are lines of a newer protocol, and those
    /// that the daemon sends a second time.
    mutating func receive(from descriptor: Int32) throws(ConnectionEnded) -> [ServerLine] {
        let count = receiveBytes(from: descriptor)
        guard count > 0 else {
            if count < 0, errno == EINTR || errno == EAGAIN { return [] }
            throw ConnectionEnded(count == 0 ? nil : .last("recv"))
        }
        var lines: [ServerLine] = []
        chunk.withUnsafeBytes { bytes in
            _ = reader.read(UnsafeRawBufferPointer(rebasing: bytes[..<count])) { line in
                guard case .text(let text) = line else { return true }
                let parsed = ServerLine.parse(text)
                if case .notice(.resumed(let position))? = parsed {
                    received.goBack(to: position)
                } else if received.take(lineOf: text.count + 1), let parsed {
                    lines.append(parsed)
                }
                return true
            }
        }
        return lines
    }
}

extension [UInt8] {
    /// Sends the bytes as far as the socket takes them without waiting, and removes those.
    mutating func send(to descriptor: Int32) throws(ConnectionEnded) {
        var sent = 0
        defer { removeFirst(sent) }
        while sent < count {
            let taken = withUnsafeBytes { bytes in
                Glibc.send(
                    descriptor, bytes.baseAddress?.advanced(by: sent), count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if taken >= 0 {
                sent += taken
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                throw ConnectionEnded(.last("send"))
            }
        }
    }
}

/// The end of a session: the daemon has ended, or has closed the connection.
package struct ConnectionEnded: Error, CustomStringConvertible {
    /// The error of the system call; nil for an orderly end of input.
    package let cause: SystemError?

    package init(_ cause: SystemError?) { self.cause = cause }

    package var description: String {
        "the connection to the lock daemon has ended" + (cause.map { ": \($0)" } ?? "")
    }
}
