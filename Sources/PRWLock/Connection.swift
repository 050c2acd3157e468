import Glibc
import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// One session and its socket, shared by all tasks of this process.
///
/// Whoever asks sends its line itself; a thread of the connection's own reads the replies, and is also the one that
/// connects, for that may take as long as a daemon takes to start. The rules are `ConnectionState`'s.
///
/// 1. `shared` is only ever held for a few instructions: never while sending, reading, or telling anybody.
/// 2. Bytes go out in the order in which `shared` saw them, for only one sends at a time (`isSending`).
/// 3. The reader never waits to send: a daemon whose replies nobody reads does not read either. What the socket does
///    not take from it, it sends later, while it waits for input.
/// 4. In another process than the one that connected it says nothing and tells that it has ended: a child that was
///    forked shares the socket, but not the session.
final class Connection: Sendable {
    /// What came of a request.
    enum Answer: Sendable {
        case granted(Hold)
        case reply(Reply, [Row])
        /// The task that waited was cancelled.
        case withdrawn
        /// The connection ended before the daemon had answered, or could not be made.
        case ended(LockError)
    }

    fileprivate struct Shared {
        var state = ConnectionState()
        var answers: [ConnectionState.RequestID: Promise<Answer>] = [:]
        var holds: [Token: Hold] = [:]
        var outgoing: [UInt8] = []
        var isSending = false
        /// Nil before it is connected and after its end.
        var socket: Socket?
        /// Whether it shall end as soon as nothing is asked or held.
        var isRetired = false
        /// Why nothing can be asked any more.
        var failure = LockError.disconnected
    }

    /// A socket that is closed when nobody uses it any more.
    fileprivate final class Socket: Sendable {
        let descriptor: OwnedDescriptor
        var rawValue: Int32 { descriptor.rawValue }
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// What it takes to be told, without the lock.
    fileprivate typealias Telling = @Sendable () -> Void

    private let shared = Guarded(Shared())
    private let processID = getpid()
    private let observer: (@Sendable (Notice.Changed) -> Void)?
    /// Fulfilled when it has ended, with the reason.
    let end = Promise<LockError>()

    init(observer: (@Sendable (Notice.Changed) -> Void)? = nil) { self.observer = observer }

    /// Whether this process may use it, and requests have a chance.
    var isUsable: Bool { getpid() == processID && shared.withLock { !$0.state.hasEnded && !$0.isRetired } }

    /// Whether a daemon was there, for this process, and went away.
    var wasLost: Bool {
        guard getpid() == processID else { return false }
        return shared.withLock { if case .unreachable = $0.failure { false } else { $0.state.hasEnded } }
    }

    // MARK: Asking

    /// Sends a request and waits for its answer, also in a task that is cancelled; see `ConnectionState.cancel`.
    func answer(to verb: Verb) async -> Answer {
        guard getpid() == processID else { return .ended(.disconnected) }
        let answer = Promise<Answer>()
        let id = perform { shared in
            let (id, actions) = shared.state.submit(verb)
            shared.answers[id] = answer
            return (id, actions)
        }
        return await withTaskCancellationHandler {
            await answer.value
        } onCancel: {
            perform { shared in ((), shared.state.cancel(id)) }
        }
    }

    /// Sends a request whose answer nobody waits for.
    func send(_ verb: Verb) {
        perform { shared in ((), shared.state.submit(verb).1) }
    }

    /// Ends the session as soon as nothing is asked or held; new requests are not for it.
    func retire() {
        perform { shared in
            shared.isRetired = true
            return ((), [])
        }
    }

    /// Ends the session now; what is held is lost.
    func close() {
        let socket = shared.withLock { shared in
            shared.isRetired = true
            return shared.socket
        }
        // The reader sees the end of input, and does what is to be done at the end. A child that was forked must not
        // do that to its parent's session.
        if let socket, getpid() == processID { shutdown(socket.rawValue, Int32(SHUT_RDWR)) }
    }

    /// In a child that was forked: lets go of the socket without a word, so that the session is its parent's alone.
    ///
    /// The reader's reference would keep it open, and the reader does not exist in the child. So the descriptor
    /// itself is made to mean nothing; its number stays taken, for whoever may still believe that it owns it.
    func leaveToParent() {
        guard getpid() != processID, let socket = shared.withLock({ $0.socket }) else { return }
        let nothing = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
        guard nothing >= 0 else { return }
        dup2(nothing, socket.rawValue)
        Glibc.close(nothing)
    }

    /// Changes the state, does what follows from it, and sends what is to be sent.
    @discardableResult
    private func perform<Result>(
        waitingToSend: Bool = true, _ change: (inout Shared) -> (Result, [ConnectionState.Action])
    ) -> Result {
        let (result, tellings, isDone) = shared.withLock { shared in
            let (result, actions) = change(&shared)
            let tellings = actions.compactMap { carryOut($0, &shared) }
            return (result, tellings, shared.isRetired && shared.state.isIdle)
        }
        for tell in tellings { tell() }
        if isDone { close() } else { flush(waiting: waitingToSend) }
        return result
    }

    /// Does what an action asks for; returns whom to tell of it.
    private func carryOut(_ action: ConnectionState.Action, _ shared: inout Shared) -> Telling? {
        switch action {
        case .send(let request):
            request.encode(into: &shared.outgoing)
            return nil
        case .granted(let id, let granted):
            let hold = Hold(granted, on: self)
            shared.holds[granted.token] = hold
            return shared.telling(id, .granted(hold))
        case .changed(let id, let old, let granted):
            guard let hold = shared.holds.removeValue(forKey: old) else { return nil }
            hold.change(to: granted)
            shared.holds[granted.token] = hold
            return shared.telling(id, .granted(hold))
        case .answered(let id, let reply, let rows):
            if case .released(_, let token) = reply { shared.holds[token] = nil }
            return shared.telling(id, .reply(reply, rows))
        case .withdrawn(let id): return shared.telling(id, .withdrawn)
        case .ended(let id): return shared.telling(id, .ended(shared.failure))
        case .lost(let token, let cause):
            guard let hold = shared.holds.removeValue(forKey: token) else { return nil }
            return { hold.lose(cause) }
        case .observed(let change):
            guard let observer else { return nil }
            return { observer(change) }
        }
    }

    // MARK: Sending

    /// Sends what is to be sent, unless somebody does already.
    ///
    /// With `waiting`, it waits until the daemon has taken it all: then it holds up only its own thread.
    private func flush(waiting: Bool) {
        guard getpid() == processID else { return }
        while let (socket, bytes) = takeOutgoing() {
            let sent = Self.send(bytes, on: socket, waiting: waiting)
            shared.withLock { shared in
                shared.isSending = false
                if sent < bytes.count { shared.outgoing.insert(contentsOf: bytes[sent...], at: 0) }
            }
            if sent < bytes.count { return }
        }
    }

    /// What is to be sent, for whoever sends it now; nil if there is nothing, or somebody sends already and will
    /// look again.
    private func takeOutgoing() -> (Socket, [UInt8])? {
        shared.withLock { shared in
            guard !shared.isSending, !shared.outgoing.isEmpty, let socket = shared.socket else { return nil }
            shared.isSending = true
            defer { shared.outgoing = [] }
            return (socket, shared.outgoing)
        }
    }

    /// Sends bytes; returns how many the socket took. At the end of the session it takes everything: the reader will
    /// say so, and nobody else needs to.
    private static func send(_ bytes: [UInt8], on socket: Socket, waiting: Bool) -> Int {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.send(
                    socket.rawValue, bytes.baseAddress?.advanced(by: sent), bytes.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                guard waiting else { return sent }
                var request = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
                poll(&request, 1, -1)
            } else if errno != EINTR {
                return bytes.count
            }
        }
        return sent
    }

    // MARK: The reader

    /// Connects and reads, on a thread of its own, until the session ends.
    func start(_ connect: @escaping @Sendable () throws(RendezvousError) -> OwnedDescriptor) {
        do throws(SystemError) {
            try Thread.start { [self] in
                do throws(RendezvousError) {
                    let socket = Socket(try connect())
                    open(socket)
                    read(from: socket)
                    finish(
                        shared.withLock { $0.state.farewell.map { .refused($0.code, $0.text) } }
                            ?? .disconnected)
                } catch {
                    finish(.unreachable(error))
                }
            }
        } catch {
            finish(.unreachable(.system(error)))
        }
    }

    private func open(_ socket: Socket) {
        perform(waitingToSend: false) { shared in
            shared.socket = socket
            return ((), shared.state.opened())
        }
    }

    /// Reads until the end of input.
    private func read(from socket: Socket) {
        var reader = LineReader(limit: 1 << 20)
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            if hasLeftovers { waitForRoomOrInput(on: socket) }
            let flags = hasLeftovers ? Int32(MSG_DONTWAIT) : 0
            let count = chunk.withUnsafeMutableBytes {
                recv(socket.rawValue, $0.baseAddress, $0.count, flags)
            }
            if count < 0, errno == EINTR || errno == EAGAIN {
                flush(waiting: false)
                continue
            }
            guard count > 0 else { return }
            var lines: [ServerLine] = []
            chunk.withUnsafeBytes { bytes in
                _ = reader.read(UnsafeRawBufferPointer(rebasing: bytes[..<count])) { line in
                    if case .text(let text) = line, let line = ServerLine.parse(text) { lines.append(line) }
                    return true
                }
            }
            perform(waitingToSend: false) { shared in ((), lines.flatMap { shared.state.received($0) }) }
        }
    }

    /// Whether there is something to send that nobody sends.
    private var hasLeftovers: Bool { shared.withLock { !$0.isSending && !$0.outgoing.isEmpty } }

    private func waitForRoomOrInput(on socket: Socket) {
        var request = pollfd(fd: socket.rawValue, events: Int16(POLLIN | POLLOUT), revents: 0)
        poll(&request, 1, -1)
    }

    private func finish(_ failure: LockError) {
        perform { shared in
            shared.failure = failure
            shared.socket = nil
            return ((), shared.state.ended())
        }
        end.fulfil(failure)
    }
}

extension Connection.Shared {
    /// Gives the answer to whoever waits for it.
    fileprivate mutating func telling(
        _ id: ConnectionState.RequestID, _ answer: Connection.Answer
    ) -> Connection.Telling? {
        guard let promise = answers.removeValue(forKey: id) else { return nil }
        return { promise.fulfil(answer) }
    }
}
