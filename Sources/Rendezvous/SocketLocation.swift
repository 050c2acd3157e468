import Glibc
import Posix

/// The path of a daemon's socket, and the rule that it comes from.
///
/// A user has one lock space on a host. A client uses the first of these that applies:
/// 1. `PRWLOCK_SOCKET`, if set.
/// 2. The user's own daemon, if it answers: `/tmp/prwlock-UID/prwlock.sock`. For root `/run/prwlock-0/prwlock.sock`,
///    which no other user can make, and then the one in `/tmp`, which root makes only if `/run` cannot be written.
/// 3. The system's daemon in `/run/prwlock`, if that directory exists. If this daemon is missing, dead or not
///    permitted, the client fails: otherwise one name could silently mean two locks.
/// 4. The user's own daemon, which the client starts at the place of rule 2.
///
/// The place depends only on the effective user. `XDG_RUNTIME_DIR`, `TMPDIR` and `HOME` differ between the processes of
/// one user (cron, `su`, services), and `/run/user/UID` exists only while the user is logged in.
///
/// `DaemonConnector` applies the rules. Clients start only the user's own daemon: an administrator or a service manager
/// starts the others.
public struct SocketLocation: Hashable, Sendable {
    /// The rule that a location comes from.
    public enum Origin: Hashable, Sendable {
        /// The caller's choice of a path.
        case path
        /// The variable `PRWLOCK_SOCKET`.
        case environment
        /// The system's daemon.
        case system
        /// The user's own daemon.
        case userOwn
    }

    /// The path of the socket.
    public let path: String
    /// The rule that chose the path.
    public let origin: Origin

    /// A path that the caller chose.
    public init(path: String) {
        self.init(path: path, origin: .path)
    }

    init(path: String, origin: Origin) {
        self.path = path
        self.origin = origin
    }

    /// The place where a daemon listens if no option names a socket: rules 1, 3 and 4.
    public static func find(in surroundings: Surroundings = .current()) -> SocketLocation {
        if let named = environment(in: surroundings) { return named }
        return surroundings.hasSystemDirectory ? system(in: surroundings) : writableUserOwn(in: surroundings)
    }

    /// The socket that `PRWLOCK_SOCKET` names; nil if it is unset or empty.
    static func environment(in surroundings: Surroundings) -> SocketLocation? {
        surroundings.variable("PRWLOCK_SOCKET").map { SocketLocation(path: $0, origin: .environment) }
    }

    /// The socket of the system's daemon.
    static func system(in surroundings: Surroundings) -> SocketLocation {
        SocketLocation(path: surroundings.systemDirectory + "/" + socketName, origin: .system)
    }

    /// The places where the user's own daemon can be, in the order in which clients try them.
    public static func userOwn(in surroundings: Surroundings = .current()) -> [SocketLocation] {
        let user = surroundings.userID
        let roots =
            user == 0
            ? [surroundings.runtimeRoot, surroundings.temporaryRoot] : [surroundings.temporaryRoot]
        return roots.map { root in
            SocketLocation(path: "\(root)/prwlock-\(user)/\(socketName)", origin: .userOwn)
        }
    }

    /// The place where the user's own daemon is started: the first one that the user can write to or make.
    static func writableUserOwn(in surroundings: Surroundings) -> SocketLocation {
        let candidates = userOwn(in: surroundings)
        let writable = candidates.first { candidate in
            guard let folder = folder(of: candidate.path) else { return false }
            // `faccessat` also detects a file system that is mounted read-only, which refuses root too.
            let isThere = (try? FileStatus(at: folder)) != nil
            let written = isThere ? folder : Rendezvous.folder(of: folder) ?? "/"
            return faccessat(AT_FDCWD, written, W_OK, AT_EACCESS) == 0
        }
        return writable ?? candidates[candidates.count - 1]
    }

    /// The place with this path in these surroundings, or the caller's choice if no place has it.
    public init(naming path: String, in surroundings: Surroundings = .current()) {
        let known = Self.userOwn(in: surroundings) + [.system(in: surroundings)]
        self = known.first { $0.path == path } ?? SocketLocation(path: path)
    }

    /// Whether this is a place of the user's own daemon, which clients may start.
    public var isUserOwn: Bool { origin == .userOwn }

    static let socketName = "prwlock.sock"
}
