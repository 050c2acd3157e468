public import LockVocabulary

/// An event that an operator would search the journal for.
public struct ServerEvent: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// A session ended while it held locks. The event names one of them, a lock held for writing if there was one.
        case diedHolding(grants: Int)
        /// A lease ended, and the grant with it.
        case leaseExpired(Token)
        /// A request would have closed a cycle of owners that wait for each other.
        case deadlockRefused(circle: String)
        /// A request or a session exceeded a limit, named by its error code.
        case limitHit(String)
        /// The oldest of too many marks of dead writers was dropped (G11).
        case markForgotten
        /// A client revoked the grant of another.
        case revoked(Token, by: Peer)
        /// No reserved token was left (G7).
        case noToken
        /// The policy denied this kind of request to a client.
        case denied(String)
        /// An owner asked for a lock that comes before a lock that it holds, in the order of locks.
        case orderBroken(holding: LockName, heldNote: Note, note: Note, isRefused: Bool)
        /// A session was cut off, because a line of it ended the process that served, again and again.
        case fatalLine
        /// The lock is one of those that cost most in the last day.
        case hotLock(DayOfLock)
        /// So many events of one kind were not logged.
        case more(Int)

        /// The number of the kind, from 0 to `count` - 1.
        var index: Int {
            switch self {
            case .diedHolding: 0
            case .leaseExpired: 1
            case .deadlockRefused: 2
            case .limitHit: 3
            case .markForgotten: 4
            case .revoked: 5
            case .noToken: 6
            case .denied: 7
            case .orderBroken: 8
            case .fatalLine: 9
            case .hotLock: 10
            case .more: 11
            }
        }

        static let count = 12
    }

    public let kind: Kind
    public var lock: LockName?
    public var session: SessionID?
    public var peer: Peer?
    /// The token of the lost grant, if `kind` has none.
    public var token: Token?

    public init(_ kind: Kind, lock: LockName? = nil, session: SessionID? = nil, peer: Peer? = nil) {
        self.kind = kind
        self.lock = lock
        self.session = session
        self.peer = peer
    }
}
