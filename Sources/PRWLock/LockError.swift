public import LockVocabulary
public import LockWire
public import Rendezvous

/// The error that a request was not served.
public enum LockError: Error, Hashable, Sendable {
    /// The lock was not free in time. The error names its holders at that moment.
    case timedOut(LockName, LockMode, waited: Duration, heldBy: HeldBy)
    /// The request would wait for ever, because these owners wait for each other in a cycle.
    case deadlock(LockName, LockMode, Cycle)
    /// The daemon's rules do not allow the request.
    case denied(LockName, reason: String)
    /// The grant's mode does not allow the change: a grant that writes cannot be upgraded, nor any be downgraded to its
    /// own mode or a stronger one.
    case wrongMode
    /// The daemon could not serve the request, because of a limit, a disk fault, or its own end. The text is for people.
    case refused(ErrorCode, String)
    /// The lock is shared with other hosts, and their cluster cannot be asked now. The text says what is wrong. Try again
    /// later.
    case clusterUnavailable(String)
    /// No daemon runs, or it does not answer. The error says what to do.
    case unreachable(RendezvousError)
    /// The daemon ended before it answered.
    case disconnected
    /// A value that the caller passed breaks a rule that the text states: a negative timeout, a lease of zero, a duration
    /// beyond 876,000 hours, a prefix beyond 255 encoded bytes, a limit below 1. Nothing was asked of the daemon.
    case invalidArgument(String)
    /// The program has closed the client (``Client/close()``).
    case closed
}

extension LockError: CustomStringConvertible {
    /// The error in a sentence.
    public var description: String { Harmless.show(words) }

    private var words: String {
        switch self {
        case .timedOut(let lock, let mode, let waited, let heldBy):
            "the lock \(lock) could not be had for \(mode) in \(waited): held by \(heldBy)"
        case .deadlock(let lock, let mode, let cycle):
            "to wait for the lock \(lock) for \(mode) would be a deadlock: \(cycle)"
        case .denied(let lock, let reason): "the lock \(lock) is denied: \(reason)"
        case .wrongMode: "the grant is in a mode that does not allow this change"
        case .refused(let code, let text): "the lock daemon refused: \(code.rawValue), \(text)"
        case .clusterUnavailable(let reason): "the cluster that shares the lock cannot be asked: \(reason)"
        case .unreachable(let error): error.description
        case .disconnected: "the connection to the lock daemon ended before it answered"
        case .invalidArgument(let rule): rule
        case .closed: "the client of the lock daemon was closed"
        }
    }
}

extension LockError {
    /// The error of a reply that refuses a request; nil for any other reply.
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
        case .error(let error): self.init(error)
        case .granted, .cancelled, .released, .releasedAll, .renewed, .valid, .stale, .revoked, .hello, .pong,
            .bye, .ok, .end:
            return nil
        }
    }

    init(_ error: WireError) {
        // The daemon does not look at the grant if the request names `write`, to which no grant is downgraded.
        let isWrongMode = error.code == .wrongMode || error.code == .badMode
        if error.code == .clusterUnavailable {
            self = .clusterUnavailable(error.text)
        } else {
            self = isWrongMode ? .wrongMode : .refused(error.code, error.text)
        }
    }
}
