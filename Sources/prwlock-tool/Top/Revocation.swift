import LockVocabulary
import LockWire
import PRWLock

/// A grant that is to be taken from its holder, and what a person must know before.
struct Revocation: Equatable {
    let lock: LockName
    let token: Token
    let mode: LockMode
    /// The process that holds the grant, in words.
    let holder: String
    let waiters: Int

    init(of holder: LockReport.DescribedHolder, _ report: LockReport) {
        lock = report.name
        token = holder.row.token
        mode = holder.row.mode
        waiters = report.waiters.count
        var words = "process \(holder.row.processID.map(String.init) ?? "?")"
        if let user = holder.process.user { words += " of \(user)" }
        if let command = holder.process.command { words += " (\(command))" }
        self.holder = words
    }

    /// Has the daemon revoke a grant. It may be gone already; then this fails with the daemon's words.
    static func carryOut(
        _ lock: LockName, _ token: Token, over connection: inout BlockingConnection
    ) throws(Complaint) {
        let reply = try connection.ask(.revoke(lock, token))
        if case .denied = reply {
            throw Complaint(
                "you may not revoke it: only root, the lock daemon's user, and users that a rule allows may",
                code: Complaint.notPermitted)
        }
        guard case .revoked = reply else { throw Complaint.unexpected }
    }
}
