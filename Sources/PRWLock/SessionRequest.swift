import LockVocabulary
import LockWire

extension Session {
    /// Names a request of this session; the tag of its line is the number.
    struct RequestID: Hashable, Comparable {
        let number: UInt64

        var tag: Tag {
            guard let tag = Tag(String(number)) else { preconditionFailure("a number is a tag") }
            return tag
        }

        static func < (left: RequestID, right: RequestID) -> Bool { left.number < right.number }
    }

    /// Names a grant of this session by the request that got it. A grant keeps its name when an upgrade changes its token.
    struct GrantID: Hashable, Comparable {
        let request: RequestID

        static func < (left: GrantID, right: GrantID) -> Bool { left.request < right.request }
    }

    /// The terms of a grant, as the daemon stated them last.
    struct Terms: Equatable {
        var name: LockName
        var owner: OwnerID
        var mode: LockMode
        var token: Token
        var ownerDied: Mark?
        /// The slot under which the grant is cached; nil if it is not.
        var slot: GrantedSlot?
        /// Whether hosts share the lock, so that the grant counts only until the moment that the daemon stated last.
        var isShared = false
    }

    /// A call of a client: what it asks of the daemon.
    enum Call {
        case acquire(Acquire)
        case upgrade(GrantID)
        case downgrade(GrantID, to: LockMode)
        case renew(GrantID, lease: TimeLimit?)
        case release(GrantID)
        /// A request that concerns no grant of this session.
        case other(Verb)
    }

    /// How a request ended.
    enum Outcome {
        case granted(GrantID)
        /// The grant was changed, renewed or released as the request said.
        case done
        case answered(Reply, [Row])
        case refused(LockError)
        /// The grant that the request names is lost.
        case lost(LockLost)
        case cancelled
        /// The session ended before the daemon answered. The request got nothing, so the next session may send it again.
        case unanswered
    }

    /// What the shell passes on to a caller.
    enum Event {
        case completed(RequestID, Outcome)
        case lost(GrantID, LockLost)
        case noticed(Notice)
    }

    /// How far an open request is.
    enum Stage {
        case unsent, sent
        /// Sent again at this time.
        case paused(until: Instant)
        /// The daemon is leaving and does not serve the request.
        case parked(WireError)
    }

    /// A request that has no reply yet.
    struct OpenRequest {
        let call: Call
        var time: CallTime
        var stage = Stage.unsent
        /// Whether a caller waits for the outcome.
        var isAttended: Bool
        var isCancelled = false
        /// The token in the line that was sent.
        var token: Token?
        var rows: [Row] = []

        /// Whether the request was sent and may wait in the daemon's queue.
        var mayWait: Bool {
            guard case .sent = stage else { return false }
            return switch call {
            case .acquire, .upgrade: true
            case .downgrade, .renew, .release, .other: false
            }
        }

        /// Whether a request for that lock was sent that an owner could have; the session's own owner stands for any.
        func isSent(for name: LockName, of owner: OwnerID) -> Bool {
            guard case .sent = stage, case .acquire(let asked) = call else { return false }
            return asked.name == name && (owner.isSession || asked.owner == owner)
        }

        /// When time changes the request; nil for never.
        var alarm: Instant? {
            if case .paused(let until) = stage { return until }
            return isAttended ? time.end : nil
        }
    }
}

extension Session {
    /// The requests that the daemon refused because too many of the session wait (`limit-waiters`), oldest first.
    struct Queue {
        private var ids: [RequestID] = []

        /// Adds a request; returns the pause until it is sent again, longer the more requests there are.
        mutating func insert(_ id: RequestID) -> Duration {
            let position = ids.firstIndex { $0 >= id } ?? ids.endIndex
            if position == ids.endIndex || ids[position] != id { ids.insert(id, at: position) }
            return .milliseconds(max(100, ids.count))
        }

        mutating func takeOldest() -> RequestID? { ids.isEmpty ? nil : ids.removeFirst() }
    }
}

extension Session.Outcome {
    /// The outcome of a request that the end of the session completes.
    init(after failure: LockError) {
        if case .disconnected = failure { self = .unanswered } else { self = .refused(failure) }
    }

    /// Throws the error of a request that did not get what it asked for.
    func confirm() throws {
        switch self {
        case .granted, .done, .answered: return
        case .refused(let error): throw error
        case .lost(let loss): throw loss
        case .cancelled: throw CancellationError()
        case .unanswered: throw LockError.disconnected
        }
    }
}

extension Session.Call {
    /// The grant that the request changes.
    var grant: Session.GrantID? {
        switch self {
        case .upgrade(let grant), .downgrade(let grant, _), .renew(let grant, _), .release(let grant): grant
        case .acquire, .other: nil
        }
    }

    /// The line's request.
    ///
    /// - Parameters:
    ///   - terms: of the grant that the request changes, if it changes one.
    ///   - wait: how long the request may wait.
    ///   - knowsCaching: whether the daemon knows what a cached grant is. An older one would refuse the word.
    func verb(about terms: Session.Terms?, waiting wait: TimeLimit, knowsCaching: Bool) -> Verb {
        func chosen(_ verb: (LockName, GrantChoice) -> Verb) -> Verb {
            guard let terms else { preconditionFailure("the request changes a grant") }
            return verb(terms.name, GrantChoice(token: terms.token))
        }
        switch self {
        case .acquire(var acquire):
            acquire.wait = wait
            if !knowsCaching || acquire.mode == .update { acquire.mayCache = true }
            return .acquire(acquire)
        case .upgrade: return chosen { .upgrade($0, $1, wait: wait) }
        case .downgrade(_, let mode): return chosen { .downgrade($0, $1, to: mode) }
        case .renew(_, let lease): return chosen { .renew($0, $1, lease: lease) }
        case .release: return chosen { .release($0, $1) }
        case .other(let verb): return verb
        }
    }

    /// Whether a daemon that does not answer must not get the request, because it would be stale when the daemon reads it.
    var isHeldBackFromSilentDaemon: Bool {
        switch self {
        case .acquire, .other(.ping), .other(.validate): true
        case .other(let verb): verb.isAnsweredWithRows
        case .upgrade, .downgrade, .renew, .release: false
        }
    }
}

extension Verb {
    /// Whether rows precede the reply.
    var isAnsweredWithRows: Bool {
        switch self {
        case .status, .list, .hot, .sessions, .stats, .help: true
        case .acquire, .release, .releaseAtEnd, .releaseAll, .upgrade, .downgrade, .renew, .cancel,
            .cancelTagged, .validate, .revoke, .watch, .hello, .ping, .quit:
            false
        }
    }
}

extension Reply {
    var isCancelled: Bool { if case .cancelled = self { true } else { false } }

    var isNotHeld: Bool {
        if case .error(let error) = self { error.code == .notHeld } else { false }
    }
}
