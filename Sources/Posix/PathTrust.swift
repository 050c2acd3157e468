import CLinux
import Glibc

/// The users that may change what a path names, and the walk that finds whether another user could.
///
/// Rules for each part of a path, from `/` on:
/// 1. A folder belongs to a trusted user, and no other user may write to it.
/// 2. A folder with the sticky bit (`/tmp`) may be open to other users, because they cannot replace the files of others in
///    it. Then the next part must belong to a trusted user.
/// 3. A link belongs to a trusted user. Its target is walked by these rules too.
///
/// A path that keeps the rules goes on to keep them until a trusted user changes it. So a caller may check a path first
/// and use it afterwards.
public struct PathTrust: Sendable {
    /// The groups that may write to a folder.
    public enum Groups: Sendable {
        case none
        /// A group of which no user but the trusted ones is a member, as many systems make one for each user.
        case ofTrustedUsers
        case any
    }

    /// The trusted users besides root.
    public var users: [UInt32]
    public var groups = Groups.ofTrustedUsers
    /// Whether the overflow user counts as root where `/` belongs to it, except for entries of folders that others may
    /// write to. Such a process runs from the files of an unknown user anyway.
    public var acceptsUnknownRoot = true
    /// Whether the last folder may belong to any user, if its parent is not open to others.
    public var acceptsAnyLastOwner = false

    public init(_ users: [UInt32]) { self.users = users }

    /// The trust of this process in its own user.
    public static func own() -> PathTrust { PathTrust([geteuid()]) }

    /// Opens a folder that no other user can replace.
    ///
    /// - Parameter making: whether to make missing folders, with mode 0700.
    public func folder(_ path: String, making: Bool = false) throws(PathFault) -> DirectoryDescriptor {
        var walk = try PathWalk(self, path, making: making)
        try walk.enter()
        do throws(SystemError) { return try DirectoryDescriptor(".", at: walk.folder, showing: path) } catch {
            throw .system(error)
        }
    }

    /// Opens a file that no other user can replace or write to.
    public func file(_ path: String, flags: Int32) throws(PathFault) -> OwnedDescriptor {
        var walk = try PathWalk(self, path, making: false)
        let name = try walk.enterParent()
        let file = try walk.open(name, flags: flags, path)
        let status = try walk.status(of: file, path)
        try check(status, path)
        try walk.checkOwner(status, name)
        return file
    }

    /// Checks that no other user can replace a file or write to it, and returns its status.
    @discardableResult public func checkFile(_ path: String) throws(PathFault) -> FileStatus {
        var walk = try PathWalk(self, path, making: false)
        let name = try walk.enterParent()
        let status = try walk.status(of: name)
        try check(status, path)
        try walk.checkOwner(status, name)
        return status
    }

    private func check(_ status: FileStatus, _ path: String) throws(PathFault) {
        // Each user may write to a device such as `/dev/null`, and no user replaces its contents.
        guard !status.isDevice else { return }
        guard status.permissions & 0o002 == 0 else { throw .replaceable(path, .openToAll) }
        guard groups == .any || status.permissions & 0o020 == 0 else {
            throw .replaceable(path, .openToGroup(status.groupID))
        }
    }

    /// Checks that no other user can put a file at the path: neither replace the folders, nor the file if it exists.
    public func checkPlace(_ path: String) throws(PathFault) {
        var walk = try PathWalk(self, path, making: false)
        _ = try walk.enterParent(followingLink: false)
    }

    /// The status of a file's folder. The file may be missing; a link in its place is not followed.
    public func parentStatus(of path: String) throws(PathFault) -> FileStatus {
        var walk = try PathWalk(self, path, making: false)
        _ = try walk.enterParent(followingLink: false)
        return try walk.status(of: walk.folder, path)
    }
}

/// The reason why a path is not used.
public enum PathFault: Error, Sendable {
    /// The part of the path at which another user could replace what the path names.
    case replaceable(String, Reason)
    case system(SystemError)

    public enum Reason: Hashable, Sendable {
        case belongs(to: UInt32)
        case openToAll
        case openToGroup(UInt32)
    }
}

extension PathFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .replaceable(let part, let reason): "\(part) \(reason)"
        case .system(let error): error.description
        }
    }
}

extension PathFault.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .belongs(let user) where UserNamespace.isAmbiguous(user):
            "belongs to a user without a number in this user namespace"
        case .belongs(let user): "belongs to user \(user)"
        case .openToAll: "is open to all users (chmod o-w)"
        case .openToGroup(let group): "is open to group \(group) (chmod g-w)"
        }
    }
}
