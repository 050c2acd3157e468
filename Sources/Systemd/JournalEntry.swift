/// One event for operators, in the journal or on standard error.
public struct JournalEntry: Sendable {
    public var level: LogLevel
    /// One line that is clear without the fields.
    public var message: String
    /// The kind of the event, if operators can search for it.
    public var event: Event?
    /// The objects of the event, in the order in which they are shown.
    public var fields: [Field]

    public init(_ level: LogLevel, _ message: String, event: Event? = nil, fields: [Field] = []) {
        self.level = level
        self.message = message
        self.event = event
        self.fields = fields
    }

    /// A field that operators can search for: `journalctl LOCK=jobs CLIENT_PID=811`.
    public enum Field: Sendable {
        case lock(String)
        case session(String)
        case clientProcess(Int32)
        case clientUser(UInt32)
        /// The system's unit that the client belongs to.
        case clientUnit(String)
        /// The path of the client's program.
        case clientProgram(String)
        case token(UInt64)
        /// The exceeded limit, by its error code in the protocol: `limit-grants`.
        case limit(String)
        /// The number of lost entries.
        case lost(Int)
    }

    /// A kind of event, with an identifier that never changes (`journalctl MESSAGE_ID=…`).
    public enum Event: Sendable, CaseIterable {
        /// A session that held a lock ended without a regular end.
        case diedHolding
        case leaseExpired
        case deadlockRefused
        case limitHit
        /// The mark that a lock's last writer died was dropped for lack of room.
        case markForgotten
        /// An operator revoked a grant.
        case revoked
        case outOfDescriptors
        case outOfTokens
        /// A client requested something that the rule file forbids.
        case denied
        /// An owner requested a lock that the lock order places before a lock that it holds.
        case orderBroken
        /// A lock is one of those that cost most in the last day.
        case hotLock
        /// Entries before this one were lost, because there was no room for them.
        case entriesLost
        /// The options or rules are invalid: a reload changed nothing, or a start used the last good ones.
        case configurationRefused
        /// A line ended the processes that carried it out, and its session was cut off.
        case fatalLine
        /// A process that serves could not go on where another one died.
        case startedEmpty
        /// All grants on names that hosts share have ended, because the lease at the cluster was lost.
        case clusterLost
        case clusterUnreachable
        /// The cluster was restored from a backup.
        case clusterRestored
        /// The cluster, or what is in it, does not let the daemon share locks.
        case clusterRefused
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
        case .clientProgram: "CLIENT_EXE"
        case .token: "TOKEN"
        case .limit: "LIMIT"
        case .lost: "LOST"
        }
    }

    public var value: String {
        switch self {
        case .lock(let text), .session(let text), .limit(let text): text
        case .clientUnit(let text), .clientProgram(let text): text
        case .clientProcess(let id): "\(id)"
        case .clientUser(let id): "\(id)"
        case .lost(let count): "\(count)"
        case .token(let number): "\(number)"
        }
    }
}

extension JournalEntry.Event {
    /// The journal's `MESSAGE_ID`: 128 bits as 32 hex digits. Never change one, because operators search by it.
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
        case .hotLock: "8dd1cacdee704e1d9d4e5bbf941516ba"
        case .entriesLost: "8d79b05c9485491c9a18ab7186746d21"
        case .configurationRefused: "6d4d22b8a5bd42f0ad22edfa475136fa"
        case .fatalLine: "ac26a790380d479a851999ac57cfd713"
        case .startedEmpty: "20e9bf79a75e4f699e6165360bc325c5"
        case .clusterLost: "fdea9961b31c451ca93519257d6371e8"
        case .clusterUnreachable: "0b9d29ab0ebb41b19e1bb1e59089c530"
        case .clusterRestored: "f29c2c26c2d44cd3ba92a3fb7d2cf8ac"
        case .clusterRefused: "797b7b7a911a4ec4ac3ddc1523b0c385"
        }
    }
}

extension JournalEntry: CustomStringConvertible {
    /// The entry as one line of text, with the fields under their names in the journal.
    public var description: String {
        let words = fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        return "\(level): \(message)" + (words.isEmpty ? "" : " (\(words))")
    }
}
