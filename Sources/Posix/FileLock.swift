import CLinux
import Glibc

/// A whole-file lock of `flock(2)`. It is released with its only owner, and the kernel releases it when the process
/// dies.
///
/// A forked child shares the lock until it executes a program: programs never inherit the file. Do not remove the file,
/// unless every process that takes the lock then checks that the path still names its file. Otherwise two processes
/// could hold locks on two files of one name.
public struct FileLock: ~Copyable, Sendable {
    /// The locked file.
    public let file: OwnedDescriptor

    /// Waits for the lock on an open file.
    public init(waitingFor file: consuming OwnedDescriptor) throws(SystemError) {
        let number = file.rawValue
        _ = try checked("flock") { flock(number, LOCK_EX) }
        self.file = file
    }

    /// Takes the lock on an open file; returns nil if another process has it.
    public init?(trying file: consuming OwnedDescriptor) throws(SystemError) {
        let number = file.rawValue
        do throws(SystemError) {
            _ = try checked("flock") { flock(number, LOCK_EX | LOCK_NB) }
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return nil
        }
        self.file = file
    }

    /// Waits for the lock on the file at the path; makes the file if it is missing.
    public init(waitingAt path: String, mode: UInt32 = 0o600) throws(SystemError) {
        try self.init(waitingFor: Self.openFile(at: path, mode: mode))
    }

    /// Takes the lock on the file at the path, and makes the file if it is missing; returns nil if another process has
    /// the lock.
    public init?(tryingAt path: String, mode: UInt32 = 0o600) throws(SystemError) {
        try self.init(trying: Self.openFile(at: path, mode: mode))
    }

    /// Releases the lock at once, also if a forked child shares it. For the `deinit` of its owner: it is no lock afterwards.
    public borrowing func unlock() { flock(file.rawValue, LOCK_UN) }

    /// Opens the file to lock; makes it if it is missing.
    public static func openFile(at path: String, mode: UInt32 = 0o600) throws(SystemError) -> OwnedDescriptor
    {
        try OwnedDescriptor(checking: "open", path) {
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode)
        }
    }
}
