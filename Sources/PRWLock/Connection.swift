import Glibc
import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// One session shared by all tasks of this process: the shell of `Session` that never blocks a task's thread.
///
/// A task sends its line itself, as far as the socket takes it at once. Two threads of the connection do what waits: one
/// connects, which takes as long as a daemon takes to start, and ends then. The other, the keeper, receives lines, sends
/// what the socket did not take, and calls the session's alarm, also while there is no connection yet.
///
/// 1. `shared` is held for a few instructions only: never while sending, receiving, parsing or resuming a caller.
/// 2. Bytes go out in the order in which `shared` saw them, because only one thread at a time sends (`isSending`).
/// 3. No thread waits to send: while its replies are not read, a daemon does not read either. The keeper sends what the
///    socket did not take, as soon as it takes more.
/// 4. The keeper sleeps until `keeperWakes` at most. An earlier alarm wakes it (`wake`), and so do bytes that were not
///    taken, a connection that stands, and the end.
/// 5. In another process than the one that connected, it sends nothing and every grant counts as lost: a forked child
///    shares the socket, but not the session.
final class Connection: Sendable {
    private struct Shared {
        var session: Session
        var outcomes: [Session.RequestID: Promise<Session.Outcome>] = [:]
        var fates: [Session.GrantID: Promise<LockLost?>] = [:]
        /// Nil before the connection stands and after its end.
        var socket: Socket?
        var isSending = false
        /// Until when the keeper sleeps; nil for no limit.
        var keeperWakes: Instant?
        /// Why there is no connection so far.
        var obstacle: RendezvousError?
        /// Whether the session ends as soon as nothing is asked or held.
        var isRetired = false
        /// The number of this session in the memory for slots.
        var mapping: Int?

        /// Whether the keeper sleeps beyond the session's alarm. It counts as woken then.
        mutating func wakesKeeper() -> Bool {
            guard let alarm = session.alarm, keeperWakes.map({ alarm < $0 }) ?? true else { return false }
            keeperWakes = alarm
            return true
        }
    }

    /// A socket that is closed with its last user.
    private final class Socket: Sendable {
        let descriptor: OwnedDescriptor
        var rawValue: Int32 { descriptor.rawValue }
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    private let shared: Guarded<Shared>
    private let processID = getpid()
    /// Wakes the keeper; nil if there was no descriptor left for it.
    private let wake = try? WakeUp()
    private let observer: (@Sendable (Notice) -> Void)?
    /// The memory for the session's slots; nil if it asks for none.
    private let memory: SlotMemory?
    /// Fulfilled when the session has ended, with the reason.
    let end = Promise<LockError>()

    /// - Parameter memory: where the session's slots go.
    init(greeting: Note, memory: SlotMemory? = nil, observer: (@Sendable (Notice) -> Void)? = nil) {
        self.memory = memory.flatMap { $0.isUsable ? $0 : nil }
        shared = Guarded(Shared(session: Session(greeting: greeting, caches: self.memory != nil)))
        self.observer = observer
    }

    /// Whether this process was forked from the one that made the connection.
    var isInChild: Bool { getpid() != processID }

    /// Whether this process may use the session, and new requests have a chance.
    var isUsable: Bool { !isInChild && shared.withLock { $0.session.failure == nil && !$0.isRetired } }

    /// Whether a daemon was there for this process and went away.
    var wasLost: Bool {
        if isInChild { return false }
        return switch shared.withLock({ $0.session.failure }) {
        case .unreachable, .closed, nil: false
        case .timedOut, .deadlock, .denied, .wrongMode, .refused, .clusterUnavailable, .disconnected,
            .invalidArgument:
            true
        }
    }

    // MARK: What callers do

    /// Sends a request and waits for its outcome.
    ///
    /// - Parameter isolation: the caller's actor. A closure is isolated to it only if it uses this parameter.
    func outcome(
        of call: Session.Call, _ time: CallTime, isolation: isolated (any Actor)? = #isolation
    ) async -> Session.Outcome {
        if isInChild { return outcomeInChild(of: call) }
        let (id, outcome) = submit(call, time)
        return await withTaskCancellationHandler {
            _ = isolation
            return await outcome.value
        } onCancel: {
            perform { $0.session.cancel(id, at: .now) }
        }
    }

    /// Sends a request.
    func submit(
        _ call: Session.Call, _ time: CallTime
    ) -> (id: Session.RequestID, outcome: Promise<Session.Outcome>) {
        let outcome = Promise<Session.Outcome>()
        let id = perform { shared in
            let id = shared.session.submit(call, time, at: .now)
            shared.outcomes[id] = outcome
            return id
        }
        return (id, outcome)
    }

    private func outcomeInChild(of call: Session.Call) -> Session.Outcome {
        guard let grant = call.grant else { return .unanswered }
        let terms = terms(of: grant)
        return .lost(LockLost(lock: terms.name, token: terms.token, cause: .disconnected))
    }

    /// The terms of a grant.
    func terms(of grant: Session.GrantID) -> Session.Terms { shared.withLock { $0.session.terms(of: grant) } }

    /// The terms of a grant; nil once it was let go.
    func termsIfKnown(of grant: Session.GrantID) -> Session.Terms? {
        shared.withLock { $0.session.termsIfKnown(of: grant) }
    }

    /// Fulfils the promise when the grant is lost; returns the terms of the grant.
    func report(_ fate: Promise<LockLost?>, of grant: Session.GrantID) -> Session.Terms {
        let (terms, loss) = shared.withLock { shared in
            shared.fates[grant] = fate
            return (shared.session.terms(of: grant), shared.session.loss(of: grant))
        }
        if let loss { fate.fulfil(loss) }
        return terms
    }

    /// Reports the loss of a grant once more, unless it was let go.
    func reportAgain(_ fate: Promise<LockLost?>, of grant: Session.GrantID) {
        let loss = shared.withLock { shared in
            shared.fates[grant] = fate
            return shared.session.loss(of: grant)
        }
        if let loss { fate.fulfil(loss) }
    }

    /// Reports the loss of a grant no more, because another body may have it from now on.
    func reportNoMore(_ grant: Session.GrantID) { shared.withLock { $0.fates[grant] = nil } }

    /// Forgets a cached grant that the daemon took while it was not held.
    func forgetTaken(_ grant: Session.GrantID) { shared.withLock { $0.session.forgetTaken(grant) } }

    /// Renews the lease of a grant again and again.
    func keepRenewed(_ grant: Session.GrantID, every interval: Duration) {
        perform { $0.session.keepRenewed(grant, every: interval, at: .now) }
    }

    /// Releases a grant without waiting, unless its release was asked for, and reports its loss no more.
    func letGo(_ grant: Session.GrantID) {
        // Here another thread's lock may never be free, and the parent's grants are its own.
        if isInChild { return }
        perform { shared in
            shared.fates[grant] = nil
            shared.session.abandon(grant, at: .now)
        }
    }

    /// Ends the session as soon as nothing is asked or held. It takes no new requests.
    func retire() { perform { $0.isRetired = true } }

    /// Ends the session now: every grant is lost, and every call that waits gets `LockError.closed`.
    ///
    /// A forked child only lets go of the socket, because the session is its parent's.
    func close() { if isInChild { leaveToParent() } else { finish(.closed) } }

    /// Lets go of the socket in a forked child, so that the session is its parent's alone.
    ///
    /// The keeper's reference would keep the socket open, and the child has no keeper. So the descriptor gets another
    /// meaning. Its number stays in use, because its owner closes it later.
    func leaveToParent() {
        guard isInChild, let socket = shared.withLock({ $0.socket }) else { return }
        let nothing = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
        guard nothing >= 0 else { return }
        dup2(nothing, socket.rawValue)
        Glibc.close(nothing)
    }

    /// Changes the shared state, and does what follows: resumes callers, sends, ends a retired session.
    @discardableResult
    private func perform<Result>(_ change: (inout Shared) -> Result) -> Result {
        let (result, reports, isDone, wakesKeeper) = shared.withLock { shared in
            let result = change(&shared)
            let reports = shared.session.takeEvents().compactMap { report($0, &shared) }
            let isDone = shared.isRetired && shared.session.isIdle && shared.session.failure == nil
            return (result, reports, isDone, shared.wakesKeeper())
        }
        for report in reports { report() }
        if isDone { close() } else { flush() }
        if wakesKeeper { wakeKeeper() }
        return result
    }

    /// What to call without the lock for an event.
    private func report(_ event: Session.Event, _ shared: inout Shared) -> (@Sendable () -> Void)? {
        switch event {
        case .completed(let id, let outcome):
            let promise = shared.outcomes.removeValue(forKey: id)
            return { promise?.fulfil(outcome) }
        case .lost(let grant, let loss):
            let fate = shared.fates.removeValue(forKey: grant)
            return { fate?.fulfil(loss) }
        case .noticed(let notice):
            guard let observer else { return nil }
            return { observer(notice) }
        }
    }

    // MARK: Sending

    /// Sends the output as far as the socket takes it, unless another thread sends already.
    private func flush() {
        if isInChild { return }
        while let (socket, output) = takeOutput() {
            var bytes = output
            // A socket that has ended takes nothing. The keeper receives the end.
            do throws(ConnectionEnded) { try bytes.send(to: socket.rawValue) } catch { bytes = [] }
            shared.withLock { shared in
                shared.isSending = false
                shared.session.output.insert(contentsOf: bytes, at: 0)
            }
            if !bytes.isEmpty { return wakeKeeper() }
        }
    }

    /// The output for the thread that sends it now; nil if there is none, or another thread sends, which looks again then.
    private func takeOutput() -> (Socket, [UInt8])? {
        shared.withLock { shared -> (Socket, [UInt8])? in
            guard !shared.isSending, !shared.session.output.isEmpty, let socket = shared.socket else {
                return nil
            }
            shared.isSending = true
            defer { shared.session.output = [] }
            return (socket, shared.session.output)
        }
    }

    // MARK: The keeper

    /// Makes the connection; calls its argument with the reason why there is none so far.
    typealias Connecting =
        @Sendable ((RendezvousError) -> Void) throws(RendezvousError) -> OwnedDescriptor

    /// Connects and receives, on threads of the connection, until the session ends.
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
            // A session that was closed meanwhile has no keeper any more. The end of this scope closes the socket.
            guard shared.session.failure == nil else { return }
            shared.socket = socket
            shared.session.opened(at: .now)
        }
        wakeKeeper()
    }

    private func finish(_ reason: LockError) {
        let (socket, mapping) = perform { shared in
            defer { shared.socket = nil }
            shared.session.ended(because: reason)
            return (shared.socket, shared.mapping)
        }
        if let mapping { memory?.clear(mapping) }
        // Another thread may still have the socket. The daemon learns of the end all the same.
        if let socket { shutdown(socket.rawValue, Int32(SHUT_RDWR)) }
        end.fulfil(shared.withLock { $0.session.failure } ?? reason)
        wakeKeeper()
    }

    private func wakeKeeper() { if !isInChild { wake?.ring() } }

    private func keep(wokenBy wake: WakeUp) {
        var receiver = LineReceiver(awaitsFiles: memory != nil)
        // Until when grants on shared locks count must be noticed in time after the machine has slept, too.
        var timer: BootTimer?
        while let (socket, hasLeftovers, alarm, sharedUntil) = nextWait() {
            if let sharedUntil {
                if timer == nil { timer = try? BootTimer() }
                timer?.set(to: Deadline(sharedUntil))
            }
            let timerNumber = sharedUntil == nil ? nil : timer?.rawValue
            let isReadable = Self.wait(
                for: socket, hasLeftovers, orFor: wake, timerNumber, until: Deadline(alarm))
            if hasLeftovers { flush() }
            // Before the clock: this process may have been stopped, and what has arrived may be in time.
            if isReadable, let socket {
                do throws(ConnectionEnded) {
                    let lines = try receiver.receive(from: socket.rawValue)
                    if let files = receiver.takeFiles() { map(files) }
                    perform { shared in for line in lines { shared.session.received(line, at: .now) } }
                } catch {
                    return finish(.disconnected)
                }
            }
            if let alarm, alarm <= .now { passTime() }
        }
    }

    /// Loses the grants on shared locks if they count no more.
    func lookAtClock() {
        guard !isInChild, let until = shared.withLock({ $0.session.sharedUntil }), until <= .now else {
            return
        }
        passTime()
    }

    /// Maps the slots, before the lines that speak of them are handled.
    private func map(_ files: SlotFiles) {
        guard let memory, let mapping = memory.map(files) else { return }
        let hasEnded = shared.withLock { shared in
            shared.mapping = mapping
            return shared.session.failure != nil
        }
        if hasEnded { memory.clear(mapping) }
    }

    /// What the keeper waits for; nil at the end.
    private func nextWait() -> (Socket?, hasLeftovers: Bool, alarm: Instant?, sharedUntil: Instant?)? {
        shared.withLock { shared in
            guard shared.session.failure == nil else { return nil }
            shared.keeperWakes = shared.session.alarm
            let hasLeftovers = !shared.isSending && !shared.session.output.isEmpty
            return (shared.socket, hasLeftovers, shared.session.alarm, shared.session.sharedUntil)
        }
    }

    private func passTime() {
        let (socket, obstacle) = shared.withLock { ($0.socket, $0.obstacle) }
        let silence: RendezvousError =
            if let socket {
                .noAnswer(SilentDaemon(peerOf: socket.descriptor))
            } else if case .noAnswer(let daemon) = obstacle {
                .noAnswer(daemon.now)
            } else {
                obstacle ?? .noAnswer(SilentDaemon(at: "an unknown place"))
            }
        perform { $0.session.timePassed(at: .now, silence: silence) }
    }

    /// Waits until the keeper is woken, the alarm is over, or the socket is ready; whether the socket is readable.
    private static func wait(
        for socket: Socket?, _ hasLeftovers: Bool, orFor wake: WakeUp, _ timer: Int32?, until alarm: Deadline
    ) -> Bool {
        var requests = [wake.rawValue, timer ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        if let socket {
            let events = Int16(POLLIN) | (hasLeftovers ? Int16(POLLOUT) : 0)
            requests.append(pollfd(fd: socket.rawValue, events: events, revents: 0))
        }
        guard poll(&requests, nfds_t(requests.count), alarm.milliseconds) > 0 else { return false }
        if let first = requests.first, first.revents != 0 { wake.clear() }
        return requests.dropFirst(2).contains { $0.revents & ~Int16(POLLOUT) != 0 }
    }
}
