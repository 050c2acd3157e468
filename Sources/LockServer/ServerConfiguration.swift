public import LockClaims
public import LockCore
public import LockVocabulary

/// The settings of a server. Limits and policy can change while it runs.
public struct ServerConfiguration: Sendable {
    /// The bounds of G12.
    public struct Limits: Sendable, Equatable {
        public var rules = LockCore.Limits()
        /// Bytes of a line, including its line feed.
        public var line = 65_536
        /// Unread bytes of replies above which the session is not read from.
        public var unread = 262_144
        /// Unread bytes of replies above which the session is cut off.
        public var unreadAtMost = 1_048_576
        /// Bytes of incomplete lines, parked lines and unread replies, of all sessions.
        public var buffers = 268_435_456

        /// Sessions that the system has room for. A user gets a share of them.
        public var sessionRoom = Int.max

        public init() {}
    }

    /// How much is done at once. README.md explains the numbers; tests set smaller ones.
    public struct Turns: Sendable, Equatable {
        /// Steps of due work for all accounts in one batch.
        public var batch = 32
        /// Steps of due work for an account before another has its turn, and steps that follow one line at once.
        public var steps = 16
        /// Units of work of an account in a round, if there are other accounts.
        public var account = 32
        /// Units of work of an account in a round, if it is the only one.
        public var alone = 4_096
        /// Units of work of a session before another session of the account has its turn.
        public var session = 32
        /// Locks, grants and requests that are examined for rows in one turn.
        public var rows = 128

        public init() {}
    }

    public var limits = Limits()
    public var turns = Turns()
    /// The bytes of a piece of output or input in a fact; more bytes are in pieces (`BytePieces`).
    public var pieceSize = 4_096
    /// Who may do what, how much, and in which order.
    public var policy = Policy()
    /// The program and its version, for `HELLO`.
    public var program = "prwlockd"
    /// The daemon's own user, who is trusted as root is.
    public var ownUserID: UInt32 = 0
    /// The first token; it must be above every token that was ever used.
    public var firstToken = Token(rawValue: 1)
    /// The last token that is reserved.
    public var lastToken = Token(rawValue: 0)
    /// When the first grant is allowed; nil for at once (G1).
    public var graceEnd: Instant?
    /// How long a reader waits behind writers that came after it (G2); nil for as long as they come.
    public var patience: Duration?

    /// When the server begins, for `uptime-s` of `STATS`.
    public var start = Instant.zero

    /// This host's place in a fleet; nil if it shares no names.
    public var fleet: ClaimsConfiguration?

    /// Rows that `STATS` adds to the server's own: what the host permits the daemon to do.
    public var hostRows: [HostRow] = []

    /// A name and a number of `STATS`.
    public struct HostRow: Sendable {
        public var name: String
        public var value: Int

        public init(_ name: String, _ value: Int) {
            self.name = name
            self.value = value
        }
    }

    public init() {}
}
