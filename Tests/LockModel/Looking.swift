import LockVocabulary

/// Queries of a state, and the faults that no state may have.
extension Model {
    public func stakes(of session: Int) -> (grants: Int, waiters: Int) {
        (
            grants.count { $0.party.session == session },
            requests.count { $0.party.session == session }
        )
    }

    /// The requests on a lock in the order of their service.
    public func queue(of lock: String) -> [Request] {
        requests.filter { $0.lock == lock }.sorted { isAhead($0, of: $1) }
    }

    /// A fault that no state may have; nil if there is none.
    public var fault: String? {
        for (index, one) in grants.enumerated() {
            for other in grants[..<index] where one.lock == other.lock && one.mode.conflicts(with: other.mode)
            {
                return "G1: \(one) beside \(other)"
            }
            if let end = one.leaseEnd, end <= now { return "G9: \(one) at \(now)" }
        }
        for request in requests {
            if let deadline = request.deadline, deadline <= now { return "G5: \(request) at \(now)" }
            if graceEnd == nil, before(request).isEmpty {
                return "a lost wake-up: \(request) waits for nothing"
            }
            if hasWaitedTooLong(request) { return "G2: \(request) is patient at \(now)" }
            if hasCircle(through: request.party) { return "G8: a circle through \(request)" }
        }
        return nil
    }
}
