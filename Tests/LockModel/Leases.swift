import LockVocabulary

/// The leases of grants (G9).
extension Model {
    /// Renews a lease; without a limit the grant gets the lease that it had before.
    mutating func renew(_ matches: [Grant], lease: TimeLimit?) -> Set<Answer> {
        guard let grant = only(matches) else { return Self.refusal(matches) }
        if lease == nil, grant.lease == nil { return [.noLease] }
        let now = now
        change(grant) {
            switch lease {
            case .upTo(let duration): $0.lease = duration
            case .forever: $0.lease = nil
            case nil: break
            }
            $0.leaseEnd = $0.lease.map { now.advanced(by: $0) }
        }
        return [.done]
    }
}
