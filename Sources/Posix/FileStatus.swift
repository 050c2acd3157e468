import Glibc

/// The kind of a file, its owner, and its permissions.
public struct FileStatus: Hashable, Sendable {
    public let userID: UInt32
    public let groupID: UInt32
    /// The bits that `chmod` sets.
    public let permissions: UInt32
    public let isSocket: Bool
    public let isDirectory: Bool
    public let isRegularFile: Bool
    public let isLink: Bool
    /// Whether it is a device that is read and written as a stream of bytes, such as `/dev/null`.
    public let isDevice: Bool
    private let device: dev_t
    private let inode: ino_t

    /// Reads the status of an open file.
    public init(of descriptor: borrowing OwnedDescriptor, _ subject: String = "") throws(SystemError) {
        var status = stat()
        let number = descriptor.rawValue
        _ = try checked("fstat", subject) { fstat(number, &status) }
        self.init(status)
    }

    /// Reads the status of the file that a path names, without following a symbolic link at its end.
    public init(at path: String) throws(SystemError) {
        var status = stat()
        _ = try checked("lstat", path) { lstat(path, &status) }
        self.init(status)
    }

    /// Reads the status of the file that a path names, following symbolic links.
    public init(following path: String) throws(SystemError) {
        var status = stat()
        _ = try checked("stat", path) { stat(path, &status) }
        self.init(status)
    }

    /// The name of the file in `/proc/locks`: `fe:00:1441796`.
    var kernelName: String {
        let major = device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000
        let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
        let hex = [major, minor].map { String($0, radix: 16) }.map { $0.count < 2 ? "0" + $0 : $0 }
        return (hex + [String(inode)]).joined(separator: ":")
    }

    /// Whether both are the status of one file; its names may differ.
    public func isSameFile(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

    private init(_ status: stat) {
        device = status.st_dev
        inode = status.st_ino
        userID = status.st_uid
        groupID = status.st_gid
        permissions = status.st_mode & 0o7777
        isSocket = status.st_mode & S_IFMT == S_IFSOCK
        isRegularFile = status.st_mode & S_IFMT == S_IFREG
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
        isLink = status.st_mode & S_IFMT == S_IFLNK
        isDevice = status.st_mode & S_IFMT == S_IFCHR
    }
}
