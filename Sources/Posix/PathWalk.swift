import CLinux
import Glibc

/// A walk along a path, part by part, with the folder that it has reached kept open (see `PathTrust`).
struct PathWalk: ~Copyable {
    private let trust: PathTrust
    private let makes: Bool
    /// The parts that are left, the next one last.
    private var rest: [Substring]
    /// The folder that the walk has reached. The descriptor gives no access to it, which this process may lack.
    private(set) var folder: OwnedDescriptor
    private var position: String
    /// Whether other users may make files in this folder.
    private var isShared = false
    private var isRootUnknown = false
    private var links = 0
    /// The number of parts behind the last folder.
    private var behind = 0

    /// As the kernel.
    private static let mostLinks = 40

    init(_ trust: PathTrust, _ path: String, making: Bool) throws(PathFault) {
        let absolute = path.hasPrefix("/") ? path : "\(try Self.workingDirectory())/\(path)"
        let root = try Self.open("/", in: AT_FDCWD, "/")
        self.trust = trust
        makes = making
        rest = Self.parts(of: absolute)
        folder = root
        position = ""
    }

    /// Checks the first folder.
    private mutating func begin() throws(PathFault) {
        try checkFolder(try status(of: folder, "/"), ".", in: folder.rawValue)
    }

    private static func parts(of path: String) -> [Substring] {
        path.split(separator: "/").filter { $0 != "." }.reversed()
    }

    private static func workingDirectory() throws(PathFault) -> String {
        guard let path = getcwd(nil, 0) else { throw .system(.last("getcwd")) }
        defer { free(path) }
        return String(cString: path)
    }

    private static func open(_ name: String, in folder: Int32, _ path: String) throws(PathFault)
        -> OwnedDescriptor
    {
        do throws(SystemError) {
            return try OwnedDescriptor(checking: "open", path) { linux_open_entry(folder, name) }
        } catch {
            throw .system(error)
        }
    }

    func status(of file: borrowing OwnedDescriptor, _ path: String) throws(PathFault) -> FileStatus {
        do throws(SystemError) { return try FileStatus(of: file, path) } catch { throw .system(error) }
    }

    /// Opens an entry of the folder, with the flags of `open(2)`.
    func open(_ name: String, flags: Int32, _ path: String) throws(PathFault) -> OwnedDescriptor {
        let number = folder.rawValue
        do throws(SystemError) {
            return try OwnedDescriptor(checking: "open", path) {
                openat(number, name, flags | O_NOFOLLOW | O_CLOEXEC)
            }
        } catch {
            throw .system(error)
        }
    }

    /// The status of an entry of the folder.
    func status(of name: String) throws(PathFault) -> FileStatus {
        try status(of: Self.open(name, in: folder.rawValue, shown(name[...])), shown(name[...]))
    }

    /// Walks to the end of the path, which must be a folder.
    mutating func enter() throws(PathFault) {
        try begin()
        while let name = rest.popLast() { try step(String(name)) }
    }

    /// Walks to the folder of the last part, and returns the last part's name. The file may be missing.
    ///
    /// - Parameter followingLink: whether a link at the end is walked too, so that the name is never that of a link.
    mutating func enterParent(followingLink: Bool = true) throws(PathFault) -> String {
        behind = 1
        try begin()
        while let name = rest.popLast() {
            guard rest.isEmpty, name != ".." else {
                try step(String(name))
                continue
            }
            guard let entry = try? Self.open(String(name), in: folder.rawValue, shown(name)) else {
                return String(name)
            }
            let status = try status(of: entry, shown(name))
            if status.isLink, followingLink {
                try follow(entry, status, name)
                continue
            }
            if isShared { try checkOwner(status, String(name)) }
            return String(name)
        }
        throw .system(SystemError(code: EISDIR, call: "open", subject: position.isEmpty ? "/" : position))
    }

    /// Enters the folder of this name, or puts the parts of a link in the place of the name.
    private mutating func step(_ name: String) throws(PathFault) {
        let path = shown(name[...])
        let entry = try openMaking(name, path)
        let status = try status(of: entry, path)
        if status.isLink { return try follow(entry, status, name[...]) }
        guard status.isDirectory else {
            throw .system(SystemError(code: ENOTDIR, call: "open", subject: path))
        }
        try checkFolder(status, name, in: folder.rawValue, path)
        folder = entry
        position = path
    }

    /// Opens an entry of the folder; makes a folder of that name if it is missing and the walk makes folders.
    private func openMaking(_ name: String, _ path: String) throws(PathFault) -> OwnedDescriptor {
        do throws(PathFault) {
            return try Self.open(name, in: folder.rawValue, path)
        } catch {
            guard makes, case .system(let fault) = error, fault.code == ENOENT else { throw error }
        }
        guard mkdirat(folder.rawValue, name, 0o700) == 0 || errno == EEXIST else {
            throw .system(.last("mkdir", path))
        }
        return try Self.open(name, in: folder.rawValue, path)
    }

    private mutating func follow(
        _ link: borrowing OwnedDescriptor, _ status: FileStatus, _ name: Substring
    ) throws(PathFault) {
        let path = shown(name)
        try checkOwner(status, String(name))
        links += 1
        guard links <= Self.mostLinks else {
            throw .system(SystemError(code: ELOOP, call: "open", subject: path))
        }
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let number = link.rawValue
        let count = target.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { readlinkat(number, "", $0, characters.count) } ?? -1
            }
        }
        guard count > 0 else { throw .system(.last("readlink", path)) }
        let text = String(decoding: target.prefix(count), as: UTF8.self)
        rest += Self.parts(of: text)
        guard text.hasPrefix("/") else { return }
        folder = try Self.open("/", in: AT_FDCWD, "/")
        position = ""
        isShared = false
    }

    /// The path of an entry, without links.
    private func shown(_ name: Substring) -> String {
        guard name == ".." else { return "\(position)/\(name)" }
        return position.lastIndex(of: "/").map { String(position[..<$0]) } ?? ""
    }

    /// Checks the owner of an entry of the folder, or of the folder itself (`.`).
    func checkOwner(_ status: FileStatus, _ name: String) throws(PathFault) {
        guard !isTrusted(status, name, in: folder.rawValue) else { return }
        throw .replaceable(shown(name[...]), .belongs(to: status.userID))
    }

    private func isTrusted(_ status: FileStatus, _ name: String, in folder: Int32) -> Bool {
        if status.userID == 0 { return true }
        guard UserNamespace.isAmbiguous(status.userID) else { return trust.users.contains(status.userID) }
        if isRootUnknown, !isShared { return true }
        return trust.users.contains(status.userID) && linux_acts_as_owner(folder, name) == 1
    }

    /// Checks a folder, and notes whether other users may make files in it.
    private mutating func checkFolder(
        _ status: FileStatus, _ name: String, in parent: Int32, _ path: String = "/"
    ) throws(PathFault) {
        if path == "/" {
            isRootUnknown = trust.acceptsUnknownRoot && UserNamespace.isAmbiguous(status.userID)
        }
        let mayBelongToAny = trust.acceptsAnyLastOwner && rest.count == behind && !isShared
        guard mayBelongToAny || isTrusted(status, name, in: parent) else {
            throw .replaceable(path, .belongs(to: status.userID))
        }
        let isOpenToAll = status.permissions & 0o002 != 0
        // The members of the group make no difference where all users may write, and to find them takes long.
        isShared =
            isOpenToAll
            || status.permissions & 0o020 != 0 && !isTrusted(group: status, name, in: parent)
        guard isShared, status.permissions & 0o1000 == 0 else { return }
        throw .replaceable(path, isOpenToAll ? .openToAll : .openToGroup(status.groupID))
    }

    private func isTrusted(group status: FileStatus, _ name: String, in parent: Int32) -> Bool {
        switch trust.groups {
        case .none: return false
        case .any: return true
        case .ofTrustedUsers: break
        }
        guard let folder = try? Self.open(name, in: parent, name) else { return false }
        // With an access control list, these bits are not those of the group.
        return linux_has_access_list(folder.rawValue) == 0
            && UserDatabase.hasOnlyMembers(trust.users, group: status.groupID)
    }
}
