import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// A session with the lock daemon for one thread of a program without concurrency. It has no threads of its own.
///
/// A client connects with its first request, and starts the user's own daemon if none runs. All locks of one client have
/// one owner (see ``LockOwner``): a request that conflicts with a grant of this client throws `LockError.deadlock`. So use
/// one client for each thread.
///
/// The client learns of a loss in its next call, or by ``BlockingGrant/lost``. Nothing interrupts the program. A forked
/// child has a session of its own and none of its parent's grants.
public final class BlockingClient {
    /// The daemon's socket; nil if the rules that all clients share decide.
    let location: SocketLocation?
    private let greeting: Note
    /// What the client keeps for its locks.
    let cells: BlockingCells
    private var session: BlockingSession?
    private var backOff = BackOff()
    private var isClosed = false

    /// A client with a session of its own.
    ///
    /// - Parameters:
    ///   - socketPath: the path of the daemon's socket; see ``Client/init(socketPath:name:caches:)`` for nil.
    ///   - name: the name of this client in the daemon's list of sessions; the program's name if nil.
    ///   - caches: whether a grant may stay with this client after its release, until another request wants the lock
    ///     (<doc:CachedGrants>).
    public init(socketPath: String? = nil, name: String? = nil, caches: Bool = true) {
        location = socketPath.map(SocketLocation.init(path:))
        greeting = Client.greeting(name)
        cells = BlockingCells(caches: caches)
    }

    /// A lock of this client's daemon, with any name.
    ///
    /// - Precondition: the name has 1 to 255 bytes once encoded. For names from outside, use `LockName(encoding:)`.
    public func lock(_ name: String) -> BlockingRWLock { BlockingRWLock(name, client: self) }

    /// A lock of this client's daemon, with a name that is encoded already.
    public func lock(_ name: LockName) -> BlockingRWLock { BlockingRWLock(name, client: self) }

    /// Ends the session at once. The client cannot be used again.
    ///
    /// Every grant is lost (`LockLost.Cause.closed`), and the daemon frees the locks. Every later call throws
    /// `LockError.closed`. The call waits for nothing, and may be repeated. In a forked child it closes the child's client
    /// only: the parent's session and its grants stay.
    public func close() {
        isClosed = true
        session?.close()
        session = nil
    }

    /// - Parameter time: the time of the whole call; by default it begins now.
    func acquire(_ request: Acquire, _ time: CallTime? = nil) throws(LockError) -> BlockingGrant {
        let cell = cells.cell(request.name)
        if request.mayCache, let entered = cell.enter(request.mode) {
            if let cached = cell.cached(entered) {
                return BlockingGrant(cached.grant, of: cached.session, in: cell, entered)
            }
        }
        let time = time ?? CallTime(waiting: request.wait)
        while true {
            let session = try connected(by: Deadline(time.end))
            switch session.outcome(of: .acquire(request), time) {
            case .granted(let grant):
                guard let entered = cell.add(grant, of: session), let slot = session.terms(of: grant).slot
                else {
                    return BlockingGrant(grant, of: session)
                }
                cells.keep(cell, for: slot)
                return BlockingGrant(grant, of: session, in: cell, entered)
            case .refused(let error): throw error
            case .unanswered: continue
            case .done, .answered, .lost, .cancelled: preconditionFailure("a lock is granted or refused")
            }
        }
    }

    /// The session, or a new one if this process cannot use it.
    private func connected(by deadline: Deadline) throws(LockError) -> BlockingSession {
        if isClosed { throw .closed }
        if let session, session.isUsable { return session }
        let isAgain = session?.wasLost ?? false
        // A forked child closes its parent's socket before it connects.
        session = nil
        cells.forgetSessions()
        var pauses = backOff.begin(at: .now)
        do throws(RendezvousError) {
            let socket = try pauses.connect(to: location, isAgain: isAgain, by: deadline)
            let new = BlockingSession(
                BlockingConnection(over: socket), greeting: greeting, memory: cells.memory)
            session = new
            return new
        } catch {
            throw .unreachable(error)
        }
    }
}
