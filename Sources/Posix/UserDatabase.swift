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
