import Glibc
import LockVocabulary
import LockWire
import Posix
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
        var time = CallTime(request.wait)
        var triesLeft = Self.mostTries
        while true {
            triesLeft -= 1
            let session = try connected(by: time.end)
            switch session.answer(to: .acquire(request), until: time.deadline, by: time.end) {
            case .granted(let hold): return hold
            case .reply(.busy(_, _, let heldBy), _) where time.mayAskAgain(heldBy: heldBy):
                usleep(UInt32(CallTime.gracePause / .microseconds(1)))
                triesLeft += 1
            case .reply(let reply, _):
                throw LockError(refusal: reply, waited: time.waited) ?? .disconnected
            case .silent(let daemon): throw .unreachable(.noAnswer(daemon))
            // It held nothing yet, so that it may ask the next daemon, for as long as is left to wait.
            case .ended where triesLeft > 0: continue
            case .ended: throw .disconnected
            }
        }
    }

    /// The session, or a new one where there is none that this process can use.
    private func connected(by deadline: Deadline) throws(LockError) -> Session {
        if let session, session.isUsable { return session }
        let isAgain = session?.wasLost ?? false
        // Gone before the next one begins: in a child that was forked, nothing is said on its parent's socket.
        session = nil
        if Instant.now > connectedAt.advanced(by: BackOff.patience) { backOff = BackOff() }
        connectedAt = .now
        do throws(RendezvousError) {
            let socket = try backOff.connect(to: location, isAgain: isAgain, by: deadline)
            let new = Session(BlockingConnection(over: socket))
            new.send(.hello(client: greeting, recall: nil))
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
            /// The daemon did not answer in time.
            case silent(SilentDaemon)
            case ended
        }

        /// What a call waits for, and for how long.
        private struct Call {
            var request: ConnectionState.RequestID?
            var end: Deadline
            var answer: Answer?
        }

        /// How long a line may take to be sent whose answer the caller does not wait for.
        private static let sendTime = Duration.seconds(1)
        /// How long the daemon may take to answer that a request is undone. One that is only slow does so at once.
        private static let undoingTime = Duration.milliseconds(100)

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
        ///
        /// - Parameters:
        ///   - deadline: until when the request may wait; without it, what the request says itself.
        ///   - end: until when the call waits for the answer.
        func answer(to verb: Verb, until deadline: Instant? = nil, by end: Deadline = .never) -> Answer {
            guard isUsable else { return .ended }
            let (id, actions) = state.submit(verb, until: deadline, at: .now)
            var call = Call(request: id, end: end)
            carryOut(actions, &call)
            while true {
                if let answer = call.answer { return answer }
                if !receive(&call), call.answer == nil, end.isOver { return giveUp(id) }
            }
        }

        /// Undoes a request that the daemon has not answered in time (see `ConnectionState`).
        ///
        /// This session has no thread that reads on. So if what undoes the request is not answered either, it ends, unless
        /// that would lose a grant: then the daemon undoes the request when it reads on, and this session sees the
        /// answers in its next call.
        private func giveUp(_ id: ConnectionState.RequestID) -> Answer {
            var call = Call(request: id, end: Deadline(after: Self.undoingTime))
            carryOut(state.giveUp(id), &call)
            while state.isOpen(id), receive(&call) {}
            if state.isOpen(id), state.isForsaken {
                connection.close()
                carryOut(state.ended(), &call)
            }
            return call.answer ?? .silent(connection.silentDaemon)
        }

        /// Sends a request whose answer the caller does not wait for.
        func send(_ verb: Verb) {
            guard isUsable else { return }
            var call = Call(end: Deadline(after: Self.sendTime))
            carryOut(state.submit(verb).1, &call)
        }

        /// Gives a grant back without waiting, and forgets it.
        func abandon(_ token: Token, of name: LockName) {
            holds[token] = nil
            send(.release(name, GrantChoice(token: token)))
        }

        /// Takes notice of what the daemon has said meanwhile.
        func update() {
            guard isUsable else { return }
            var call = Call(end: Deadline(after: .zero))
            while receive(&call) {}
        }

        /// Takes the daemon's next line; false if there is none in time.
        private func receive(_ call: inout Call) -> Bool {
            do throws(ConnectionEnded) {
                guard let line = try connection.next(by: call.end) else { return false }
                carryOut(state.received(line, at: .now), &call)
                return true
            } catch {
                carryOut(state.ended(), &call)
                return false
            }
        }

        /// Does what actions ask for; sets the call's answer if it is among them.
        private func carryOut(_ actions: [ConnectionState.Action], _ call: inout Call) {
            for action in actions {
                switch action {
                case .send(let request):
                    // The end of the session is seen by who reads next.
                    try? connection.send(request, by: call.end)
                case .granted(let request, let granted):
                    let hold = BlockingHold(granted, in: self)
                    holds[granted.token] = hold
                    if request == call.request { call.answer = .granted(hold) }
                case .changed(let request, let old, let granted):
                    guard let hold = holds.removeValue(forKey: old) else { continue }
                    hold.terms = Hold.Terms(granted)
                    holds[granted.token] = hold
                    if request == call.request { call.answer = .granted(hold) }
                case .answered(let request, let reply, let rows):
                    if case .released(_, let token) = reply { holds[token] = nil }
                    if request == call.request { call.answer = .reply(reply, rows) }
                case .ended(let request):
                    if request == call.request { call.answer = .ended }
                case .lost(let token, let cause): holds.removeValue(forKey: token)?.lose(cause)
                case .gaveUp(let request):
                    if request == call.request { call.answer = .silent(connection.silentDaemon) }
                case .withdrawn, .observed: break
                }
            }
        }
    }
}
