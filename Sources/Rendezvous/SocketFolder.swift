import Glibc
import Posix

extension SocketLocation {
    /// Makes the folder of a user's own socket if it is missing, and checks that only this user may use it.
    ///
    /// A daemon calls this before it makes its socket. For a socket that another rule chose, the folder must exist.
    public func makeFolder(in surroundings: Surroundings = .current()) throws(RendezvousError) {
        guard isUserOwn, let folder = folder(of: path) else { return }
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw .system(.last("mkdir", folder)) }
        _ = try hasFolder(in: surroundings)
    }

    /// Whether the folder of a user's own socket exists.
    ///
    /// In a parent folder that other users may write to, one of them could have made the folder first, with a daemon in
    /// it. The check reads the open folder, which only its owner can replace.
    ///
    /// - Throws: `unsafeDirectory` if another user owns the folder, or may use it.
    func hasFolder(in surroundings: Surroundings) throws(RendezvousError) -> Bool {
        guard isUserOwn, let path = folder(of: path) else { return true }
        let status: FileStatus
        let isOwn: Bool
        do throws(SystemError) {
            let folder = try DirectoryDescriptor(path, followingLink: false)
            status = try folder.status()
            isOwn =
                status.userID == surroundings.userID
                && (!UserNamespace.isAmbiguous(status.userID) || folder.isOwn)
        } catch {
            switch error.code {
            case ENOENT: return false
            case ENOTDIR, ELOOP: throw .unsafeDirectory(path, reason: "is not a folder of its own")
            case EACCES: throw .unsafeDirectory(path, reason: "belongs to another user")
            default: throw .system(error)
            }
        }
        guard isOwn else {
            throw .unsafeDirectory(path, reason: "belongs to another user")
        }
        guard status.permissions & 0o077 == 0 else {
            throw .unsafeDirectory(path, reason: "is open to other users")
        }
        return true
    }
}
