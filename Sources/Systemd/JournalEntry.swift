/// One thing that an operator may want to know, for the journal or for standard error.
public struct JournalEntry: Sendable {
    public var level: LogLevel
    /// One line for people, that can be understood without the fields.
    public var message: String
    /// What happened, if it is of a kind that can be searched for.
    public var event: Event?
    /// What it happened to, in the order in which it is shown.
    public var fields: [Field]

    public init(_ level: LogLevel, _ message: String, event: Event? = nil, fields: [Field] = []) {
        self.level = level
        self.message = message
        self.event = event
        self.fields = fields
    }

    /// A field that can be searched for: `journalctl LOCK=jobs CLIENT_PID=811`.
    public enum Field: Sendable {
        case lock(String)
        case session(String)
        case clientProcess(Int32)
        case clientUser(UInt32)
        /// The system's unit that the client belongs to.
        case clientUnit(String)
        case token(UInt64)
        /// The limit that was hit, by the protocol's code for it: `limit-grants`.
        case limit(String)
        /// How many entries were lost.
        case lost(Int)
    }

    /// A kind of event, with an identifier that never changes (`journalctl MESSAGE_ID=…`).
    public enum Event: Sendable, CaseIterable {
        /// A session ended in another way than it should while it held a lock.
        case diedHolding
        case leaseExpired
        case deadlockRefused
        case limitHit
        /// A mark that a lock's last writer died was dropped for want of room.
        case markForgotten
        /// A grant was taken away by an operator.
        case revoked
        case outOfDescriptors
        case outOfTokens
        /// A client asked for what the rule file does not let it have.
        case denied
        /// An owner asked for a lock that it was to take before one that it holds.
        case orderBroken
        /// Entries before this one were lost, for there was no room for them.
        case entriesLost
        /// Options or rules have a fault: a reload changed nothing, or a start took the last good ones.
        case configurationRefused
    }
}

extension JournalEntry.Field {
    public var name: StaticString {
        switch self {
        case .lock: "LOCK"
        case .session: "SESSION"
        case .clientProcess: "CLIENT_PID"
        case .clientUser: "CLIENT_UID"
        case .clientUnit: "CLIENT_UNIT"
        case .token: "TOKEN"
        case .limit: "LIMIT"
        case .lost: "LOST"
        }
    }

    public var value: String {
        switch self {
        case .lock(let text), .session(let text), .limit(let text), .clientUnit(let text): text
        case .clientProcess(let id): "\(id)"
        case .clientUser(let id): "\(id)"
        case .lost(let count): "\(count)"
        case .token(let number): "\(number)"
        }
    }
}

extension JournalEntry.Event {
    /// The journal's `MESSAGE_ID`: 128 bits as 32 hex digits. Never changed, for others search by it.
    public var messageID: StaticString {
        switch self {
        case .diedHolding: "519d185c543645ba8444da01f4144e07"
        case .leaseExpired: "ea5ee108ddde4f94a3cde032e4867eee"
        case .deadlockRefused: "87b2f944cb8d4236a9554129ea4beb1e"
        case .limitHit: "6428049980d44c57bf8f925b4f13662b"
        case .markForgotten: "f160de869f51480e8cd5350c447d9a9f"
        case .revoked: "f4786da64b2c4b049185c913ea01918f"
        case .outOfDescriptors: "52951b6a7b6446c89fce62c45a4bff05"
        case .outOfTokens: "972b9e4d664841edb80f81206001ec83"
        case .denied: "dd601df18c1f4c18b696f4c0af2b215a"
        case .orderBroken: "d76f6b510c8f4ec1963e60115cc756e3"
        case .entriesLost: "8d79b05c9485491c9a18ab7186746d21"
        case .configurationRefused: "6d4d22b8a5bd42f0ad22edfa475136fa"
        }
    }
}

extension JournalEntry: CustomStringConvertible {
    /// The entry as one line of text, with the fields in the words by which the journal knows them.
    public var description: String {
        let words = fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        return "\(level): \(message)" + (words.isEmpty ? "" : " (\(words))")
    }
}
