import LockVocabulary
import LockWire
import Posix

/// One grant as this process has it: what stands behind a `Grant` and its `LossWatch`.
final class Hold: Sendable {
    /// How the grant ended: lost, or released (nil).
    let fate = Promise<LockLost?>()
    private let grant: Session.GrantID
    private let connection: Connection
    private let firstTerms: Session.Terms
    /// The slot under which a body holds the grant; nil if there is none, or it is of no use any more.
    private let slot: Guarded<Slot?>

    /// A cached grant in the cell of its lock.
    struct Slot {
        let cell: LockCell
        let entered: CachedEntries.Entered
    }

    init(_ grant: Session.GrantID, on connection: Connection) {
        self.grant = grant
        self.connection = connection
        firstTerms = connection.report(fate, of: grant)
        slot = Guarded(nil)
    }

    /// A cached grant that was entered.
    init(_ cached: LockCell.Cached, under slot: Slot) {
        grant = cached.grant
        connection = cached.connection
        firstTerms = connection.report(fate, of: grant)
        self.slot = Guarded(slot)
    }

    /// Lets the next body enter the grant, if it came with a slot; returns whether it did.
    func cache(in cell: LockCell, of owner: LockOwner) -> Bool {
        guard let entered = cell.add(firstTerms, grant, on: connection, of: owner) else { return false }
        slot.withLock { $0 = Slot(cell: cell, entered: entered) }
        return true
    }

    /// From now on the daemon has to release the grant.
    func endCaching() {
        let slot = slot.withLock { slot in
            defer { slot = nil }
            return slot
        }
        if let slot { slot.cell.remove(slot.entered) }
    }

    /// Releases the grant for the next body; returns whether that is done.
    private func leave() -> Bool {
        guard let slot = slot.withLock({ $0 }) else { return false }
        connection.reportNoMore(grant)
        if slot.cell.entries.leave(slot.entered) {
            fate.fulfil(nil)
            return true
        }
        endCaching()
        connection.reportAgain(fate, of: grant)
        return false
    }

    /// The terms; those of the beginning once the grant was let go.
    var terms: Session.Terms { termsIfKnown ?? firstTerms }

    /// The terms; nil once the grant was let go.
    var termsIfKnown: Session.Terms? { connection.termsIfKnown(of: grant) }

    /// Whether hosts share the lock.
    var isShared: Bool { firstTerms.isShared }

    /// How the grant was lost; nil if it was not.
    var lost: LockLost? {
        // This process may have been stopped, and the connection's thread may not have looked at the clock yet.
        if isShared { connection.lookAtClock() }
        return fate.valueNow ?? nil
    }

    /// Releases the grant and waits for the daemon's answer.
    func release(_ time: CallTime = CallTime(asking: CallTime.patience)) async throws {
        if leave() { return }
        defer { abandon() }
        try await perform(.release(grant), time)
    }

    /// Lets go of the grant without waiting, unless it was released.
    func abandon() {
        if case .some(nil) = fate.valueNow { return }
        endCaching()
        connection.letGo(grant)
        fate.fulfil(nil)
    }

    func upgrade(timeout: Duration?) async throws {
        endCaching()
        try await perform(.upgrade(grant), CallTime(waiting: try TimeLimit(timeout: timeout)))
    }

    func downgrade(to mode: LockMode) async throws {
        endCaching()
        try await perform(.downgrade(grant, to: mode), CallTime(asking: CallTime.patience))
    }

    func renew(lease: Duration?) async throws {
        endCaching()
        let length = try lease.map(Checked.lease).map(TimeLimit.upTo)
        try await perform(.renew(grant, lease: length), CallTime(asking: CallTime.patience))
    }

    /// Renews the lease again and again until the grant is released or lost.
    func keepRenewed(every interval: Duration) { connection.keepRenewed(grant, every: interval) }

    private func perform(_ call: Session.Call, _ time: CallTime) async throws {
        try await connection.outcome(of: call, time).confirm()
    }
}
