import CLinux
import Glibc

/// An open descriptor that is closed with its only owner.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number, for calls; it is valid for as long as the owner lives.
    public let rawValue: Int32

    /// Takes over an open descriptor; nobody else may close it.
    public init(owning rawValue: Int32) { self.rawValue = rawValue }

    /// Takes over what a call returned.
    init(checking call: StaticString, _ subject: String = "", _ body: () -> Int32) throws(SystemError) {
        rawValue = try checked(call, subject, body)
    }

    /// A descriptor of what a path names, not through a link at its end, that can do nothing but keep it in being.
    public init(holding path: String) throws(SystemError) {
        try self.init(checking: "open", path) { linux_open_path(path) }
    }

    deinit { close(rawValue) }

    /// Hands the descriptor to the caller, who has to close it.
    public consuming func release() -> Int32 {
        let rawValue = rawValue
        discard self
        return rawValue
    }

    /// Another descriptor of the same open file.
    public func duplicate() throws(SystemError) -> OwnedDescriptor {
        let original = rawValue
        return try OwnedDescriptor(checking: "fcntl") { fcntl(original, F_DUPFD_CLOEXEC, 3) }
    }
}
