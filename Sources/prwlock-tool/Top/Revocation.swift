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
    /// How many other grants of the lock there are, and how many requests wait for it.
    let others: Int
    let waiters: Int

    /// - Parameter row: the lock in the list, which counts also what the report has no room for; nil if it is not there.
    init(of holder: LockReport.DescribedHolder, _ report: LockReport, _ row: TopLock?) {
        lock = report.name
        token = holder.row.token
        mode = holder.row.mode
        others = max(report.holders.count, row?.holders ?? 0) - 1
        waiters = max(report.waiters.count, row?.waiters ?? 0)
        var words = "process \(holder.row.processID.map(String.init) ?? "?")"
        if let user = holder.process.user { words += " of \(user)" }
        if let command = holder.process.command { words += " (\(command))" }
        self.holder = words
    }

    /// What becomes of the requests that wait.
    var consequence: String {
        guard waiters > 0 else { return "No request waits for the lock." }
        let waiting = waiters == 1 ? "1 request waits" : "\(waiters) requests wait"
        guard others == 0 else {
            return
                "\(waiting); \(others == 1 ? "another grant is" : "\(others) other grants are") still held."
        }
        return "\(waiting); the first one gets the lock at once."
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
