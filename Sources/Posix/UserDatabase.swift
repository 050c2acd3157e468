import Glibc

/// The host's users and groups by name. A lookup may use the network, and take long.
public enum UserDatabase {
    /// The number of the user of this name; nil if there is none.
    public static func user(_ name: String) -> UInt32? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        let isAnswered = ask { getpwnam_r(name, &entry, $0, $1, &found) }
        return isAnswered ? found?.pointee.pw_uid : nil
    }

    /// The number of the group of this name; nil if there is none.
    public static func group(_ name: String) -> UInt32? {
        var entry = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        let isAnswered = ask { getgrnam_r(name, &entry, $0, $1, &found) }
        return isAnswered ? found?.pointee.gr_gid : nil
    }

    /// The list of all users has one position for the whole process.
    private static let list = Guarded(())

    /// Whether these users and root are the only members of a group, by its entry and by their own.
    ///
    /// False for a group without an entry or without members: it may belong to a program.
    public static func hasOnlyMembers(_ users: [UInt32], group: UInt32) -> Bool {
        var entry = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        var members: [String] = []
        let isAnswered = ask { room, size in
            let code = getgrgid_r(group, &entry, room, size, &found)
            guard code == 0, found != nil, var name = entry.gr_mem else { return code }
            members = []
            while let text = name.pointee {
                members.append(String(cString: text))
                name += 1
            }
            return code
        }
        guard isAnswered, found != nil else { return false }
        let ids = members.map { user($0) }
        guard ids.allSatisfy({ id in id.map { $0 == 0 || users.contains($0) } ?? false }) else {
            return false
        }
        return list.withLock { _ in
            setpwent()
            defer { endpwent() }
            var count = ids.count
            while let user = getpwent()?.pointee {
                guard user.pw_gid == group else { continue }
                guard user.pw_uid == 0 || users.contains(user.pw_uid) else { return false }
                count += 1
            }
            return count > 0
        }
    }

    /// Repeats a lookup with a larger buffer until the answer fits: a group's entry contains all its members. Returns
    /// whether there was an answer.
    private static func ask(_ question: (UnsafeMutablePointer<CChar>, Int) -> Int32) -> Bool {
        var size = 4_096
        while size <= 16 << 20 {
            let room = UnsafeMutablePointer<CChar>.allocate(capacity: size)
            defer { room.deallocate() }
            let code = question(room, size)
            if code != ERANGE { return code == 0 }
            size *= 4
        }
        return false
    }
}
