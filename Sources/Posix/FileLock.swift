import CLinux
import Glibc

/// A whole-file lock of `flock(2)`, let go with its only owner; the kernel lets it go when the process dies.
///
/// A child that was forked meanwhile shares it until it executes a program: the file is never inherited beyond.
/// The file stays where it is, for if it were removed, two could hold the lock on two files of one name; unless
/// everybody who takes it looks whether its path still names it.
public struct FileLock: ~Copyable, Sendable {
    /// The locked file.
    public let file: OwnedDescriptor

    /// Waits for the lock on an open file.
    public init(waitingFor file: consuming OwnedDescriptor) throws(SystemError) {
        let number = file.rawValue
        _ = try checked("flock") { flock(number, LOCK_EX) }
        self.file = file
    }

    /// The lock on an open file; nil if somebody else has it.
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

    /// Waits for the lock on the file at the path, which is made if missing.
    public init(waitingAt path: String, mode: UInt32 = 0o600) throws(SystemError) {
        try self.init(waitingFor: Self.open(path, mode))
    }

    /// The lock on the file at the path, which is made if missing; nil if somebody else has it.
    public init?(tryingAt path: String, mode: UInt32 = 0o600) throws(SystemError) {
        try self.init(trying: Self.open(path, mode))
    }

    private static func open(_ path: String, _ mode: UInt32) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor(checking: "open", path) {
            Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode)
        }
    }
}
