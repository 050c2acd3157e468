import Glibc

/// The address of a Unix socket in the kernel's format.
struct SocketAddress {
    private var storage = sockaddr_un()
    private let length: socklen_t

    /// A path in the file system.
    init(path: String) throws(SystemError) {
        let count = path.utf8.count
        guard count <= UnixSocket.maximumPathLength else {
            let subject = "\(path) (\(count) bytes, and at most \(UnixSocket.maximumPathLength) are possible)"
            throw SystemError(code: ENAMETOOLONG, call: "socket path", subject: subject)
        }
        guard count > 0, !path.utf8.contains(0) else {
            throw SystemError(code: EINVAL, call: "socket path", subject: path)
        }
        storage.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &storage.sun_path) { $0.copyBytes(from: path.utf8) }
        length = socklen_t(MemoryLayout<sockaddr_un>.size)
    }

    /// A name in the kernel's table of abstract sockets. The name is not terminated: its length is part of the address.
    init(abstractName name: String) throws(SystemError) {
        let count = name.utf8.count
        guard count > 0, count <= UnixSocket.maximumPathLength else {
            throw SystemError(code: ENAMETOOLONG, call: "abstract socket", subject: name)
        }
        storage.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &storage.sun_path) { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes.dropFirst()).copyBytes(from: name.utf8)
        }
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? MemoryLayout<sa_family_t>.size
        length = socklen_t(start + 1 + count)
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
