import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// A connection to the lock daemon for programs without concurrency: one session, for one thread, without threads of its
/// own.
///
/// It connects with the first request, and starts the user's own daemon if none runs. All locks of one client are one
/// owner (see `LockOwner`): what this client asks for in a mode that conflicts with what it holds is refused as a
/// deadlock. So use one client for what belongs together, and one for each thread.
///
/// A loss is noticed when the daemon is asked for something, or by `BlockingGrant.lost`; nothing interrupts the program.
/// A process that was forked has a session of its own, and holds nothing of its parent's.
public final class BlockingClient {
    private let location: SocketLocation?
    private let greeting: Note
    private var session: BlockingSession?
    private var backOff = BackOff()

    /// See `Client.init(socketPath:name:)`.
    public init(socketPath: String? = nil, name: String? = nil) {
        location = socketPath.map(SocketLocation.init(path:))
        greeting = Client.greeting(name)
    }

    /// A lock of this client's daemon; see `RWLock.init(_:client:)` for its name.
    public func lock(_ name: String) -> BlockingRWLock { BlockingRWLock(name, client: self) }

    func acquire(_ request: Acquire) throws(LockError) -> BlockingGrant {
        let time = CallTime(waiting: request.wait)
        while true {
            let session = try connected(by: Deadline(time.end))
            switch session.outcome(of: .acquire(request), time) {
            case .granted(let grant): return BlockingGrant(grant, of: session)
            case .refused(let error): throw error
            case .unanswered: continue
            case .done, .answered, .lost, .cancelled: preconditionFailure("a lock is granted or refused")
            }
        }
    }

    /// The session, or a new one if this process cannot use it.
    private func connected(by deadline: Deadline) throws(LockError) -> BlockingSession {
        if let session, session.isUsable { return session }
        let isAgain = session?.wasLost ?? false
        // A forked child closes its parent's socket before it connects.
        session = nil
        var pauses = backOff.begin(at: .now)
        do throws(RendezvousError) {
            let socket = try pauses.connect(to: location, isAgain: isAgain, by: deadline)
            let new = BlockingSession(BlockingConnection(over: socket), greeting: greeting)
            session = new
            return new
        } catch {
            throw .unreachable(error)
        }
    }
}
