import Glibc
import LockVocabulary
import LockWire
import Rendezvous

/// A way to the lock daemon for programs without concurrency: one session, for one thread, without threads of its own.
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
    private var session: Session?
    private var connectedAt = Instant.now
    private var backOff = BackOff()

    /// How often a request is asked anew because the daemon went away before it answered.
    private static let mostTries = 5

    /// See `Client.init(socketPath:name:)`.
    public init(socketPath: String? = nil, name: String? = nil) {
        location = socketPath.map(SocketLocation.init(path:))
        greeting = Client.greeting(name)
    }

    /// A lock of this client's daemon; see `RWLock.init(_:client:)` for its name.
    public func lock(_ name: String) -> BlockingRWLock { BlockingRWLock(name, client: self) }

    /// Gets a lock, or an error.
    func acquire(_ request: Acquire) throws(LockError) -> BlockingHold {
        let deadline = request.wait.deadline(from: .now)
        var request = request
        var triesLeft = Self.mostTries
        while true {
            triesLeft -= 1
            let session = try connected()
            switch session.answer(to: .acquire(request)) {
            case .granted(let hold): return hold
            case .reply(let reply, _): throw LockError(refusal: reply) ?? .disconnected
            case .ended where triesLeft > 0:
                // It held nothing yet, so that it may ask the next daemon, for as long as is left to wait.
                if let deadline { request.wait = .upTo(max(.zero, Instant.now.duration(to: deadline))) }
            case .ended: throw .disconnected
            }
        }
    }

    /// The session, or a new one where there is none that this process can use.
    private func connected() throws(LockError) -> Session {
        if let session, session.isUsable { return session }
        let isAgain = session?.wasLost ?? false
        // Gone before the next one begins: in a child that was forked, nothing is said on its parent's socket.
        session = nil
        if Instant.now > connectedAt.advanced(by: BackOff.patience) { backOff = BackOff() }
        connectedAt = .now
        do throws(RendezvousError) {
            let new = Session(BlockingConnection(over: try backOff.connect(to: location, isAgain: isAgain)))
            new.send(.hello(client: greeting, recall: false))
            session = new
            return new
        } catch {
            throw .unreachable(error)
        }
    }

    /// One session and what is held in it.
    final class Session {
        /// What came of a request.
        enum Answer {
            case granted(BlockingHold)
            case reply(Reply, [Row])
            case ended
        }

        private var connection: BlockingConnection
        private var state = ConnectionState()
        private var holds: [Token: BlockingHold] = [:]
        private let processID = getpid()

        init(_ connection: consuming BlockingConnection) {
            self.connection = connection
            _ = state.opened()
        }

        /// Whether this process may use it, and the daemon is there.
        var isUsable: Bool { getpid() == processID && !state.hasEnded }

        /// Whether the daemon was there, for this process, and went away.
        var wasLost: Bool { getpid() == processID && state.hasEnded }

        /// Sends a request and waits for its answer.
        func answer(to verb: Verb) -> Answer {
            guard isUsable else { return .ended }
            let (id, actions) = state.submit(verb)
            var answer: Answer?
            carryOut(actions, answering: id, &answer)
            while true {
                if let answer { return answer }
                receive(timeout: nil, answering: id, &answer)
            }
        }

        /// Sends a request whose answer nobody waits for.
        func send(_ verb: Verb) {
            guard isUsable else { return }
            var answer: Answer?
            let (id, actions) = state.submit(verb)
            carryOut(actions, answering: id, &answer)
        }

        /// Gives a grant back without waiting, and forgets it.
        func abandon(_ token: Token, of name: LockName) {
            holds[token] = nil
            send(.release(name, Chooser(token: token)))
        }

        /// Takes notice of what the daemon has said meanwhile.
        func update() {
            guard isUsable else { return }
            var answer: Answer?
            while receive(timeout: .zero, answering: nil, &answer) {}
        }

        /// Takes the daemon's next line; false if there is none in time.
        @discardableResult
        private func receive(
            timeout: Duration?, answering id: ConnectionState.RequestID?, _ answer: inout Answer?
        ) -> Bool {
            do throws(ConnectionEnded) {
                guard let line = try connection.next(timeout: timeout) else { return false }
                carryOut(state.received(line), answering: id, &answer)
                return true
            } catch {
                carryOut(state.ended(), answering: id, &answer)
                return false
            }
        }

        /// Does what actions ask for; sets the answer if it is among them.
        private func carryOut(
            _ actions: [ConnectionState.Action], answering id: ConnectionState.RequestID?,
            _ answer: inout Answer?
        ) {
            for action in actions {
                switch action {
                case .send(let request):
                    // The end of the session is seen by whoever reads next.
                    try? connection.send(request)
                case .granted(let request, let granted):
                    let hold = BlockingHold(granted, in: self)
                    holds[granted.token] = hold
                    if request == id { answer = .granted(hold) }
                case .changed(let request, let old, let granted):
                    guard let hold = holds.removeValue(forKey: old) else { continue }
                    hold.terms = Hold.Terms(granted)
                    holds[granted.token] = hold
                    if request == id { answer = .granted(hold) }
                case .answered(let request, let reply, let rows):
                    if case .released(_, let token) = reply { holds[token] = nil }
                    if request == id { answer = .reply(reply, rows) }
                case .ended(let request):
                    if request == id { answer = .ended }
                case .lost(let token, let cause): holds.removeValue(forKey: token)?.lose(cause)
                case .withdrawn, .observed: break
                }
            }
        }
    }
}
