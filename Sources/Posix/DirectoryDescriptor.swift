import CLinux
import Glibc

/// An open directory. Its operations act on this directory even if its path names another one meanwhile.
public struct DirectoryDescriptor: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor
    private let path: String

    /// Opens a directory. `followingLink` decides whether the last part of the path may be a symbolic link.
    public init(_ path: String, followingLink: Bool = true) throws(SystemError) {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followingLink ? 0 : O_NOFOLLOW)
        descriptor = try OwnedDescriptor(checking: "open", path) { Glibc.open(path, flags) }
        self.path = path
    }

    /// Opens a directory in another; never through a symbolic link.
    public init(_ name: String, in parent: borrowing DirectoryDescriptor) throws(SystemError) {
        let number = parent.rawValue
        let path = parent.path + "/" + name
        descriptor = try OwnedDescriptor(checking: "open", path) {
            openat(number, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        }
        self.path = path
    }

    /// Opens a directory of an open one, which need not be readable. Messages show the path.
    init(_ name: String, at parent: borrowing OwnedDescriptor, showing path: String) throws(SystemError) {
        let number = parent.rawValue
        descriptor = try OwnedDescriptor(checking: "open", path) {
            openat(number, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        }
        self.path = path
    }

    /// The descriptor's number, valid while this value lives.
    public var rawValue: Int32 { descriptor.rawValue }

    /// Makes the directory and its missing ancestors, and opens it.
    public static func creating(_ path: String, mode: UInt32 = 0o700) throws(SystemError)
        -> DirectoryDescriptor
    {
        if mkdir(path, mode) != 0 {
            switch errno {
            case EEXIST: break
            case ENOENT:
                guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                    throw .last("mkdir", path)
                }
                _ = try creating(String(path[..<slash]), mode: mode)
                if mkdir(path, mode) != 0, errno != EEXIST { throw .last("mkdir", path) }
            default: throw .last("mkdir", path)
            }
        }
        return try DirectoryDescriptor(path)
    }

    /// Makes a directory in this one if it is missing.
    public func makeDirectory(_ name: String, mode: UInt32 = 0o700) throws(SystemError) {
        if mkdirat(rawValue, name, mode) != 0, errno != EEXIST { throw .last("mkdir", path + "/" + name) }
    }

    /// Opens a file in this directory with the flags of `open(2)`; never through a symbolic link, never inherited.
    public func open(_ name: String, flags: Int32, mode: UInt32 = 0o600) throws(SystemError)
        -> OwnedDescriptor
    {
        let number = rawValue
        return try OwnedDescriptor(checking: "open", path + "/" + name) {
            openat(number, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        }
    }

    /// Renames a file within this directory; replaces a file that had the new name.
    public func rename(_ name: String, to other: String) throws(SystemError) {
        _ = try checked("rename", path + "/" + name) { renameat(rawValue, name, rawValue, other) }
    }

    /// Removes a file's name.
    public func remove(_ name: String) throws(SystemError) {
        _ = try checked("unlink", path + "/" + name) { unlinkat(rawValue, name, 0) }
    }

    /// Waits until the names in this directory are on the disk.
    public func synchronize() throws(SystemError) {
        _ = try checked("fsync", path) { fsync(rawValue) }
    }

    /// Whether the kernel treats this process as the directory's owner, whatever number it shows for the owner.
    public var isOwn: Bool { linux_acts_as_owner(rawValue, ".") == 1 }

    /// The owner of the directory and its permissions.
    public func status() throws(SystemError) -> FileStatus { try FileStatus(of: descriptor, path) }
}
