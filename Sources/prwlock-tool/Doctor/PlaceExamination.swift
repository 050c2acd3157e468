import Glibc
import Posix
import Rendezvous

extension PlaceFacts {
    /// Finds the place that clients use, without a connection to any daemon.
    ///
    /// - Parameter option: the value of `--socket`; nil without it.
    init(_ option: String?, in surroundings: Surroundings) {
        // As all clients do: first the directory, then the user's own daemon.
        let hasDirectory = surroundings.hasSystemDirectory
        let own = SocketLocation.userOwn(in: surroundings).map(\.path)
        let service = surroundings.systemDirectory + "/prwlock.sock"
        var hasGuard = false
        if case .held = PlaceGuard.occupation(in: surroundings) { hasGuard = true }
        let listening = ListeningSockets.now
        let hasOwn = hasGuard || own.contains(where: listening.contains)
        let path: String
        let rule: Rule
        if let option {
            (path, rule) = (option, .option)
        } else if let variable = surroundings.variable("PRWLOCK_SOCKET") {
            (path, rule) = (variable, .variable)
        } else if hasDirectory, !hasOwn {
            (path, rule) = (service, .service)
        } else {
            (path, rule) = (own.first { (try? FileStatus(at: $0)) != nil } ?? own.first ?? "", .own)
        }
        self.init(rule: rule, path: path, hasServiceDirectory: hasDirectory)
        isOwn = own.contains(path)
        isOfService = path == service
        hasOwnDaemon = hasGuard
        socket = try? FileStatus(at: path)
        if isOfService, let socket { group = GroupFacts(socket.groupID, in: surroundings) }
        if rule != .own { replaceablePart = Self.replaceablePart(of: path, isService: isOfService) }
        foreignFolders = own.compactMap(Self.folder).filter { Self.isForeign($0, surroundings.userID) }
        leftovers = own.filter { !listening.contains($0) && Self.isLeftOver($0) }
    }

    /// The units that serve at this place; nil for another place, and without systemd.
    func units(in surroundings: Surroundings) -> UnitFacts? {
        isOwn || isOfService ? UnitFacts(ofUser: isOwn, in: surroundings) : nil
    }

    /// Whether systemd listens here, and would start the daemon for a client that connects.
    func isAsleep(_ units: UnitFacts?) -> Bool {
        guard isOwn || isOfService, !(isOwn && hasOwnDaemon), let units else { return false }
        return units.socket.isActive && units.service.isInactive
    }

    /// The part of the path at which a user other than root and this one could put another socket.
    private static func replaceablePart(of path: String, isService: Bool) -> String? {
        var trust = PathTrust.own()
        // The folder of the service may belong to the user of the service.
        trust.acceptsAnyLastOwner = isService
        do throws(PathFault) {
            try trust.checkPlace(path)
            return nil
        } catch {
            guard case .replaceable = error else { return nil }
            return "\(error)"
        }
    }

    static func folder(of path: String) -> String? {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) }
    }

    private static func isForeign(_ folder: String, _ user: UInt32) -> Bool {
        guard let status = try? FileStatus(at: folder) else { return false }
        return !status.isDirectory || status.userID != user || status.permissions & 0o077 != 0
    }

    /// Whether a socket of this user is there that refuses connections.
    private static func isLeftOver(_ path: String) -> Bool {
        guard let status = try? FileStatus(at: path), status.isSocket, status.userID == geteuid() else {
            return false
        }
        do throws(SystemError) {
            _ = try UnixSocket.connect(to: path, by: Deadline(after: .zero))
            return false
        } catch {
            return error.code == ECONNREFUSED
        }
    }
}

extension GroupFacts {
    /// Looks a group up, and whether this process and its user have it.
    init(_ number: UInt32, in surroundings: Surroundings) {
        let entry = getgrgid(number)?.pointee
        name = entry?.gr_name.map { String(cString: $0) } ?? "\(number)"
        var active = [gid_t](repeating: 0, count: 65_536)
        let count = getgroups(Int32(active.count), &active)
        isActive = getegid() == number || active.prefix(max(0, Int(count))).contains(number)
        let user = getpwuid(surroundings.userID)?.pointee
        guard let user, let userName = user.pw_name else {
            isListed = false
            return
        }
        var listed = [gid_t](repeating: 0, count: 65_536)
        var room = Int32(listed.count)
        let found = getgrouplist(userName, user.pw_gid, &listed, &room)
        isListed = found >= 0 && listed.prefix(Int(found)).contains(number)
    }
}

/// The paths and abstract names at which a process of this network namespace listens (`/proc/net/unix`).
///
/// A connection would show the same, but make systemd start a daemon.
struct ListeningSockets {
    /// The paths; abstract names begin with `@`.
    let names: [String]

    static var now: ListeningSockets {
        ListeningSockets((try? FileContents.read("/proc/net/unix", limit: 1 << 26)) ?? [])
    }

    /// Reads lines of eight fields: the fourth has the flags, the eighth is the name.
    init(_ table: [UInt8]) {
        names = table.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
            guard fields.count == 8, let name = fields.last,
                let flags = UInt32(String(decoding: fields[3], as: UTF8.self), radix: 16),
                flags & Self.acceptsConnections != 0
            else { return nil }
            return String(decoding: name, as: UTF8.self)
        }
    }

    /// `__SO_ACCEPTCON` of the kernel.
    private static let acceptsConnections: UInt32 = 1 << 16

    func contains(_ path: String) -> Bool { names.contains(path) }

    /// The users with a daemon of their own, which has the name `prwlock-UID`.
    var usersWithDaemons: [UInt32] {
        names.compactMap { name in
            name.hasPrefix("@prwlock-") ? UInt32(name.dropFirst("@prwlock-".count)) : nil
        }.sorted()
    }
}
