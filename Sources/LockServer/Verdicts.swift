/// What the policy says of a peer, found once for all peers that are alike to it.
///
/// A policy of thousands of lines is gone through for each kind of peer and not for each session: else a change of rules
/// would delay every client by the sessions times the lines.
struct Verdicts {
    struct Verdict {
        var permissions: [Policy.Permission] = []
        var allowance = Policy.Allowance()
    }

    /// What a policy may go by.
    private struct Kind: Hashable {
        let userID: UInt32
        let groupID: UInt32
        let identity: Peer.Identity
    }

    /// So many kinds are remembered; with more, all are forgotten, as programs and units come and go.
    private static let most = 1_024

    private let policy: Policy
    private let facts: Policy.Facts
    private var known: [Kind: Verdict] = [:]

    init(by policy: Policy) {
        self.policy = policy
        facts = policy.facts
    }

    mutating func verdict(on peer: Peer) -> Verdict {
        if policy.permissions.isEmpty, policy.limits.isEmpty { return Verdict() }
        var identity = peer.identity
        // What no line goes by makes no difference.
        if !facts.contains(.groups) { identity.groups = [] }
        if !facts.contains(.unit) { identity.unit = nil }
        if !facts.contains(.executable) { identity.executable = nil }
        let kind = Kind(userID: peer.userID, groupID: peer.groupID, identity: identity)
        if let verdict = known[kind] { return verdict }
        let verdict = Verdict(
            permissions: policy.permissions(of: peer), allowance: policy.allowance(of: peer))
        if known.count >= Self.most { known.removeAll() }
        known[kind] = verdict
        return verdict
    }
}
