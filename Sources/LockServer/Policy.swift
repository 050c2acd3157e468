import LockVocabulary

/// The contents of a rule file: who may do what, how much, and in which order.
///
/// The first line that matches decides. If no line matches, the default decides: all users may lock, look at and watch
/// all names, but only root and the daemon's own user may revoke, and see the notes of other users.
public struct Policy: Sendable, Equatable {
    /// A right of a client with regard to a lock.
    public enum Right: String, CaseIterable, Sendable {
        /// `READ`.
        case read
        /// `WRITE`, `UPDATE` and `UPGRADE`.
        case write
        /// To see that a lock exists, its holders and its waiters: `STATUS`, `VALIDATE`, its row of `LIST`, and the notices of
        /// `WATCH`.
        case look
        /// To see the notes of other users' grants and requests.
        case notes
        /// To receive notices of changes of a lock that the client may look at: `WATCH`.
        case watch
        /// `REVOKE`.
        case revoke
    }

    /// The peers that a line is about.
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
        /// The prefix of the names that the line is about; empty for all names.
        public var prefix: String
    }

    /// How much the sessions of one user may have and do together; nil where no line limits it.
    public struct Allowance: Sendable, Equatable {
        /// Sessions at once.
        public var sessions: Int?
        /// Grants, including the requests that wait to become one.
        public var grants: Int?
        /// Waiting requests.
        public var waiters: Int?
        /// Sessions that watch.
        public var watchers: Int?
        /// Lines carried out in a second, at least 1; further lines wait.
        public var requests: Int?

        public init() {}

        /// This allowance, completed by another where this one has no limit.
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

    /// Kinds of facts about a peer.
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

    /// The permissions that are about a peer, in their order.
    func permissions(of peer: Peer) -> [Permission] { permissions.filter { $0.subject.includes(peer) } }

    /// The limits that are about a peer; of several for the same thing, the first counts.
    func allowance(of peer: Peer) -> Allowance {
        limits.filter { $0.subject.includes(peer) }
            .reduce(Allowance()) { $0.over($1.allowance) }
    }
}
