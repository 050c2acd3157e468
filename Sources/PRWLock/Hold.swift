import LockVocabulary
import LockWire
import Posix

/// One grant as this process has it: what stands behind a `Grant` and its `LossWatch`.
final class Hold: Sendable {
    /// What the daemon said of it last.
    struct Terms {
        var mode: LockMode
        var token: Token
        var ownerDied: Bool

        init(_ granted: ConnectionState.Granted) {
            mode = granted.mode
            token = granted.token
            ownerDied = granted.ownerDied
        }
    }

    let name: LockName
    /// How it ended: lost, or released (nil).
    let fate = Promise<LockLost?>()
    private let connection: Connection
    private let latest: Guarded<Terms>

    init(_ granted: ConnectionState.Granted, on connection: Connection) {
        name = granted.name
        self.connection = connection
        latest = Guarded(Terms(granted))
    }

    var terms: Terms { latest.withLock { $0 } }

    /// How it was lost; nil if it was not.
    var lost: LockLost? { fate.valueNow ?? nil }

    /// The daemon changed its mode.
    func change(to granted: ConnectionState.Granted) {
        latest.withLock { $0 = Terms(granted) }
    }

    /// The daemon took it away, or is gone.
    func lose(_ cause: LockLost.Cause) {
        fate.fulfil(LockLost(lock: name, token: terms.token, cause: cause))
    }

    private var choice: GrantChoice { GrantChoice(token: terms.token) }

    /// Gives it back, and waits until the daemon has said so.
    ///
    /// - Throws: `LockLost` if it was not held to the end; `LockError.unreachable` if the daemon does not answer.
    func release() async throws {
        if let lost { throw lost }
        let answer = await connection.answer(
            to: .release(name, choice), by: Deadline(after: CallTime.patience))
        if case .silent = answer { fate.fulfil(nil) }
        try check(answer)
        fate.fulfil(nil)
    }

    /// Gives it back without waiting; whoever holds it lets go of it so.
    func abandon() {
        guard fate.valueNow == nil else { return }
        connection.send(.release(name, choice))
        fate.fulfil(nil)
    }

    /// Asks for another mode; what was granted stands if that is refused.
    func upgrade(timeout: Duration?) async throws {
        let time = CallTime(TimeLimit(timeout: timeout))
        let verb = Verb.upgrade(name, choice, wait: time.wait)
        try check(await connection.answer(to: verb, until: time.deadline, by: time.end))
    }

    func downgrade(to mode: LockMode) async throws {
        let end = Deadline(after: CallTime.patience)
        try check(await connection.answer(to: .downgrade(name, choice, to: mode), by: end))
    }

    func renew(lease: Duration?) async throws {
        let end = Deadline(after: CallTime.patience)
        let verb = Verb.renew(name, choice, lease: lease.map(TimeLimit.upTo))
        try check(await connection.answer(to: verb, by: end))
    }

    /// Throws what an answer says against this grant.
    private func check(_ answer: Connection.Answer) throws {
        switch answer {
        case .granted: return
        case .withdrawn: throw CancellationError()
        case .silent(let error): throw error
        case .ended: throw lost ?? LockLost(lock: name, token: terms.token, cause: .disconnected)
        case .reply(.error(let error), _) where error.code == .notHeld:
            // The notice of it came before.
            throw lost ?? LockLost(lock: name, token: terms.token, cause: .revoked)
        case .reply(.cancelled, _):
            // A waiting upgrade ends with its grant, or with the task that waits for it.
            if let lost { throw lost }
            throw CancellationError()
        case .reply(let reply, _):
            if let error = LockError(refusal: reply) { throw error }
        }
    }
}

extension TimeLimit {
    /// How long to wait: without end if nothing is said.
    init(timeout: Duration?) { self = timeout.map { .upTo(max($0, .zero)) } ?? .forever }
}

extension LockError {
    /// What a reply says against a request; nil if it says nothing against it.
    ///
    /// - Parameter waited: how long the caller has waited for the lock, the way to the daemon included.
    init?(refusal reply: Reply, waited: Duration = .zero) {
        switch reply {
        case .busy(let name, let mode, let heldBy):
            self = .timedOut(name, mode, waited: waited, heldBy: heldBy)
        case .timeout(let name, let mode, let waitedThere, let heldBy):
            self = .timedOut(name, mode, waited: max(waited, waitedThere), heldBy: heldBy)
        case .deadlock(let name, let mode, let cycle): self = .deadlock(name, mode, cycle)
        case .denied(let name, _, let reason): self = .denied(name, reason: reason)
        case .error(let error) where error.code == .wrongMode: self = .wrongMode
        case .error(let error): self = .refused(error.code, error.text)
        default: return nil
        }
    }
}
