import Glibc

/// What kind of file it is, whose, and who may use it.
public struct FileStatus: Hashable, Sendable {
    public let userID: UInt32
    public let groupID: UInt32
    /// The bits that `chmod` sets.
    public let permissions: UInt32
    public let isSocket: Bool
    public let isDirectory: Bool
    public let isRegularFile: Bool
    private let device: dev_t
    private let inode: ino_t

    /// Of an open file.
    public init(of descriptor: borrowing OwnedDescriptor, _ subject: String = "") throws(SystemError) {
        var status = stat()
        let number = descriptor.rawValue
        _ = try checked("fstat", subject) { fstat(number, &status) }
        self.init(status)
    }

    /// Of what a path names, not through a symbolic link at its end.
    public init(at path: String) throws(SystemError) {
        var status = stat()
        _ = try checked("lstat", path) { lstat(path, &status) }
        self.init(status)
    }

    /// Of what a path leads to, through symbolic links.
    public init(following path: String) throws(SystemError) {
        var status = stat()
        _ = try checked("stat", path) { stat(path, &status) }
        self.init(status)
    }

    /// Whether both are the status of one file, by whatever names.
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
    }
}
