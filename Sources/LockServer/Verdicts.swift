import LockCore
import LockVocabulary

/// What the policy decides about a peer: what its session may do, and how much its user may have.
struct Verdict {
    var rights: Rights
    /// What lines of the policy allow the user, and the default for watchers.
    var allowance: Policy.Allowance

    /// The verdict on no peer: no rights and no allowance beyond the defaults.
    static let none = Verdict(
        rights: Rights(userID: 0, isTrusted: false, permissions: []), allowance: Policy.Allowance())

    /// How many of all sessions the user may have.
    var sessions: Portion { portion(allowance.sessions) }

    /// What `LockTable` holds the session's account to.
    var share: Share { Share(grants: portion(allowance.grants), waiters: portion(allowance.waiters)) }

    /// Numbers of the policy are absolute. Without one, users who are not trusted share a limit by `quarterOfRest`.
    private func portion(_ number: Int?) -> Portion {
        if let number { return .upTo(number) }
        return rights.isTrusted ? .upTo(.max) : .quarterOfRest
    }
}

/// What one session may do and see, as the policy decided it for the session's peer.
struct Rights {
    let userID: UInt32
    /// Whether the peer is root or the daemon's own user.
    let isTrusted: Bool
    /// The policy's lines about the peer, in their order.
    let permissions: [Policy.Permission]

    /// Whether the session may do something with a lock: what the first line that matches says, or the default.
    @inline(__always)
    func allow(_ right: Policy.Right, _ name: LockName) -> Bool {
        if !permissions.isEmpty, let decided = decided(right, name) { return decided }
        return switch right {
        case .read, .write, .look, .watch: true
        case .notes, .revoke: isTrusted
        }
    }

    private func decided(_ right: Policy.Right, _ name: LockName) -> Bool? {
        permissions.first {
            $0.rights.contains(right) && name.text.utf8.starts(with: $0.prefix.utf8)
        }?.allows
    }

    /// Whether the session gets notices of a lock's changes. They show that the lock exists, and its holders and waiters.
    func follow(_ name: LockName) -> Bool { allow(.watch, name) && allow(.look, name) }

    /// Whether the session sees the note of a user's grant or request: its own user's always.
    func showNote(ofUser user: UInt32, _ name: LockName) -> Bool {
        user == userID || allow(.notes, name)
    }

    /// Whether the session sees the name that another client gave itself. A client is about no lock, so that only
    /// a line about the notes of all names decides.
    func showClient(ofUser user: UInt32) -> Bool {
        if user == userID { return true }
        return permissions.first { $0.rights.contains(.notes) && $0.prefix.isEmpty }?.allows ?? isTrusted
    }
}

/// Decides about peers by a policy, once for all peers that the policy cannot tell apart.
///
/// Without this memory a reload would read thousands of lines once for each session, and delay every client.
struct Verdicts {
    /// The facts about a peer that the decision depends on.
    private struct Kind: Hashable {
        let userID: UInt32
        let groupID: UInt32
        let identity: Peer.Identity
    }

    /// How many kinds are remembered; with more, all are dropped, because programs and units come and go.
    private static let most = 1_024
    /// The sessions of a user that may watch, if the policy says nothing and the user is not trusted.
    private static let watchers = 64

    var policy: Policy {
        didSet {
            facts = policy.facts
            mostSessions = policy.mostSessions
            known = [:]
        }
    }
    /// The facts about a peer that the policy goes by.
    private var facts: Policy.Facts
    /// The most sessions that a line of the policy allows a user.
    private(set) var mostSessions: Int
    /// The daemon's own user; the defaults do not limit it.
    private let ownUserID: UInt32
    private var known: [Kind: Verdict] = [:]

    init(by policy: Policy, ownUserID: UInt32) {
        self.policy = policy
        facts = policy.facts
        mostSessions = policy.mostSessions
        self.ownUserID = ownUserID
    }

    mutating func verdict(on peer: Peer) -> Verdict {
        if policy.permissions.isEmpty, policy.limits.isEmpty { return decide(peer) }
        var identity = peer.identity
        // A fact that no line mentions makes no difference.
        if !facts.contains(.groups) { identity.groups = [] }
        if !facts.contains(.unit) { identity.unit = nil }
        if !facts.contains(.executable) { identity.executable = nil }
        let kind = Kind(userID: peer.userID, groupID: peer.groupID, identity: identity)
        if let verdict = known[kind] { return verdict }
        let verdict = decide(peer)
        if known.count >= Self.most { known.removeAll() }
        known[kind] = verdict
        return verdict
    }

    /// Whether the user is root or the daemon's own user.
    func trusts(_ userID: UInt32) -> Bool { userID == 0 || userID == ownUserID }

    private func decide(_ peer: Peer) -> Verdict {
        let isTrusted = trusts(peer.userID)
        var allowance = policy.allowance(of: peer)
        if !isTrusted { allowance.watchers = allowance.watchers ?? Self.watchers }
        return Verdict(
            rights: Rights(
                userID: peer.userID, isTrusted: isTrusted, permissions: policy.permissions(of: peer)),
            allowance: allowance)
    }
}

extension Policy {
    fileprivate var mostSessions: Int { limits.reduce(0) { max($0, $1.allowance.sessions ?? 0) } }
}
