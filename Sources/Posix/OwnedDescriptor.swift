import CLinux
import Glibc

/// An open descriptor that is closed with its only owner.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number, for calls; valid while the owner lives.
    public let rawValue: Int32

    /// Takes over an open descriptor; no other code may close it.
    public init(owning rawValue: Int32) { self.rawValue = rawValue }

    /// Takes over the descriptor that a call returned.
    init(checking call: StaticString, _ subject: String = "", _ body: () -> Int32) throws(SystemError) {
        rawValue = try checked(call, subject, body)
    }

    /// Opens the file that a path names, without following a link at its end. The descriptor gives no access to the
    /// file; it only keeps the file in existence.
    public init(holding path: String) throws(SystemError) {
        try self.init(checking: "open", path) { linux_open_path(path) }
    }

    deinit { close(rawValue) }

    /// Passes the descriptor to the caller, which must close it.
    public consuming func release() -> Int32 {
        let rawValue = rawValue
        discard self
        return rawValue
    }

    /// Returns another descriptor of the same open file.
    public func duplicate() throws(SystemError) -> OwnedDescriptor {
        let original = rawValue
        return try OwnedDescriptor(checking: "fcntl") { fcntl(original, F_DUPFD_CLOEXEC, 3) }
    }
}
