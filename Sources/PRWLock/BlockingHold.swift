import LockVocabulary
import LockWire
import Posix

/// One grant as its thread has it: what stands behind a `BlockingGrant`.
final class BlockingHold {
    let name: LockName
    var terms: Hold.Terms
    private var loss: LockLost?
    private var isReleased = false
    private let session: BlockingClient.Session

    init(_ granted: ConnectionState.Granted, in session: BlockingClient.Session) {
        name = granted.name
        terms = Hold.Terms(granted)
        self.session = session
    }

    /// How it was lost, as far as the daemon has said so by now; nil if it was not.
    var lost: LockLost? {
        session.update()
        // What a process holds, its children do not.
        if !session.isUsable, !isReleased { lose(.disconnected) }
        return loss
    }

    func lose(_ cause: LockLost.Cause) {
        loss = loss ?? LockLost(lock: name, token: terms.token, cause: cause)
    }

    private var choice: GrantChoice { GrantChoice(token: terms.token) }

    /// Gives it back, and waits until the daemon has said so.
    func release() throws {
        defer { isReleased = true }
        try ask(.release(name, choice))
    }

    /// Gives it back without waiting.
    func abandon() {
        guard !isReleased, loss == nil else { return }
        session.abandon(terms.token, of: name)
        isReleased = true
    }

    func upgrade(timeout: Duration?) throws {
        let time = CallTime(TimeLimit(timeout: timeout))
        try ask(.upgrade(name, choice, wait: time.wait), until: time.deadline, by: time.end)
    }

    func downgrade(to mode: LockMode) throws { try ask(.downgrade(name, choice, to: mode)) }

    func renew(lease: Duration?) throws { try ask(.renew(name, choice, lease: lease.map(TimeLimit.upTo))) }

    /// Asks for something, and throws what the answer says against this grant.
    private func ask(
        _ verb: Verb, until deadline: Instant? = nil, by end: Deadline = Deadline(after: CallTime.patience)
    ) throws {
        if let loss { throw loss }
        switch session.answer(to: verb, until: deadline, by: end) {
        case .granted: return
        case .silent(let daemon): throw LockError.unreachable(.noAnswer(daemon))
        case .ended:
            lose(.disconnected)
        case .reply(.cancelled, _):
            // A waiting upgrade ends with its grant.
            lose(.revoked)
        case .reply(.error(let error), _) where error.code == .notHeld:
            lose(.revoked)
        case .reply(let reply, _):
            if let error = LockError(refusal: reply) { throw error }
            return
        }
        if let loss { throw loss }
    }
}
