/// The numbers of users as this process sees them.
///
/// In a user namespace, the kernel shows every user without a number there as the overflow user, `65534`. Two such users
/// cannot be distinguished: the host's root, and any other user of the host. If the namespace also gives that number to a
/// user, this user cannot be distinguished from them either.
public enum UserNamespace {
    /// The number that several users may have; nil where each user has a number.
    private static let shared: UInt32? = {
        let map = numbers(in: "/proc/self/uid_map")
        // One line for all users: `0 0 4294967295`. Without the file, the kernel has no user namespaces, or `/proc` is
        // missing.
        guard let map, map.count != 3 || map[2] != UInt64(UInt32.max) else { return nil }
        return numbers(in: "/proc/sys/kernel/overflowuid")?.first.map { UInt32(clamping: $0) } ?? 65_534
    }()

    /// Whether the number does not tell which user it is.
    public static func isAmbiguous(_ user: UInt32) -> Bool { user != 0 && user == shared }

    private static func numbers(in path: String) -> [UInt64]? {
        (try? FileContents.read(path, limit: 65_536)).map {
            $0.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
                .compactMap { UInt64(String(decoding: $0, as: UTF8.self)) }
        }
    }
}
