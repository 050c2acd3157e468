public import LockVocabulary

/// What an operator would search the journal for.
public struct ServerEvent: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// A session ended while it held so many locks; the one that is named was held for writing, if any was.
        case diedHolding(grants: Int)
        /// A lease ended, and the grant with it.
        case leaseExpired(Token)
        /// A request would have closed a circle.
        case deadlockRefused(circle: String)
        /// A request, or a session, ran into a limit, named by its error code.
        case limitHit(String)
        /// The oldest of too many marks of dead writers was dropped (G11).
        case markForgotten
        /// A grant was taken away by a person.
        case revoked(Token, by: Peer)
        /// No token was left (G7).
        case noToken
        /// A client asked for what it may not, in this way.
        case denied(String)
        /// An owner asked for a lock that was to be taken before one that it holds.
        case orderBroken(holding: LockName, heldNote: Note, note: Note, isRefused: Bool)
        /// So many more events of one kind came than are told.
        case more(Int)

        /// Which kind it is, from 0 to below `count`.
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
            case .more: 9
            }
        }

        static let count = 10
    }

    public let kind: Kind
    public var lock: LockName?
    public var session: SessionID?
    public var peer: Peer?
    /// The token of the grant that was lost, if its kind has none of its own.
    public var token: Token?

    public init(_ kind: Kind, lock: LockName? = nil, session: SessionID? = nil, peer: Peer? = nil) {
        self.kind = kind
        self.lock = lock
        self.session = session
        self.peer = peer
    }
}
