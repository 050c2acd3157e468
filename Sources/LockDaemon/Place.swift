import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// The place where the daemon serves, and the guard that keeps it the only daemon of its user.
///
///                      its path names another file, or none
///   [ AT ITS PATH ] ─────────────────────────────────────▶ [ DISPLACED ]
///      ▲      │ ◀───────────────────────────────────────────────┘
///      │      │           listens there again (with the lock file)
///      │      ▼ the folder of the system's daemon appears
///   [ YIELDING ] (serves on, new sessions too, and leaves as soon as it has none; may be displaced too)
///
/// A daemon that starts where the system's folder exists already ends without an answer. So a client that saw no
/// such folder, and started the daemon, begins again and finds the folder.
///
/// Only the user's own daemon has a guard and yields. Only the service manager can listen again on its own socket.
@MainActor final class Place {
    private let endpoint: Endpoint
    private let surroundings: Surroundings
    /// The guard. Processes ask over its socket which daemon is the user's. Nil for a daemon without a guard.
    private var occupation: PlaceGuard?
    private var questions: ReadSource?
    /// Nil for a socket without a path.
    private var watch: PlaceWatch?
    private var changes: ReadSource?
    /// Whether the system's daemon is to take its place.
    private(set) var isYielding = false
    /// Counts the delayed checks, because only the last one is valid.
    var retries = 0
    /// Whether the journal has reported that the place is lost.
    var hasReportedLoss = false

    /// Takes the guard, and begins to watch the place.
    ///
    /// - Parameter kept: the `watchDescriptor` of the worker before this one; nil if there is none.
    init(
        _ endpoint: Endpoint, in surroundings: Surroundings, _ journal: Journal,
        kept: consuming OwnedDescriptor?
    ) throws(Departure) {
        let systemDirectory = endpoint.isUserOwn ? surroundings.systemDirectory : nil
        let occupation =
            endpoint.isUserOwn ? try Self.occupy(in: surroundings, at: endpoint.path ?? "", journal) : nil
        let watch: PlaceWatch?
        if let path = endpoint.path {
            watch = PlaceWatch(path, systemDirectory: systemDirectory, kept: kept)
        } else {
            watch = nil
        }
        // The watch has begun before this check, so it reports a folder that appears after the check.
        if endpoint.isUserOwn, surroundings.hasSystemDirectory { throw Self.systemIsMeant(surroundings) }
        self.endpoint = endpoint
        self.surroundings = surroundings
        self.occupation = consume occupation
        self.watch = consume watch
    }

    private static func systemIsMeant(_ surroundings: Surroundings) -> Departure {
        Departure(
            .alreadyServed,
            "the system's daemon serves this host, as \(surroundings.systemDirectory) exists: a user's own is not to serve beside it"
        )
    }

    private static func occupy(
        in surroundings: Surroundings, at path: String, _ journal: Journal
    ) throws(Departure) -> PlaceGuard? {
        // Check this first: to take the guard may mean to wait for another daemon.
        if surroundings.hasSystemDirectory { throw systemIsMeant(surroundings) }
        do throws(RendezvousError) {
            switch try PlaceGuard.take(in: surroundings) {
            case .taken(let guarded): return guarded
            case .unavailable(let reason):
                journal.write(
                    .warning,
                    "no guard keeps a second daemon of this user away if \(path) is removed, or from another /tmp: \(reason)"
                )
                return nil
            }
        } catch {
            throw Departure(.alreadyServed, "\(error)")
        }
    }

    /// The descriptor that a keeper keeps for the next worker; nil if nothing is watched.
    var watchDescriptor: Int32? { watch.inspect { $0.rawValue } ?? nil }

    /// The mode of the socket's folder, should it have to be made again.
    var folderMode: UInt32 { watch.inspect { $0.folderMode } ?? 0o700 }

    /// Calls the handlers when something may have changed, and when a process asks which daemon is the user's.
    func begin(changed: @escaping @MainActor () -> Void, asked: @escaping @MainActor () -> Void) {
        if let number = watchDescriptor { changes = ReadSource(number, changed) }
        questions = occupation.inspect { ReadSource($0.rawValue, asked) }
    }

    /// Watches the new socket at the path.
    func renew() {
        watch?.renew()
        retries += 1
        hasReportedLoss = false
    }

    /// Checks the place. Returns whether the path still leads to the daemon.
    func look() -> Bool {
        let isIntact = watch.inspect { watch in
            watch.acknowledge()
            return watch.isIntact
        }
        if endpoint.isUserOwn, surroundings.hasSystemDirectory { isYielding = true }
        return endpoint.path == nil || isIntact ?? false
    }

    /// Answers processes that ask which daemon is the user's. Returns false if that is not possible at the moment.
    func answer() -> Bool {
        let path = endpoint.path ?? ""
        return occupation.inspect { (try? $0.answer(path: path)) != nil } ?? true
    }

    /// Leaves questions in the backlog, or answers them again.
    func hear(_ hears: Bool) {
        if hears { questions?.resume() } else { questions?.suspend() }
    }

    /// Gives up the guard after the socket: a client that asks may start another daemon.
    func vacate() {
        questions?.cancel { self.occupation = nil }
        questions = nil
    }
}
