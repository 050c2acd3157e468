import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// Where the daemon serves, and what it does so that it stays the only one of its user.
///
///                      its path names another file, or none
///   [ AT ITS PATH ] ─────────────────────────────────────▶ [ DISPLACED ]
///      ▲      │ ◀───────────────────────────────────────────────┘
///      │      │           listens there anew (with the lock file)
///      │      ▼ the folder of the system's daemon appears
///   [ YIELDING ] (serves on, new sessions too, and leaves as soon as there is none; may be displaced too)
///
/// A daemon that starts where the system's folder exists already ends without an answer. So a client that saw no
/// such folder, and started it, begins again and finds the folder.
///
/// Only the user's own daemon has a guard and yields. What the service manager listens for is the service manager's to
/// listen for again.
struct Place: ~Copyable {
    private let endpoint: Endpoint
    private let surroundings: Surroundings
    /// The daemon yields when this folder appears; nil for a daemon that never yields.
    private let systemDirectory: String?
    /// The guard's descriptor; nil if it has none.
    private var guardNumber: Int32?
    private var occupation: PlaceGuard?
    private var watch: PlaceWatch?
    /// Whether the system's daemon is to take its place.
    private(set) var isYielding = false
    /// When to try again what could not be done at once.
    var retry: Instant?
    /// Whether it was said that the place is lost.
    var hasReportedLoss = false

    /// Takes the guard, and begins to watch the place.
    init(
        _ endpoint: Endpoint, in surroundings: Surroundings, _ journal: Journal
    ) throws(Departure) {
        let systemDirectory = endpoint.isUserOwn ? surroundings.systemDirectory : nil
        let occupation =
            endpoint.isUserOwn ? try Self.occupy(in: surroundings, at: endpoint.path ?? "", journal) : nil
        let watch = Self.watch(endpoint.path, systemDirectory)
        // After the watch has begun, so that a folder that appears after this look is seen too.
        if endpoint.isUserOwn, surroundings.hasSystemDirectory { throw Self.systemIsMeant(surroundings) }
        self.endpoint = endpoint
        self.surroundings = surroundings
        self.systemDirectory = systemDirectory
        guardNumber = occupation.inspect { $0.rawValue }
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
        // At once, and not after it has waited for another daemon.
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

    private static func watch(_ path: String?, _ systemDirectory: String?) -> PlaceWatch? {
        guard let path else { return nil }
        return try? PlaceWatch(path, systemDirectory: systemDirectory)
    }

    /// Whether a second daemon of this user is kept away by a name that no cleaner removes.
    var isGuarded: Bool { guardNumber != nil }

    /// The mode of the socket's folder, should it have to be made again.
    var folderMode: UInt32 { watch.inspect { $0.folderMode } ?? 0o700 }

    /// Has the event set tell of changes and questions.
    func join(_ events: borrowing EventSet) throws(SystemError) {
        try joinWatch(events)
        if let guardNumber { try events.add(guardNumber, .questions, .readable) }
    }

    private func joinWatch(_ events: borrowing EventSet) throws(SystemError) {
        if case let number?? = watch.inspect({ $0.rawValue }) { try events.add(number, .place, .readable) }
    }

    /// The daemon listens anew at its path.
    mutating func settle(in events: borrowing EventSet) throws(SystemError) {
        watch = Self.watch(endpoint.path, systemDirectory)
        try joinWatch(events)
        retry = nil
        hasReportedLoss = false
    }

    /// Looks at the place. Returns whether the path still leads to the daemon.
    mutating func look() -> Bool {
        let isIntact = watch.inspect { watch in
            watch.acknowledge()
            return watch.isIntact
        }
        if endpoint.isUserOwn, surroundings.hasSystemDirectory { isYielding = true }
        return endpoint.path == nil || isIntact ?? false
    }

    /// Answers processes that ask which daemon is the user's; false if it cannot at the moment.
    func answer() -> Bool {
        let path = endpoint.path ?? ""
        return occupation.inspect { (try? $0.answer(path: path)) != nil } ?? true
    }

    /// Gives the guard up, as the socket has been: a client that asks may start another daemon.
    mutating func vacate() {
        occupation = nil
        guardNumber = nil
    }

    /// Hears questions, or leaves them for later.
    func hear(_ hears: Bool, in events: borrowing EventSet) {
        if let guardNumber { events.change(guardNumber, .questions, hears ? .readable : []) }
    }
}
