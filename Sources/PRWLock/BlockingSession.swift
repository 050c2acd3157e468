import Glibc
import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// One session for one thread: the shell of `Session` that waits in system calls.
final class BlockingSession {
    /// How long a line may take to be sent if the caller does not wait for its answer.
    private static let sendTime = Duration.seconds(1)
    /// How long the daemon may take to confirm that a request is undone. A slow daemon confirms it at once.
    private static let undoingTime = Duration.milliseconds(100)

    private var connection: BlockingConnection
    private var core: Session
    private let processID = getpid()
    /// The memory for the session's slots, and the number of this session in it.
    private let memory: SlotMemory
    private var mapping: Int?

    /// - Parameter memory: where the session's slots go.
    init(_ connection: consuming BlockingConnection, greeting: Note, memory: SlotMemory) {
        self.connection = connection
        self.memory = memory
        let caches = memory.isUsable
        if caches { self.connection.awaitFiles() }
        core = Session(greeting: greeting, caches: caches)
        core.opened(at: .now)
        flush(by: Deadline(after: Self.sendTime))
    }

    deinit { if let mapping { memory.clear(mapping) } }

    /// Whether this process may use the session and the daemon is there.
    ///
    /// In a forked child the session ends: the child shares the socket, but the session is its parent's (G6).
    var isUsable: Bool {
        if getpid() != processID { core.ended() }
        return core.failure == nil
    }

    /// Whether the daemon was there for this process and went away.
    var wasLost: Bool { getpid() == processID && core.failure != nil }

    /// Sends a request and waits for its outcome.
    func outcome(of call: Session.Call, _ time: CallTime) -> Session.Outcome {
        if isUsable { catchUp() }
        let id = core.submit(call, time, at: .now)
        while true {
            for case .completed(id, let outcome) in core.takeEvents() {
                awaitUndoing(of: id)
                return outcome
            }
            if !advance(by: Deadline(core.alarm)) {
                core.timePassed(at: .now, silence: .noAnswer(connection.silentDaemon))
            }
        }
    }

    /// Finds out whether grants on shared locks still count, if their moment has passed as far as this session knows.
    ///
    /// No thread reads between two calls. After a long time the socket is full of old notices, and the daemon keeps the
    /// newer ones, so they come before the answer to `PING`. A daemon that does not answer at once is not waited for.
    private func catchUp() {
        guard let until = core.sharedUntil, until <= .now else { return }
        let end = Deadline(after: CallTime.answerTime)
        let ping = core.submit(.other(.ping), CallTime(asking: CallTime.answerTime), at: .now)
        while core.isOpen(ping), advance(by: end) {}
        core.timePassed(at: .now, silence: .noAnswer(connection.silentDaemon))
    }

    /// Waits a moment for the reply to a request that was given up.
    ///
    /// No thread of this session reads on. If the daemon does not reply, the session ends, unless that would lose a
    /// grant: then the daemon undoes the request when it reads on, and the next call reads the replies. That call comes at
    /// the latest when the grant is released, so no release must be made in a slot.
    private func awaitUndoing(of id: Session.RequestID) {
        let end = Deadline(after: Self.undoingTime)
        while core.isOpen(id), advance(by: end) {}
        guard core.isOpen(id) else { return }
        if core.isForsaken(besides: memory.isHeld) {
            connection.close()
            finish(because: .disconnected)
        } else if let mapping {
            memory.stopUsing(mapping)
        }
    }

    /// The terms of a grant.
    func terms(of grant: Session.GrantID) -> Session.Terms { core.terms(of: grant) }

    /// How a grant was lost, as far as the daemon has said so by now; nil if it is held.
    func loss(of grant: Session.GrantID) -> LockLost? {
        while isUsable, advance(by: Deadline(after: .zero)) {}
        if isUsable { catchUp() }
        return core.loss(of: grant)
    }

    /// Forgets a cached grant that the daemon took while it was not held.
    func forgetTaken(_ grant: Session.GrantID) { core.forgetTaken(grant) }

    /// Releases a grant without waiting for the answer.
    func abandon(_ grant: Session.GrantID) {
        guard isUsable else { return }
        core.abandon(grant, at: .now)
        flush(by: Deadline(after: Self.sendTime))
    }

    /// Ends the session now. Every grant is lost. In a forked child the parent's session stays.
    func close() {
        guard isUsable else { return }
        finish(because: .closed)
        connection.close()
    }

    private func flush(by end: Deadline) {
        // A socket that has ended takes nothing. The end is handled where lines are received.
        try? connection.send(&core.output, by: end)
    }

    /// Sends the output and receives one line; false if none arrives by then.
    private func advance(by end: Deadline) -> Bool {
        flush(by: end)
        do throws(ConnectionEnded) {
            guard let line = try connection.next(by: end) else { return false }
            if let files = connection.takeFiles() { mapping = memory.map(files) }
            core.received(line, at: .now)
            return true
        } catch {
            finish(because: .disconnected)
            return false
        }
    }

    private func finish(because reason: LockError) {
        core.ended(because: reason)
        if let mapping { memory.clear(mapping) }
        mapping = nil
    }
}
