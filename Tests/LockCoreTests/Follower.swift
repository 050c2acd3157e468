import LockCore
import LockVocabulary

/// The grants and the waiting requests, as a watcher concludes them from changes.
struct Follower {
    struct Stake: Hashable {
        let session: SessionID
        let owner: OwnerID
        let lock: LockName
        let mode: LockMode
    }

    private(set) var grants: [Token: Stake] = [:]
    private(set) var requests: [UInt64: Stake] = [:]

    /// Applies a change; false if the change contradicts those before.
    mutating func follow(_ change: Change) -> Bool {
        let stake = Stake(
            session: change.session, owner: change.owner, lock: change.name, mode: change.mode)
        switch change.kind {
        case .granted:
            if let request = change.request, requests.removeValue(forKey: request) == nil { return false }
            return change.token.map { grants.updateValue(stake, forKey: $0) == nil } ?? false
        case .downgraded: return change.token.map { grants.updateValue(stake, forKey: $0) != nil } ?? false
        case .released, .upgraded, .expired, .revoked, .died:
            return change.token.map { grants.removeValue(forKey: $0) == stake } ?? false
        case .waiting: return change.request.map { requests.updateValue(stake, forKey: $0) == nil } ?? false
        case .timeout, .cancelled, .refused:
            return change.request.map { requests.removeValue(forKey: $0) == stake } ?? false
        }
    }
}
