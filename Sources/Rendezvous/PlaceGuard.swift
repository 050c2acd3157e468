import Glibc
import LockVocabulary
public import Posix

/// The abstract socket that a user's own daemon holds while it runs: one daemon for each user, whatever becomes of files.
///
/// The lock file and the socket can be removed, and another process may see another `/tmp`. This name cannot be removed,
/// and all processes of a network namespace see the same one. It is used for nothing but the question which daemon has
/// it: the kernel says whose it is, and one line that the daemon writes to each connection says where it serves.
///
///               bind, listen
///   [ FREE ] ────────────────▶ [ HELD by this user's daemon ]
///     ▲  ▲                          │
///     │  └── ends, is killed ───────┘
///     │         bind
///     └───────────────────────▶ [ SQUATTED by another user's process ]
///
/// Invariants:
/// 1. A daemon at a user's own place serves nobody before it has the name, unless the name is squatted. So of two daemons
///    in one network namespace at most one serves, by whatever listener each was started.
/// 2. A client binds the user's own place, or goes to the system's daemon instead, only after it has seen the name free or
///    squatted. While this user's daemon has the name, the client tries to reach that daemon for a while, and fails then.
/// 3. The owner is the effective user at `listen()` by `SO_PEERCRED`, which no process can forge.
///
/// The interleavings that matter:
/// - The daemon's folder is removed while a session holds a lock. A client finds no socket and makes the folder again, or
///   sees the folder of the system's daemon; it asks for the name, finds it held, and waits until the daemon listens again.
///   The question itself wakes the daemon, which looks whether its path still names its socket.
/// - The folder is removed between a client's bind and the first act of the daemon D1 that it started. A second client finds
///   nothing and the name free, and starts D2. One of the two has the name first, and serves. The other ends without an
///   answer, and its client begins again and finds the first, which listens at the path as soon as it sees that another
///   socket stands there that nobody serves.
/// - A daemon leaves or is killed. A client that was refused may find the name still held for a moment; it waits for that.
/// - A client in another mount namespace starts nothing, and learns the process id and the path of the daemon that it
///   cannot reach.
/// - Another user has the name. Clients and daemon do without it, and the daemon says so: what is left is the lock file,
///   the daemon's look at its folder, and the lock of its state folder. Two daemons then take the removal of the folder, and
///   a client that is quicker than the daemon's look.
///
/// Processes that share neither the network namespace nor the folder cannot learn of each other by this. The lock of the state
/// folder is left: it keeps a second daemon from serving where both see the same home and the same processes.
public struct PlaceGuard: ~Copyable, Sendable {
    private let listener: OwnedDescriptor

    /// A daemon of this user that has the name.
    public struct Holder: Hashable, Sendable {
        /// Its process id; nil if it lives in a process id namespace that this process cannot see.
        public let processID: Int32?
        /// The path of its socket, as the daemon sees it; nil if it did not say.
        public let path: String?
    }

    /// What is known of the name.
    public enum Occupation: Sendable {
        case free
        case held(Holder)
        /// Another user has it; nil if it could not be learned which.
        case squatted(by: UInt32?)
    }

    /// The outcome of `take`.
    public enum Taking: ~Copyable, Sendable {
        case taken(PlaceGuard)
        /// Nobody of this user has it, and this process cannot have it, for the reason given.
        case unavailable(String)
    }

    /// How long a client waits for a daemon that is about to end, or to listen again.
    static let patience = Duration.milliseconds(1_500)
    /// How long a daemon waits for another to end. One that leaves gives the name up first, and one that is killed leaves it
    /// at once: so it is short, for the client that started this daemon has the lock file, which the other may need.
    private static let endPatience = Duration.milliseconds(250)
    /// How long a socket of that name may stand without an answer before it is taken for another user's.
    private static let uncertainty = Duration.milliseconds(100)
    /// How long to wait for the line that says where the daemon serves.
    private static let answerPatience = Duration.milliseconds(200)

    private static func name(in surroundings: Surroundings) -> String {
        "prwlock-\(surroundings.userID)\(surroundings.root)"
    }

    /// Takes the name; waits for a moment for a daemon of this user that may be ending.
    ///
    /// - Throws: `servedElsewhere` if that daemon does not end.
    public static func take(in surroundings: Surroundings) throws(RendezvousError) -> Taking {
        let name = name(in: surroundings)
        var patience = Patience(until: Deadline(after: endPatience))
        // For a socket that has the name and does not listen: it may be about to, or to be closed.
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

    /// Which process has the name now.
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
                // No room for another question; where abstract sockets are forbidden, there is nothing to ask.
                guard error.code == EAGAIN else { return .free }
                guard uncertainty.pause() else { return .squatted(by: nil) }
            }
        }
    }

    /// The path in the line that a daemon writes: `prwlockd pid=PID socket=PATH`, the path encoded as a lock's name is.
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

    /// The descriptor's number, readable when a process asks.
    public var rawValue: Int32 { listener.rawValue }

    /// Tells processes that ask where the daemon serves, a few at a time.
    ///
    /// - Throws: the reason why no question can be taken at the moment, such as that no descriptor is left.
    public borrowing func answer(path: String) throws(SystemError) {
        let line = Array("prwlockd pid=\(getpid()) socket=\(NameAlphabet.encode(path))\n".utf8)
        for _ in 0..<16 {
            guard let connection = try UnixSocket.accept(from: listener) else { return }
            // A new connection has room for one line.
            _ = send(connection.rawValue, line, line.count, Int32(MSG_NOSIGNAL))
        }
    }
}
