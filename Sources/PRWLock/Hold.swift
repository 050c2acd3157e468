import LockVocabulary
import LockWire

/// One grant as this process has it: what stands behind a `Grant` and its `LossWatch`.
final class Hold: Sendable {
    /// How the grant ended: lost, or released (nil).
    let fate = Promise<LockLost?>()
    private let grant: Session.GrantID
    private let connection: Connection
    private let firstTerms: Session.Terms

    init(_ grant: Session.GrantID, on connection: Connection) {
        self.grant = grant
        self.connection = connection
        firstTerms = connection.report(fate, of: grant)
    }

    /// The terms; those of the beginning once the grant was let go.
    var terms: Session.Terms { termsIfKnown ?? firstTerms }

    /// The terms; nil once the grant was let go.
    var termsIfKnown: Session.Terms? { connection.termsIfKnown(of: grant) }

    /// How the grant was lost; nil if it was not.
    var lost: LockLost? { fate.valueNow ?? nil }

    /// Releases the grant and waits for the daemon's answer.
    func release(_ time: CallTime = CallTime(asking: CallTime.patience)) async throws {
        defer { abandon() }
        try await perform(.release(grant), time)
    }

    /// Lets go of the grant without waiting, unless it was released.
    func abandon() {
        if case .some(nil) = fate.valueNow { return }
        connection.letGo(grant)
        fate.fulfil(nil)
    }

    func upgrade(timeout: Duration?) async throws {
        try await perform(.upgrade(grant), CallTime(waiting: try TimeLimit(timeout: timeout)))
    }

    func downgrade(to mode: LockMode) async throws {
        try await perform(.downgrade(grant, to: mode), CallTime(asking: CallTime.patience))
    }

    func renew(lease: Duration?) async throws {
        let length = try lease.map(Checked.lease).map(TimeLimit.upTo)
        try await perform(.renew(grant, lease: length), CallTime(asking: CallTime.patience))
    }

    /// Renews the lease again and again until the grant is released or lost.
    func keepRenewed(every interval: Duration) { connection.keepRenewed(grant, every: interval) }

    private func perform(_ call: Session.Call, _ time: CallTime) async throws {
        try await connection.outcome(of: call, time).confirm()
    }
}
