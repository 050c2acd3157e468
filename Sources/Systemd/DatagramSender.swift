import Glibc

/// A socket that sends datagrams to one address and never waits.
///
/// The kernel looks the address up for every datagram, so the sender also reaches a receiver that has bound its socket
/// again. The sender opens its descriptor once, at the start, so a full table of descriptors silences neither the
/// journal nor the watchdog.
final class DatagramSender {
    private var address = sockaddr_un()
    private let addressLength: socklen_t
    private var descriptor: Int32 = -1

    /// Returns nil if no socket can have this path. A path that begins with `@` names an abstract socket.
    init?(path: String) {
        var bytes = Array(path.utf8)
        guard let first = bytes.first, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            return nil
        }
        let isAbstract = first == UInt8(ascii: "@")
        guard isAbstract || first == UInt8(ascii: "/") else { return nil }
        // A path ends with a zero byte. An abstract name does not: its length is part of the address.
        if isAbstract { bytes[0] = 0 } else { bytes.append(0) }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let prefix = MemoryLayout.size(ofValue: address) - MemoryLayout.size(ofValue: address.sun_path)
        addressLength = socklen_t(prefix + bytes.count)
        open()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private func open() {
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_UNIX, kind, 0)
    }

    /// Sends a datagram; returns whether the receiver's queue took it. It does not wait if the queue is full or the
    /// receiver is gone.
    func send(_ datagram: [UInt8]) -> Bool {
        if descriptor < 0 { open() }
        guard descriptor >= 0 else { return false }
        let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
        while true {
            let count = withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(descriptor, datagram, datagram.count, flags, $0, addressLength)
                }
            }
            if count >= 0 { return true }
            guard errno == EINTR else { return false }
        }
    }
}
