import Glibc
import LockVocabulary
public import Posix

/// The abstract socket that a user's own daemon holds while it runs, so that each user has at most one such daemon even
/// if files are removed.
///
/// The lock file and the socket can be removed, and another process may see another `/tmp`. No process can remove this
/// name, and all processes of a network namespace see the same one. Its only use is to find the daemon that holds it:
/// the kernel reports the owner of the socket, and the daemon writes its own socket's path to each connection.
///
///               bind, listen
///   [ FREE ] ────────────────▶ [ HELD by this user's daemon ]
///     ▲  ▲                          │
///     │  └── ends, is killed ───────┘
///     │         bind
///     └───────────────────────▶ [ SQUATTED by another user's process ]
///
/// Invariants:
/// 1. A daemon at a user's own place serves no session before it has the name, unless the name is squatted. So at most
///    one of two daemons in a network namespace serves, even if each was started with a listener of its own.
/// 2. A client binds the user's own place, or uses the system's daemon instead, only after it has seen the name free or
///    squatted. While this user's daemon has the name, the client tries for `patience` to reach that daemon, and then
///    fails.
/// 3. The owner of the name is the effective user at `listen()`, as `SO_PEERCRED` reports it. No process can forge
///    this.
///
/// The interleavings that matter:
/// - The daemon's folder is removed while a session holds a lock. A client finds no socket and makes the folder again,
///   or it sees the folder of the system's daemon. It queries the name, finds it held, and waits until the daemon
///   listens again. The query itself wakes the daemon, which then checks whether its path still names its socket.
/// - The folder is removed after a client has bound the path, and before the daemon D1 that it started has done
///   anything. A second client finds no socket and the name free, and starts D2. The daemon that takes the name first
///   serves. The other ends without an answer. Its client begins again and finds the first daemon, which listens at the
///   path as soon as it sees there another socket that no daemon serves.
/// - A daemon leaves or is killed. A client that was refused may find the name still held for a moment, and waits for
///   this moment to pass.
/// - A client in another mount namespace starts no daemon. Its error reports the process id and the path of the daemon
///   that it cannot reach.
/// - Another user has the name. Clients and the daemon do without the name, and the daemon reports this. Three
///   protections remain: the lock file, the daemon's check of its folder, and the lock of its state folder. Then two
///   daemons can run only if the folder is removed and a client is faster than the daemon's check.
///
/// Processes that share neither the network namespace nor the folder cannot detect each other through this name. The
/// lock of the state folder remains: it stops a second daemon if both see the same home and the same processes.
public struct PlaceGuard: ~Copyable, Sendable {
    private let listener: OwnedDescriptor

    /// A daemon of this user that has the name.
    public struct Holder: Hashable, Sendable {
        /// The daemon's process id; nil if the daemon is in a process id namespace that this process cannot see.
        public let processID: Int32?
        /// The path of its socket, as the daemon sees it; nil if the daemon did not send it.
        public let path: String?
    }

    /// The state of the name, as this process sees it.
    public enum Occupation: Sendable {
        case free
        case held(Holder)
        /// Another user has the name; nil if that user is unknown.
        case squatted(by: UInt32?)
    }

    /// The outcome of `take`.
    public enum Taking: ~Copyable, Sendable {
        case taken(PlaceGuard)
        /// No daemon of this user has the name, and this process cannot take it, for the given reason.
        case unavailable(String)
    }

    /// How long a client waits for a daemon that is about to end or to listen again.
    static let patience = Duration.milliseconds(1_500)
    /// How long a daemon waits for another daemon to end. A daemon that leaves first gives the name up, and a killed
    /// daemon loses it at once. The wait is short because the client that started this daemon holds the lock file,
    /// which the other daemon may need.
    private static let endPatience = Duration.milliseconds(250)
    /// How long a socket of this name may give no answer before it counts as another user's.
    private static let uncertainty = Duration.milliseconds(100)
    /// How long to wait for the line with the path of the daemon's socket.
    private static let answerPatience = Duration.milliseconds(200)

    private static func name(in surroundings: Surroundings) -> String {
        "prwlock-\(surroundings.userID)\(surroundings.root)"
    }

    /// Takes the name. If a daemon of this user has it, waits for a moment in case that daemon is ending.
    ///
    /// - Throws: `servedElsewhere` if that daemon does not end.
    public static func take(in surroundings: Surroundings) throws(RendezvousError) -> Taking {
        let name = name(in: surroundings)
        var patience = Patience(until: Deadline(after: endPatience))
        // Bounds the wait for a socket that has the name without listening: it may be about to listen, or to be closed.
        var uncertainty = Patience(until: Deadline(after: uncertainty))
        while true {
            do throws(SystemError) {
                let listener = try AbstractSocket.listen(named: name, backlog: UnixSocket.defaultBacklog)
                return .taken(PlaceGuard(listener: listener))
            } catch {
                guard error.code == EADDRINUSE else { return .unavailable("\(error)") }
            }
            switch occupation(in: surroundings) {
            case .held(let holder): guard patience.pause() else { throw .servedElsewhere(holder) }
            case .free: guard uncertainty.pause() else { return .unavailable("another socket has its name") }
            case .squatted(let user):
                return .unavailable(user.map { "user \($0) has its name" } ?? "another socket has its name")
            }
        }
    }

    /// Returns the process that has the name now, or its user.
    public static func occupation(in surroundings: Surroundings) -> Occupation {
        let name = name(in: surroundings)
        var uncertainty = Patience(until: Deadline(after: uncertainty))
        while true {
            do throws(SystemError) {
                let connection = try AbstractSocket.connect(to: name)
                let owner = try PeerCredentials(of: connection)
                guard owner.userID == surroundings.userID else { return .squatted(by: owner.userID) }
                let path = readPath(from: connection)
                return .held(Holder(processID: owner.processID == 0 ? nil : owner.processID, path: path))
            } catch {
                // `EAGAIN`: the backlog is full. With any other error the name counts as free: no process has it, or
                // abstract sockets are forbidden.
                guard error.code == EAGAIN else { return .free }
                guard uncertainty.pause() else { return .squatted(by: nil) }
            }
        }
    }

    /// Returns the path in the daemon's line, `prwlockd pid=PID socket=PATH`. The path is encoded like a lock's name.
    private static func readPath(from connection: borrowing OwnedDescriptor) -> String? {
        var line: [UInt8] = []
        let end = Deadline(after: answerPatience)
        while line.count < 512 {
            var request = pollfd(fd: connection.rawValue, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, end.milliseconds) == 1 else { return nil }
            var chunk = [UInt8](repeating: 0, count: 512)
            let count = read(connection.rawValue, &chunk, chunk.count)
            guard count > 0 else { break }
            line += chunk[..<count]
            if line.contains(UInt8(ascii: "\n")) { break }
        }
        let fields = String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        return fields.first { $0.hasPrefix("socket=") }.map {
            NameAlphabet.decode(String($0.dropFirst("socket=".count)))
        }
    }

    // MARK: - In the daemon

    /// The number of the descriptor, which is readable when a process queries the name.
    public var rawValue: Int32 { listener.rawValue }

    /// Answers up to 16 waiting queries with the path of the daemon's socket.
    ///
    /// - Throws: the reason why no query can be accepted at the moment, for example that no descriptor is left.
    public borrowing func answer(path: String) throws(SystemError) {
        let line = Array("prwlockd pid=\(getpid()) socket=\(NameAlphabet.encode(path))\n".utf8)
        for _ in 0..<16 {
            guard let connection = try UnixSocket.accept(from: listener) else { return }
            // This does not block: the buffer of a new connection has room for one line.
            _ = send(connection.rawValue, line, line.count, Int32(MSG_NOSIGNAL))
        }
    }
}
