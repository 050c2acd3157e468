import Posix

/// Where the daemon is: the path of its socket, and on whose word.
///
/// The first of these that applies, the same for every client and for the daemon itself:
/// 1. `PRWLOCK_SOCKET`, if set.
/// 2. If the folder `/run/prwlock` exists, the system's daemon in it, and no other: one name must not mean two
///    locks in silence, so that a system's daemon that is missing, dead or not permitted is an error.
/// 3. The user's own: `prwlock/prwlock.sock` below `$XDG_RUNTIME_DIR`, or below `/run/user/UID`, each only if it is
///    the user's; else `/tmp/prwlock-UID/prwlock.sock`.
///
/// Only the user's own daemon is started by clients: the others have somebody who looks after them.
public struct SocketLocation: Hashable, Sendable {
    /// Who said where it is.
    public enum Origin: Hashable, Sendable {
        /// The caller, by a path of its own.
        case path
        /// The variable `PRWLOCK_SOCKET`.
        case environment
        /// The system's administrator, who installed the service.
        case system
        /// Nobody; it is the user's own, in the user's runtime folder.
        case runtimeDirectory
        /// Nobody; it is the user's own, in a folder for temporary files, which strangers may write to as well.
        case temporaryDirectory
    }

    public let path: String
    public let origin: Origin

    /// A path of the caller's own choice.
    public init(path: String) {
        self.init(path: path, origin: .path)
    }

    init(path: String, origin: Origin) {
        self.path = path
        self.origin = origin
    }

    /// Where the daemon is, by the rules above.
    public static func find(in surroundings: Surroundings = .current()) -> SocketLocation {
        if let path = surroundings.variable("PRWLOCK_SOCKET") {
            return SocketLocation(path: path, origin: .environment)
        }
        if (try? FileStatus(following: surroundings.systemDirectory))?.isDirectory ?? false {
            return SocketLocation(path: surroundings.systemDirectory + "/" + socketName, origin: .system)
        }
        return userOwn(in: surroundings)
    }

    /// The user's own daemon, also where the system has one.
    ///
    /// For locks without a name, which nobody can mean who was not handed them together with their socket.
    public static func userOwn(in surroundings: Surroundings = .current()) -> SocketLocation {
        let candidates = [
            surroundings.absolutePath(in: "XDG_RUNTIME_DIR"),
            "\(surroundings.runtimeRoot)/\(surroundings.userID)",
        ]
        for case let candidate? in candidates {
            if let folder = try? FileStatus(following: candidate), folder.isDirectory,
                folder.userID == surroundings.userID
            {
                return SocketLocation(path: "\(candidate)/prwlock/\(socketName)", origin: .runtimeDirectory)
            }
        }
        return SocketLocation(
            path: "\(surroundings.temporaryRoot)/prwlock-\(surroundings.userID)/\(socketName)",
            origin: .temporaryDirectory)
    }

    /// Whether it is the user's own daemon, which clients may start.
    public var isUserOwn: Bool { origin == .runtimeDirectory || origin == .temporaryDirectory }

    static let socketName = "prwlock.sock"
}
