import LockCore
import LockVocabulary

/// What the rules were seen to do, kept from the outside: who holds what, and who waits for it.
///
/// It is made of answers and effects alone, and believes none of them: each is held against what G1 to G11 say by
/// what came before it.
struct Ledger {
    /// One who asks: an owner of a session.
    struct Party: Hashable {
        let session: SessionID
        let owner: OwnerID
    }

    struct Hold: Equatable {
        let party: Party
        let lock: LockName
        var mode: LockMode
        var lease: Duration?
        var leaseEnd: Instant?
    }

    struct Request: Equatable {
        let party: Party
        let lock: LockName
        let mode: LockMode
        var upgrades: Token?
        var lease: Duration?
        var deadline: Instant?
        /// The order of coming.
        let number: Int

        /// The rows of a queue, in the order in which they are served: upgrade, contenders, readers.
        var row: Int { upgrades != nil ? 0 : mode == .read ? 2 : 1 }
    }

    /// What the rules did and should not have done.
    struct Complaint: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var holds: [Token: Hold] = [:]
    /// By their tags, of which no two are alike.
    private(set) var requests: [Tag: Request] = [:]
    /// The locks whose last writer died.
    private(set) var died: Set<LockName> = []
    private var lastToken = Token(rawValue: 0)

    // MARK: - What was seen

    /// A request was granted, at once or after it waited.
    mutating func grant(_ request: Request, _ granted: GrantSummary, at now: Instant) throws(Complaint) {
        try expect(granted.mode == request.mode, "the mode is not the one asked for")
        try expect(granted.token > lastToken, "G7: a token does not rise")
        try expect(granted.ownerDied == died.contains(request.lock), "G11: ownerdied is wrong")
        if let deadline = request.deadline { try expect(now < deadline, "G5: granted after the deadline") }
        lastToken = granted.token
        var hold = Hold(party: request.party, lock: request.lock, mode: request.mode)
        if let old = request.upgrades {
            guard let upgraded = holds.removeValue(forKey: old) else {
                throw Complaint(description: "G10: an upgrade of a grant that has ended")
            }
            hold.lease = upgraded.lease
            hold.leaseEnd = upgraded.leaseEnd
        } else {
            hold.lease = request.lease
            hold.leaseEnd = request.lease.map { now.advanced(by: $0) }
        }
        for other in holds.values where other.lock == hold.lock {
            try expect(!hold.mode.conflicts(with: other.mode), "G1: two grants that conflict")
        }
        holds[granted.token] = hold
    }

    /// A request has to wait.
    mutating func wait(_ request: Request, _ tag: Tag) { requests[tag] = request }

    /// A grant has ended.
    mutating func end(_ token: Token, cleanly: Bool) throws(Complaint) {
        guard let hold = holds.removeValue(forKey: token) else {
            throw Complaint(description: "a grant ends that is not there")
        }
        if hold.mode == .write { setMark(!cleanly, hold.lock) }
    }

    mutating func downgrade(_ token: Token, to mode: LockMode) {
        if let hold = holds[token], hold.mode == .write { setMark(false, hold.lock) }
        holds[token]?.mode = mode
    }

    mutating func renew(_ token: Token, _ lease: Duration?, at now: Instant) {
        holds[token]?.lease = lease
        holds[token]?.leaseEnd = lease.map { now.advanced(by: $0) }
    }

    /// A session has ended: what it asked for is gone, and each of its grants is told of as it dies.
    mutating func end(_ session: SessionID) {
        requests = requests.filter { $0.value.party.session != session }
    }

    mutating func see(_ effect: Effect, at now: Instant) throws(Complaint) {
        switch effect {
        case .granted(let session, let tag, let name, let granted):
            let request = try take(tag, session, name)
            for other in requests.values where other.lock == name && other.row == request.row {
                try expect(other.number > request.number, "G3: granted before one that came earlier")
            }
            try grant(request, granted, at: now)
        case .refused(let session, let tag, let name, let mode, let refusal):
            let request = try take(tag, session, name)
            try expect(request.mode == mode, "refused in another mode")
            if case .timeout(let waited, _) = refusal {
                try expect(request.deadline.map { $0 <= now } ?? false, "G5: refused before the deadline")
                try expect(waited >= .zero, "G5: waited less than nothing")
            } else {
                try expect(refusal == .cancelled, "refused for no reason")
            }
        case .expired(_, let name, let token, let mode):
            guard let hold = holds[token], hold.lock == name, hold.mode == mode, let end = hold.leaseEnd
            else {
                throw Complaint(description: "G9: what expired had no lease")
            }
            try expect(end <= now, "G9: a lease ended before its time")
            try self.end(token, cleanly: false)
        case .revoked(_, _, let token): try end(token, cleanly: false)
        case .markForgotten(let name):
            try expect(died.remove(name) != nil, "G11: a mark is forgotten that was not there")
        case .recalled(let session, let name, let token):
            try expect(
                holds[token]?.lock == name && holds[token]?.party.session == session,
                "recalled what is not held")
        case .changed(let change):
            if change.kind == .died, let token = change.token { try end(token, cleanly: false) }
        case .diedHolding(let session, _, _, _):
            try expect(
                !holds.values.contains { $0.party.session == session }, "G6: a dead session holds a lock")
        }
    }

    private mutating func take(_ tag: Tag?, _ session: SessionID, _ name: LockName) throws(Complaint)
        -> Request
    {
        guard let tag, let request = requests.removeValue(forKey: tag),
            request.party.session == session, request.lock == name
        else { throw Complaint(description: "a request is answered that nobody made, or twice") }
        return request
    }

    private mutating func setMark(_ marked: Bool, _ lock: LockName) {
        if marked { died.insert(lock) } else { died.remove(lock) }
    }

    // MARK: - What should be so by now

    /// Throws if something is still there whose time is over.
    func checkTime(_ now: Instant) throws(Complaint) {
        for request in requests.values {
            if let deadline = request.deadline { try expect(deadline > now, "G5: undecided at its deadline") }
        }
        for hold in holds.values {
            if let end = hold.leaseEnd { try expect(end > now, "G9: a lease did not end in time") }
        }
    }

    /// Throws if the rules tell of a lock something else than what was seen.
    func check(_ stakes: [StatusRow], of lock: LockName) throws(Complaint) {
        let expected =
            holders(of: lock).map { Row(party: $0.hold.party, mode: $0.hold.mode, token: $0.token) }
            + queue(of: lock).map { Row(party: $0.party, mode: $0.mode, token: nil) }
        let told = stakes.map { stake in
            switch stake {
            case .holder(let session, let mode, let owner, let token, _, _, _):
                Row(party: Party(session: session, owner: owner), mode: mode, token: token)
            case .waiter(let session, let mode, let owner, _, _, _, _):
                Row(party: Party(session: session, owner: owner), mode: mode, token: nil)
            }
        }
        try expect(told == expected, "\(lock) is \(told), and was seen to be \(expected)")
    }

    private struct Row: Equatable {
        let party: Party
        let mode: LockMode
        let token: Token?
    }

    /// Those who hold a lock, in the order of their tokens.
    func holders(of lock: LockName) -> [(token: Token, hold: Hold)] {
        holds.filter { $0.value.lock == lock }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Those who wait for a lock, in the order that G2, G3 and G10 give them.
    func queue(of lock: LockName) -> [Request] {
        requests.values.filter { $0.lock == lock }.sorted { ($0.row, $0.number) < ($1.row, $1.number) }
    }

    private func expect(_ condition: Bool, _ complaint: @autoclosure () -> String) throws(Complaint) {
        if !condition { throw Complaint(description: complaint()) }
    }
}
