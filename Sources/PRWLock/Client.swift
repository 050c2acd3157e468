import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// A session with the lock daemon, shared by all tasks of this process.
///
/// A client connects with its first request, and starts the user's own daemon if none runs. When the connection ends, every
/// grant of the session is lost (``LockLost``) and is not acquired again. Requests that wait are sent to the next daemon,
/// for the time that is left to them. The session ends when the client and all its grants are gone.
///
/// The daemon limits a session to 10,000 grants: a request beyond that throws `LockError.refused` and affects no other. Of
/// the requests that wait, the daemon queues 1,000, and the client queues the others. A forked child has a session of its
/// own and none of its parent's grants.
public final class Client: Sendable {
    /// The client that locks use by default.
    public static let shared = Client()

    private struct Current {
        var connection: Connection?
        var backOff = BackOff()
        /// The sessions of watches that have not ended.
        var watches: [ObjectIdentifier: Connection] = [:]
        /// Whether a daemon has confirmed a watch.
        var hasWatched = false
        var isClosed = false
    }

    /// The daemon's socket; nil if the rules that all clients share decide.
    let location: SocketLocation?
    let greeting: Note
    /// What the client keeps for its locks.
    let cells: LockCells
    private let current = Guarded(Current())

    /// A client with a session of its own.
    ///
    /// - Parameters:
    ///   - socketPath: the path of the daemon's socket. If nil, the client finds the daemon as every client does: by
    ///     `PRWLOCK_SOCKET`; else the system's daemon if there is one; else the user's own, which is started if needed.
    ///   - name: the name of this client in the daemon's list of sessions; the program's name if nil.
    ///   - caches: whether a grant may stay with this process after its release, until another request wants the lock
    ///     (<doc:CachedGrants>).
    public init(socketPath: String? = nil, name: String? = nil, caches: Bool = true) {
        location = socketPath.map(SocketLocation.init(path:))
        greeting = Self.greeting(name)
        cells = LockCells(caches: caches)
    }

    /// The name of a client in the daemon's list of sessions: the given one, or its program's.
    static func greeting(_ name: String?) -> Note {
        let program = CommandLine.arguments.first?.split(separator: "/").last.map(String.init)
        return Note(fitting: name ?? program ?? "")
    }

    deinit {
        current.withLock { $0.connection }?.retire()
        cells.releaseAll()
    }

    /// A lock of this client's daemon, with any name.
    ///
    /// - Precondition: the name has 1 to 255 bytes once encoded. For names from outside, use `LockName(encoding:)`.
    public func lock(_ name: String) -> RWLock { RWLock(name, client: self) }

    /// A lock of this client's daemon, with a name that is encoded already.
    public func lock(_ name: LockName) -> RWLock { RWLock(name, client: self) }

    /// Whether the program has closed the client.
    var isClosed: Bool { current.withLock { $0.isClosed } }

    /// Ends the session of the client, and its watches, at once. The client cannot be used again.
    ///
    /// - Every grant is lost (`LockLost.Cause.closed`), and the daemon frees the locks. The body of a `with…Lock` is
    ///   cancelled.
    /// - Every call that waits throws `LockError.closed`, and so do every later call and a loop over ``LockEvents``.
    ///
    /// The call waits for nothing, and may be repeated. Any task or thread may make it. In a forked child it closes the
    /// child's client only: the parent's session and its grants stay.
    public func close() {
        let connections = current.withLock { current in
            current.isClosed = true
            return [current.connection].compactMap(\.self) + current.watches.values
        }
        for connection in connections { connection.close() }
    }

    // MARK: Asking

    /// Acquires a lock. A task that is cancelled meanwhile gets none.
    ///
    /// - Parameter time: the time of the whole call; by default it begins now.
    func acquire(_ request: Acquire, _ time: CallTime? = nil) async throws -> Hold {
        let time = time ?? CallTime(waiting: request.wait)
        let (outcome, connection) = try await outcome(of: .acquire(request), time)
        guard case .granted(let grant) = outcome else { preconditionFailure("a lock is granted or refused") }
        let hold = Hold(grant, on: connection)
        guard Task.isCancelled else { return hold }
        hold.abandon()
        throw CancellationError()
    }

    /// Asks a question.
    ///
    /// - Parameter timeout: how long the daemon may be silent.
    func ask(_ verb: Verb, timeout: Duration) async throws -> (Reply, [Row]) {
        let (outcome, _) = try await outcome(of: .other(verb), CallTime(asking: try Checked.timeout(timeout)))
        guard case .answered(let reply, let rows) = outcome else { preconditionFailure("it is no question") }
        return (reply, rows)
    }

    /// The outcome of a call that the next session may make again if this one ends before the daemon answers.
    private func outcome(
        of call: Session.Call, _ time: CallTime
    ) async throws -> (Session.Outcome, Connection) {
        while true {
            let connection = try connection()
            let outcome = await connection.outcome(of: call, time)
            if case .unanswered = outcome { continue }
            try outcome.confirm()
            return (outcome, connection)
        }
    }

    // MARK: Connecting

    /// The connection, or a new one if this process cannot use it.
    private func connection() throws(LockError) -> Connection {
        let found = current.withLock { current -> (Connection, Connection?, BackOff?)? in
            if current.isClosed { return nil }
            if let connection = current.connection, connection.isUsable {
                return (connection, nil, nil)
            }
            let new = Connection(greeting: greeting, memory: cells.memory)
            defer { current.connection = new }
            return (new, current.connection, current.backOff.begin(at: .now))
        }
        guard let (connection, former, pauses) = found else { throw .closed }
        if let pauses {
            cells.forgetSessions()
            former?.leaveToParent()
            start(connection, isAgain: former?.wasLost ?? false, pauses: pauses)
        }
        return connection
    }

    /// Begins the session of a watch. `close` ends it too.
    ///
    /// - Parameter isAgain: whether a daemon was there a moment ago; true also if this client has watched before.
    func beginWatch(
        into queue: EventQueue, isAgain: Bool, pauses: BackOff, by end: Deadline
    ) throws(LockError) -> Connection {
        let connection = Connection(greeting: greeting) { notice in
            switch notice {
            case .changed(let change): queue.add(.changed(change))
            case .missed(let count): queue.add(.missed(count))
            case .expired, .revoked, .recall, .until, .drain, .resumed: break
            }
        }
        let id = ObjectIdentifier(connection)
        let hasWatched = current.withLock { current -> Bool? in
            if current.isClosed { return nil }
            current.watches[id] = connection
            return current.hasWatched
        }
        guard let hasWatched else { throw .closed }
        connection.end.whenFulfilled { [weak self] error in
            queue.end(because: error)
            self?.current.withLock { $0.watches[id] = nil }
        }
        start(connection, isAgain: isAgain || hasWatched, pauses: pauses, by: end)
        return connection
    }

    /// Notes that a daemon has confirmed a watch.
    func watchIsConfirmed() { current.withLock { $0.hasWatched = true } }

    /// Connects, on the connection's own thread.
    private func start(
        _ connection: Connection, isAgain: Bool, pauses: BackOff, by end: Deadline = .never
    ) {
        connection.start { [location] reporting throws(RendezvousError) in
            var pauses = pauses
            return try withoutActuallyEscaping(reporting) { reporting throws(RendezvousError) in
                try pauses.connect(to: location, isAgain: isAgain, by: end, reporting: reporting)
            }
        }
    }
}
