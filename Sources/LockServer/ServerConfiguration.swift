public import LockCore
public import LockVocabulary

/// What a server is told at its start. The limits may change while it runs.
public struct ServerConfiguration: Sendable {
    /// The bounds of G12.
    public struct Limits: Sendable, Equatable {
        public var rules = LockCore.Limits()
        /// Bytes in a line, with its line feed.
        public var line = 65_536
        /// Unread bytes of replies before a session is no longer read from.
        public var unread = 262_144
        /// Unread bytes of replies before a session is cut off.
        public var unreadAtMost = 1_048_576
        /// Bytes of half lines, lines that wait and unread replies, of all sessions.
        public var buffers = 268_435_456

        /// Sessions that the system has room for, of which a user is to have a share only.
        public var sessionRoom = Int.max

        public init() {}
    }

    public var limits = Limits()
    /// Who may do what, how much and in which order.
    public var policy = Policy()
    /// What `HELLO` says of the program and its version.
    public var program = "prwlockd"
    /// Who besides root may revoke.
    public var ownUserID: UInt32 = 0
    /// Above every token that was ever given out.
    public var firstToken = Token(rawValue: 1)
    /// The last token that is reserved.
    public var lastToken = Token(rawValue: 0)
    /// When the first grant may be made; nil for at once (G1).
    public var graceEnd: Instant?

    /// Rows that `STATS` shows behind the server's own: what the host permits the daemon to do.
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
