/// What the sessions of a user may have together.
extension Model {
    /// What a user may have of a limit.
    public enum Share: Sendable {
        case upTo(Int)
        /// A quarter of what the other users leave, rounded up.
        case quarterOfRest

        /// Whether a user with `own` may have one more, where other users have `others` of the limit.
        public func allowsOneMore(than own: Int, besides others: Int, of limit: Int) -> Bool {
            switch self {
            case .upTo(let most): own < most
            // It has less than a quarter of what the others leave.
            case .quarterOfRest: 4 * own < limit - others
            }
        }
    }

    /// Whether the session's user may have one more grant, or request that waits to become one.
    func mayHaveOneMoreGrant(_ session: Int) -> Bool {
        guard let share = shares[session] else { return true }
        let own = stakes(ofUser: share.user)
        let all = grants.count + requests.count
        let stakes = own.grants + own.waiters
        return share.grants.allowsOneMore(than: stakes, besides: all - stakes, of: limits.grants)
    }

    /// Whether the session's user may have one more waiting request.
    func mayHaveOneMoreRequest(_ session: Int) -> Bool {
        guard let share = shares[session] else { return true }
        let own = stakes(ofUser: share.user).waiters
        return share.waiters.allowsOneMore(than: own, besides: requests.count - own, of: limits.waiters)
    }

    /// The grants and the waiting requests of all sessions of a user.
    private func stakes(ofUser user: UInt32) -> (grants: Int, waiters: Int) {
        let held = grants.count { shares[$0.party.session]?.user == user }
        return (held, requests.count { shares[$0.party.session]?.user == user })
    }
}
