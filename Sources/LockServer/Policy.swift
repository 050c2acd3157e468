import LockVocabulary

/// Who may do what, how much, and in which order: what a rule file says.
///
/// Of several lines that match, the first counts; where none does, the defaults do, which are those of a daemon without
/// a file: all may lock and look at all names, but only root and the daemon's own user may revoke, and see what others
/// say of themselves.
public struct Policy: Sendable, Equatable {
    /// Something that a client may do with a lock.
    public enum Right: String, CaseIterable, Sendable {
        /// `READ`.
        case read
        /// `WRITE`, `UPDATE` and `UPGRADE`.
        case write
        /// To be told that a lock is there, and who holds and waits: `STATUS`, `LIST`, `VALIDATE`.
        case look
        /// To be told the notes of other users' grants and requests.
        case notes
        /// To be told of changes: `WATCH`.
        case watch
        /// `REVOKE`.
        case revoke
    }

    /// Whom a line is about.
    public enum Subject: Sendable, Equatable {
        case everyone
        case users([UInt32])
        case groups([UInt32])
        /// Units of the system's service manager.
        case units([String])
        case executables([String])

        func includes(_ peer: Peer) -> Bool {
            switch self {
            case .everyone: true
            case .users(let users): users.contains(peer.userID)
            case .groups(let groups):
                groups.contains { $0 == peer.groupID || peer.identity.groups.contains($0) }
            case .units(let units): peer.identity.unit.map(units.contains) ?? false
            case .executables(let paths): peer.identity.executable.map(paths.contains) ?? false
            }
        }
    }

    /// A line that allows or denies.
    public struct Permission: Sendable, Equatable {
        public var allows: Bool
        public var subject: Subject
        public var rights: Set<Right>
        /// How the names begin that it is about; empty for all.
        public var prefix: String
    }

    /// How much the sessions of one user may have and do together; nil for what is not said.
    public struct Allowance: Sendable, Equatable {
        /// Sessions at once.
        public var sessions: Int?
        /// Grants, with the requests that wait to become one.
        public var grants: Int?
        /// Waiting requests.
        public var waiters: Int?
        /// Sessions that watch.
        public var watchers: Int?
        /// Lines carried out in a second, from 1; more are carried out later.
        public var requests: Int?

        public init() {}

        /// What this says, and where it says nothing, the other.
        func over(_ other: Allowance) -> Allowance {
            var both = other
            both.sessions = sessions ?? other.sessions
            both.grants = grants ?? other.grants
            both.waiters = waiters ?? other.waiters
            both.watchers = watchers ?? other.watchers
            both.requests = requests ?? other.requests
            return both
        }
    }

    /// A line that limits.
    public struct Limit: Sendable, Equatable {
        public var subject: Subject
        public var allowance: Allowance

        public init(_ subject: Subject, _ allowance: Allowance) {
            self.subject = subject
            self.allowance = allowance
        }
    }

    public var permissions: [Permission] = []
    public var limits: [Limit] = []
    public var order = LockOrder()

    public init() {}

    /// The kinds of facts about a peer that its lines go by.
    public struct Facts: OptionSet, Sendable {
        public let rawValue: Int

        public init(rawValue: Int) { self.rawValue = rawValue }

        public static let groups = Facts(rawValue: 1)
        public static let unit = Facts(rawValue: 2)
        public static let executable = Facts(rawValue: 4)
    }

    public var facts: Facts {
        let subjects = permissions.map(\.subject) + limits.map(\.subject)
        return subjects.reduce(into: Facts()) { facts, subject in
            switch subject {
            case .everyone, .users: break
            case .groups: facts.insert(.groups)
            case .units: facts.insert(.unit)
            case .executables: facts.insert(.executable)
            }
        }
    }

    /// What it says of one peer.
    func permissions(of peer: Peer) -> [Permission] { permissions.filter { $0.subject.includes(peer) } }

    /// What it says of how much a peer's user may have.
    func allowance(of peer: Peer) -> Allowance {
        limits.filter { $0.subject.includes(peer) }
            .reduce(Allowance()) { $0.over($1.allowance) }
    }
}
