import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// This process's way to the lock daemon: one session, shared by all its tasks.
///
/// It connects with the first request, and starts the user's own daemon if none runs. When the connection ends, all that
/// was held through it is lost, and told to be so (`LockLost`); it is never silently taken again. What was only asked
/// for is asked of the next daemon. The session ends when the client and all its grants are gone.
///
/// The daemon bounds what one session may hold (10,000 grants) and wait for (1,000 requests); what goes over is
/// `LockError.refused`, and harms nothing else. A process that was forked has a session of its own: it leaves its
/// parent's alone, and holds nothing of it.
public final class Client: Sendable {
    /// The one that locks use unless they are told otherwise.
    public static let shared = Client()

    fileprivate struct Current {
        var connection: Connection?
        var connectedAt = Instant.now
        var backOff = BackOff()
    }

    private let location: SocketLocation?
    private let greeting: Note
    private let current = Guarded(Current())

    /// How often a request is asked anew because the daemon went away before it answered.
    private static let mostTries = 5

    /// - Parameters:
    ///   - socketPath: where the daemon's socket is. Without it the daemon is found as by every client:
    ///     `PRWLOCK_SOCKET`; the system's, if that has one; else the user's own, which is started if need be.
    ///   - name: what this client is called in the daemon's list of sessions; the program's name if nil.
    public init(socketPath: String? = nil, name: String? = nil) {
        location = socketPath.map(SocketLocation.init(path:))
        greeting = Self.greeting(name)
    }

    /// What a client calls itself: the name that it was given, or its program's.
    static func greeting(_ name: String?) -> Note {
        let program = CommandLine.arguments.first?.split(separator: "/").last.map(String.init)
        return Note(fitting: name ?? program ?? "")
    }

    deinit { current.withLock { $0.connection }?.retire() }

    /// A lock of this client's daemon; see `RWLock.init(_:client:)`.
    public func lock(_ name: String) -> RWLock { RWLock(name, client: self) }

    // MARK: Asking

    /// Gets a lock, or an error; a task that is cancelled meanwhile gets neither.
    func acquire(_ request: Acquire) async throws -> Hold {
        var time = CallTime(request.wait)
        var triesLeft = Self.mostTries
        while true {
            triesLeft -= 1
            let answer = await connection().answer(
                to: .acquire(request), until: time.deadline, by: time.end)
            switch answer {
            case .granted(let hold):
                guard Task.isCancelled else { return hold }
                hold.abandon()
                throw CancellationError()
            case .withdrawn: throw CancellationError()
            case .reply(.busy(_, _, let heldBy), _) where time.mayAskAgain(heldBy: heldBy):
                try await Task.sleep(for: CallTime.gracePause)
                triesLeft += 1
            case .reply(let reply, _):
                throw LockError(refusal: reply, waited: time.waited) ?? .disconnected
            // It held nothing yet, so that it may ask the next daemon, for as long as is left to wait.
            case .ended(.disconnected) where triesLeft > 0: continue
            case .ended(let error), .silent(let error): throw error
            }
        }
    }

    /// Asks for something that changes nothing, so that it may be asked twice.
    ///
    /// - Parameter timeout: how long the daemon may say nothing.
    func ask(_ verb: Verb, timeout: Duration) async throws -> (Reply, [Row]) {
        let end = Deadline(after: timeout)
        var triesLeft = Self.mostTries
        while true {
            triesLeft -= 1
            switch await connection().answer(to: verb, by: end, patience: timeout) {
            case .reply(let reply, let rows):
                if let error = LockError(refusal: reply) { throw error }
                return (reply, rows)
            case .ended(.disconnected) where triesLeft > 0: continue
            case .ended(let error), .silent(let error): throw error
            case .granted, .withdrawn: throw CancellationError()
            }
        }
    }

    // MARK: Connecting

    /// The connection, or a new one where there is none that this process can use.
    private func connection() -> Connection {
        let connection = Connection()
        let (existing, former, pauses) = current.withLock { current in current.replace(with: connection) }
        if let existing { return existing }
        former?.leaveToParent()
        start(connection, isAgain: former?.wasLost ?? false, pauses: pauses)
        return connection
    }

    /// Connects, on the connection's own thread.
    func start(_ connection: Connection, isAgain: Bool = false, pauses: BackOff = BackOff()) {
        connection.send(.hello(client: greeting, recall: nil))
        connection.start { [location] telling throws(RendezvousError) in
            var pauses = pauses
            return try withoutActuallyEscaping(telling) { telling throws(RendezvousError) in
                try pauses.connect(to: location, isAgain: isAgain, telling: telling)
            }
        }
    }
}

extension Client.Current {
    /// Puts a new connection in the place of one that cannot be used; returns the one that can, or the one replaced
    /// and the pauses to make.
    fileprivate mutating func replace(with new: Connection) -> (
        usable: Connection?, former: Connection?, BackOff
    ) {
        if let connection, connection.isUsable { return (connection, nil, backOff) }
        let former = connection
        // A daemon that was there for long is no reason to wait for the next.
        if Instant.now > connectedAt.advanced(by: BackOff.patience) { backOff = BackOff() }
        let pauses = backOff
        backOff.skip()
        connection = new
        connectedAt = .now
        return (nil, former, pauses)
    }
}
