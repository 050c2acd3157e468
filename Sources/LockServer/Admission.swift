import LockCore
public import LockVocabulary
import LockWire

/// What the shell asks before it accepts a connection.
extension Server {
    /// How many connections a user may have now.
    public struct ConnectionLimits: Sendable, Equatable {
        /// All of them: those that wait for a session, and those that have one.
        public var all: Int
        /// Those that have sent nothing.
        public var silent: Int

        public init(all: Int, silent: Int) {
            self.all = all
            self.silent = silent
        }

        /// For root and the daemon's own user.
        static let none = ConnectionLimits(all: .max, silent: .max)
    }

    /// The limits for a user, as far as the user's number decides; `open` applies the policy to the peer.
    ///
    /// - Parameter others: the connections of all other users.
    public func connectionLimits(of userID: UInt32, besides others: Int) -> ConnectionLimits {
        if verdicts.trusts(userID) { return .none }
        let most = Portion.quarterOfRest.most(besides: others, of: sessionsToShare)
        return ConnectionLimits(all: max(most, verdicts.mostSessions), silent: max(16, most / 4))
    }

    /// The sessions that all users share: those that the limit allows and the system has room for.
    var sessionsToShare: Int { min(limits.rules.sessions, limits.sessionRoom) }

    /// Notes that a connection got no session, because its user has as many connections as allowed.
    public mutating func noteRefusal(of peer: Peer, at now: Instant) {
        log.note(ServerEvent(.limitHit(ErrorCode.limitSessions.rawValue), peer: peer), at: now)
    }
}

/// The limits of everything.
extension Server {
    /// Sets other limits; nothing is taken away from a session that exceeds them.
    public mutating func setLimits(_ limits: ServerConfiguration.Limits) {
        self.limits = keepsFacts ? limits.ofFacts : limits
        bufferLimit = isFullNow ? min(bufferLimit, self.limits.buffers) : self.limits.buffers
        setRuleLimits()
        conversations.unreadLimit = self.limits.unread
    }

    /// Whether nothing more has room where the facts are kept: new sessions, grants and requests that wait are refused
    /// (`no-memory`), and releases go on.
    public var isFull: Bool {
        get { isFullNow }
        set {
            guard newValue != isFullNow else { return }
            isFullNow = newValue
            setRuleLimits()
            // The facts of what is read and not carried out, or written and not sent, take room as well.
            bufferLimit = newValue ? min(limits.buffers, conversations.buffered + 65_536) : limits.buffers
        }
    }

    private mutating func setRuleLimits() {
        table.limits = limits.rules
        guard isFullNow else { return }
        table.limits.sessions = 0
        table.limits.grants = 0
        table.limits.waiters = 0
    }
}

extension ServerConfiguration.Limits {
    /// The same limits, as far as facts have room for what they permit: in a fact are all unread, parked and incomplete bytes
    /// of a session, and the slots of records have 24 bits.
    fileprivate var ofFacts: Self {
        var limits = self
        limits.line = min(line, 65_536)
        limits.unreadAtMost = min(unreadAtMost, 786_432)
        limits.unread = min(unread, limits.unreadAtMost)
        let records = 16_000_000
        limits.rules.sessions = min(rules.sessions, records)
        limits.rules.locks = min(rules.locks, records)
        limits.rules.grants = min(rules.grants, records)
        limits.rules.waiters = min(rules.waiters, records)
        return limits
    }
}

/// Who may do what.
extension Server {
    /// The rules that the administrator made.
    public var policy: Policy { verdicts.policy }

    /// Sets another policy; no session loses what it holds.
    ///
    /// - Parameter identity: the identity of a session's process. The new policy may need facts that the old one did not.
    public mutating func setPolicy(
        _ policy: Policy, identity: (SessionID) -> Peer.Identity? = { _ in nil }
    ) {
        verdicts.policy = policy
        // Who may do what is asked again with the next request.
        table.stopCaching(at: table.now)
        accounts.forgiveDebts()
        for client in conversations.indices {
            if let identity = identity(conversations[client].session) {
                conversations[client].peer.identity = identity
            }
            decide(on: client)
        }
    }

    private mutating func decide(on client: ConversationIndex) {
        let verdict = verdicts.verdict(on: conversations[client].peer)
        conversations[client].verdict = verdict
        if conversations[client].phase == .open {
            table.setShare(verdict.share, of: conversations[client].session)
        }
    }
}
