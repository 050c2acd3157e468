import Glibc
import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// One session and its socket, shared by all tasks of this process.
///
/// A task that asks sends its line itself, as far as the socket takes it at once. Two threads of the connection's own do
/// what waits: one connects, for that may take as long as a daemon takes to start, and ends then; the other, the keeper,
/// reads the replies, sends what the socket did not take, and gives up the requests that the daemon has not answered in
/// time, also while there is no connection yet. The rules are `ConnectionState`'s.
///
/// 1. `shared` is only ever held for a few instructions: never while sending, reading, or telling anybody.
/// 2. Bytes go out in the order in which `shared` saw them, for only one sends at a time (`isSending`).
/// 3. No one waits to send, neither a task, whose thread is needed by others, nor the keeper: a daemon whose replies are
///    not read does not read either. What the socket does not take, the keeper sends as soon as it does.
/// 4. The keeper wakes at `nextLook` at the latest. A request whose time ends before that wakes it (`wake`), and so do
///    bytes that were not taken, a connection that is there, and the end.
/// 5. In another process than the one that connected it says nothing and tells that it has ended: a child that was
///    forked shares the socket, but not the session.
final class Connection: Sendable {
    /// What came of a request.
    enum Answer: Sendable {
        case granted(Hold)
        case reply(Reply, [Row])
        /// The task that waited was cancelled.
        case withdrawn
        /// The daemon did not answer in time, or could not be reached in time.
        case silent(LockError)
        /// The connection ended before the daemon had answered, or could not be made.
        case ended(LockError)
    }

    private let shared = Guarded(Shared())
    private let processID = getpid()
    /// Rings when the keeper is to look up; nil if there was no descriptor left for it.
    private let wake = try? WakeUp()
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

    /// Sends a request and waits for its answer; see `ConnectionState.cancel` and `giveUp`.
    ///
    /// - Parameters:
    ///   - deadline: until when the request may wait; without it, what the request says itself.
    ///   - end: until when the caller waits for the answer.
    ///   - patience: how long it waits anew with each row that comes.
    func answer(
        to verb: Verb, until deadline: Instant? = nil, by end: Deadline = .never, patience: Duration? = nil
    ) async -> Answer {
        guard getpid() == processID else { return .ended(.disconnected) }
        let answer = Promise<Answer>()
        let id = perform { shared in
            let (id, actions) = shared.state.submit(verb, until: deadline, at: .now)
            shared.answers[id] = answer
            shared.patience[id] = patience
            shared.look(for: id, at: end)
            return (id, actions)
        }
        lookSooner(than: end)
        return await withTaskCancellationHandler {
            await answer.value
        } onCancel: {
            // What waits for its answer all the same does not wait for a daemon that gives none.
            let end = Deadline(after: CallTime.answerTime)
            perform { shared in
                let actions = shared.state.cancel(id)
                if !actions.isEmpty { shared.look(for: id, at: end) }
                return ((), actions)
            }
            lookSooner(than: end)
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

    /// Has the keeper look up, if it would look later than that.
    private func lookSooner(than end: Deadline) {
        guard end != .never else { return }
        let isLate = shared.withLock { shared in
            guard end < shared.nextLook else { return false }
            shared.nextLook = end
            return true
        }
        if isLate { wakeKeeper() }
    }

    private func wakeKeeper() { if getpid() == processID { wake?.ring() } }

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
        _ change: (inout Shared) -> (Result, [ConnectionState.Action])
    ) -> Result {
        let (result, tellings, isDone) = shared.withLock { shared in
            let (result, actions) = change(&shared)
            let tellings = actions.compactMap { carryOut($0, &shared) }
            return (result, tellings, shared.isRetired && shared.state.isIdle)
        }
        for tell in tellings { tell() }
        if isDone { close() } else { flush() }
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
        case .gaveUp(let id): return shared.telling(id, .silent(.unreachable(shared.silence)))
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

    /// Sends what is to be sent, as far as the socket takes it, unless another thread does already.
    private func flush() {
        guard getpid() == processID else { return }
        while let (socket, bytes) = takeOutgoing() {
            let sent = Self.send(bytes, on: socket)
            shared.withLock { shared in
                shared.isSending = false
                if sent < bytes.count { shared.outgoing.insert(contentsOf: bytes[sent...], at: 0) }
            }
            if sent < bytes.count {
                wakeKeeper()
                return
            }
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
    private static func send(_ bytes: [UInt8], on socket: Socket) -> Int {
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
                return sent
            } else if errno != EINTR {
                return bytes.count
            }
        }
        return sent
    }

    // MARK: The keeper

    /// How the connection is made; it is told why there is none so far.
    typealias Connecting =
        @Sendable ((RendezvousError) -> Void) throws(RendezvousError) -> OwnedDescriptor

    /// Connects and reads, on threads of its own, until the session ends.
    func start(_ connect: @escaping Connecting) {
        do throws(SystemError) {
            guard let wake else { throw SystemError(code: EMFILE, call: "eventfd") }
            try Thread.start { [self] in keep(wokenBy: wake) }
            try Thread.start { [self] in
                do throws(RendezvousError) {
                    open(Socket(try connect { obstacle in shared.withLock { $0.obstacle = obstacle } }))
                } catch {
                    finish(.unreachable(error))
                }
            }
        } catch {
            finish(.unreachable(.system(error)))
        }
    }

    private func open(_ socket: Socket) {
        perform { shared in
            shared.socket = socket
            return ((), shared.state.opened(at: .now))
        }
        wakeKeeper()
    }

    /// Keeps the session until its end.
    private func keep(wokenBy wake: WakeUp) {
        var reader = LineReader(limit: 1 << 20)
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while let plan = nextPlan() {
            let isReadable = Self.wait(for: plan, orFor: wake)
            if plan.hasLeftovers { flush() }
            guard isReadable, let socket = plan.socket else { continue }
            let count = chunk.withUnsafeMutableBytes {
                recv(socket.rawValue, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else {
                return finish(
                    shared.withLock { $0.state.farewell.map { .refused($0.code, $0.text) } } ?? .disconnected)
            }
            var lines: [ServerLine] = []
            chunk.withUnsafeBytes { bytes in
                _ = reader.read(UnsafeRawBufferPointer(rebasing: bytes[..<count])) { line in
                    if case .text(let text) = line, let line = ServerLine.parse(text) { lines.append(line) }
                    return true
                }
            }
            receive(lines)
        }
    }

    private func receive(_ lines: [ServerLine]) {
        let now = Instant.now
        perform { shared in
            let actions = lines.flatMap { line in
                if case .row = line { shared.awaitMoreRows(from: now) }
                return shared.state.received(line, at: now)
            }
            return ((), actions)
        }
    }

    /// What the keeper waits for.
    private struct Plan {
        let socket: Socket?
        /// Whether there is something to send that no thread sends.
        let hasLeftovers: Bool
        let look: Deadline
    }

    /// Gives up what is overdue, and returns what to wait for then; nil at the end.
    private func nextPlan() -> Plan? {
        while true {
            let (plan, isTime) = shared.withLock { shared -> (Plan?, Bool) in
                if shared.state.hasEnded { return (nil, false) }
                if shared.nextLook.isOver { return (nil, true) }
                let hasLeftovers = !shared.isSending && !shared.outgoing.isEmpty
                return (Plan(socket: shared.socket, hasLeftovers: hasLeftovers, look: shared.nextLook), false)
            }
            guard isTime else { return plan }
            let silence = silence()
            perform { shared in
                shared.silence = silence
                return ((), shared.giveUpOverdue())
            }
        }
    }

    /// What requests are told that are given up now: which process does not answer, or why it is not reached.
    private func silence() -> RendezvousError {
        let (socket, obstacle) = shared.withLock { ($0.socket, $0.obstacle) }
        if let socket { return .noAnswer(SilentDaemon(peerOf: socket.descriptor)) }
        if case .noAnswer(let daemon) = obstacle { return .noAnswer(daemon.now) }
        return obstacle ?? .noAnswer(SilentDaemon(at: "an unknown place"))
    }

    /// Waits until the keeper is woken, its time has come, or the socket is ready; whether that may be read from.
    private static func wait(for plan: Plan, orFor wake: WakeUp) -> Bool {
        var requests = [pollfd(fd: wake.rawValue, events: Int16(POLLIN), revents: 0)]
        if let socket = plan.socket {
            let events = Int16(POLLIN) | (plan.hasLeftovers ? Int16(POLLOUT) : 0)
            requests.append(pollfd(fd: socket.rawValue, events: events, revents: 0))
        }
        guard poll(&requests, nfds_t(requests.count), plan.look.milliseconds) > 0 else { return false }
        if let first = requests.first, first.revents != 0 { wake.clear() }
        return requests.dropFirst().contains { $0.revents & ~Int16(POLLOUT) != 0 }
    }

    private func finish(_ failure: LockError) {
        perform { shared in
            shared.failure = failure
            shared.socket = nil
            return ((), shared.state.ended())
        }
        end.fulfil(failure)
        wakeKeeper()
    }
}
