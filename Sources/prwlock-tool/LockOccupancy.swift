import LockVocabulary
import LockWire

/// Who holds one lock and who waits for it, kept up to date by the notices of its changes: whether it is free.
///
/// A listing of `STATUS` is of one moment. The notices before its first row are older, and those behind it newer. So the
/// state after each notice is one that the lock has had, and no moment is missed in which it was free.
///
/// A row of a waiting request lacks the number that the notices have. Requests of one process and owner in one mode are
/// therefore only counted.
struct LockOccupancy {
    private struct Request: Hashable {
        let processID: Int32?
        let owner: OwnerID
        let mode: LockMode
    }

    private(set) var holders: [Token: LockMode] = [:]
    private var waiting: [Request: Int] = [:]

    var waiters: Int { waiting.values.reduce(0, +) }

    /// Adds a row of the listing.
    mutating func add(_ row: Row) {
        switch row {
        case .holder(let holder): holders[holder.token] = holder.mode
        case .waiter(let waiter):
            waiting[
                Request(processID: waiter.processID, owner: waiter.owner, mode: waiter.mode), default: 0] += 1
        case .cached, .claim, .claimWaiter, .lock, .session, .stat, .hot, .text: break
        }
    }

    /// Follows a change.
    mutating func apply(_ changed: Notice.Changed) {
        switch changed.change {
        case .granted:
            if let token = changed.token { holders[token] = changed.mode }
            if changed.request != nil { removeWaiter(changed) }
        case .downgraded: if let token = changed.token { holders[token] = changed.mode }
        case .released, .upgraded, .expired, .revoked, .died:
            if let token = changed.token { holders[token] = nil }
        case .waiting: waiting[request(changed), default: 0] += 1
        case .timeout, .cancelled, .refused: removeWaiter(changed)
        }
    }

    /// Whether a request in this mode that came now would be granted at once.
    ///
    /// With a mode of read, no writer holds the lock or waits for it (G2). With a mode of write, nothing holds it or waits.
    func isFree(for mode: LockMode) -> Bool {
        !holders.values.contains { $0.conflicts(with: mode) }
            && !waiting.contains { $0.value > 0 && $0.key.mode.conflicts(with: mode) }
    }

    private func request(_ changed: Notice.Changed) -> Request {
        Request(processID: changed.processID, owner: changed.owner, mode: changed.mode)
    }

    private mutating func removeWaiter(_ changed: Notice.Changed) {
        let request = request(changed)
        guard let count = waiting[request] else { return }
        waiting[request] = count > 1 ? count - 1 : nil
    }
}
