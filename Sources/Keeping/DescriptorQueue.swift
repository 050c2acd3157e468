internal import CLinux
internal import Glibc
internal import Posix

/// A socketpair that keeps descriptors open in flight: each message carries some, and no process receives it.
///
/// It lasts as long as a process has both ends. No call waits.
struct DescriptorQueue: ~Copyable {
    /// The most descriptors of one message.
    static let messageSize = LINUX_MOST_DESCRIPTORS

    private let entry: OwnedDescriptor
    private let exit: OwnedDescriptor

    /// Takes over a new pair.
    init(_ pair: consuming UnixSocket.Pair) {
        self = pair.split { DescriptorQueue(entry: $0, exit: $1) }
        // The kernel counts about 800 bytes for each message, and cuts this to `net.core.wmem_max`.
        var room: Int32 = 4 << 20
        setsockopt(entry.rawValue, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
    }

    init(entry: consuming OwnedDescriptor, exit: consuming OwnedDescriptor) {
        self.entry = entry
        self.exit = exit
    }

    /// The numbers of both ends.
    var descriptors: [Int32] { [entry.rawValue, exit.rawValue] }

    /// Adds a message, or returns the reason against it. `EAGAIN`: the queue is full; `ETOOMANYREFS`: the user has as many
    /// descriptors in flight as this process may open.
    func add(_ descriptors: UnsafeBufferPointer<Int32>) -> SystemError? {
        // Every message has one byte, so that a peek, which counts bytes, counts messages.
        var byte = UInt8(ascii: "d")
        while true {
            let count = Int32(descriptors.count)
            if linux_send_descriptors(entry.rawValue, &byte, 1, descriptors.baseAddress, count) >= 0 {
                return nil
            }
            if errno != EINTR { return .last("sendmsg", "parcel") }
        }
    }

    /// Removes the oldest messages. The kernel closes what is open nowhere else.
    func removeFirst(_ count: Int) {
        var left = Int32(count)
        while left > 0 {
            let removed = linux_drop_messages(exit.rawValue, left)
            if removed > 0 { left -= removed } else if errno != EINTR { return }
        }
    }

    /// Passes duplicates of the descriptors of each message to the body, oldest first. Nothing leaves the queue.
    func peekAll(_ body: (ArraySlice<Int32>) -> Void) throws(SystemError) {
        guard linux_peek_from_first(exit.rawValue) == 0 else { throw .last("SO_PEEK_OFF") }
        var numbers = [Int32](repeating: -1, count: Self.messageSize)
        while true {
            var (byte, count): (UInt8, Int32) = (0, 0)
            if linux_receive_descriptors(exit.rawValue, &byte, 1, &numbers, &count, 1) >= 0 {
                body(numbers[..<Int(count)])
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                throw .last("recvmsg", "parcel")
            }
        }
    }
}

extension DescriptorQueue {
    /// Adds a message with one descriptor.
    func add(one descriptor: Int32) -> SystemError? {
        withUnsafePointer(to: descriptor) { add(UnsafeBufferPointer(start: $0, count: 1)) }
    }
}
