import CLinux
import Glibc
import LockVocabulary
import Posix

/// The messages from the process that becomes the command to its monitor, over a socket that preserves message
/// boundaries.
///
///   [ WAITING ] ── status ──▶ [ WAITING ] ── granted, with the connection ──▶ [ RUNNING ] ── the end (exec) ──▶
enum Handover {
    enum Message: ~Copyable {
        /// The process waits for the lock; the text is for the service manager.
        case waits(String)
        /// The process holds the lock and executes the command next. The monitor reads from the connection from now on.
        /// The grant counts until that moment if hosts share the lock.
        case granted(Token, until: Instant?, OwnedDescriptor)
        /// No more messages follow.
        case end
    }

    /// The two ends of a new channel. The caller closes them.
    static func channel() throws(Complaint) -> (Int32, Int32) {
        do throws(SystemError) {
            return try UnixSocket.pair(ofMessages: true).split { ($0.release(), $1.release()) }
        } catch {
            throw Complaint(error)
        }
    }

    private static let waiting = UInt8(ascii: "w")
    private static let holding = UInt8(ascii: "g")
    private static let longest = 4096

    /// Reports that the process waits. An error is ignored: the process notices elsewhere that its monitor is gone.
    static func reportWaiting(_ words: String, to channel: Int32) {
        let bytes = [waiting] + words.utf8.prefix(longest - 1)
        _ = linux_send_message(channel, bytes, bytes.count, -1)
    }

    /// Passes the connection to the monitor. If the monitor is gone, the command runs without it.
    static func passGrant(_ token: Token, until: Instant?, connection: Int32, to channel: Int32) {
        var bytes = [holding]
        withUnsafeBytes(of: token.rawValue) { bytes += $0 }
        withUnsafeBytes(of: until?.nanoseconds ?? 0) { bytes += $0 }
        _ = linux_send_message(channel, bytes, bytes.count, connection)
    }

    /// Reads the next message. Call this when the channel is readable.
    static func next(from channel: Int32) -> Message {
        var bytes = [UInt8](repeating: 0, count: longest)
        var descriptor: Int32 = -1
        var count: Int32
        repeat {
            count = linux_receive_message(channel, &bytes, bytes.count, &descriptor)
        } while count < 0 && errno == EINTR
        guard count > 0 else { return .end }
        if bytes[0] == holding, count == 1 + 2 * MemoryLayout<UInt64>.size, descriptor >= 0 {
            let token = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: UInt64.self) }
            let until = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 9, as: Int64.self) }
            return .granted(
                Token(rawValue: token), until: Instant(passedOn: until), OwnedDescriptor(owning: descriptor))
        }
        if descriptor >= 0 { close(descriptor) }
        return .waits(String(decoding: bytes[1..<Int(count)], as: UTF8.self))
    }
}

extension Instant {
    /// An instant that another process has passed on; nil if it had none and passed on zero.
    init?(passedOn nanoseconds: Int64) {
        if nanoseconds == 0 { return nil }
        self.init(nanoseconds: nanoseconds)
    }
}
