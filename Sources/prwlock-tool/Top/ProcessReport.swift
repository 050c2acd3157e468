import LockVocabulary
import LockWire

/// What a process holds and waits for, as far as the daemon was asked.
struct ProcessReport {
    /// A grant or a waiting request of the process.
    struct Part {
        var lock: LockName
        var mode: LockMode
        /// How long it has been held, or has waited.
        var age: Duration
        /// The token of a grant; nil for a request that waits.
        var token: Token?
        /// The processes that a waiting request waits for.
        var waitsFor: [Int32?] = []
        /// The number of requests that wait for the lock.
        var waiters = 0
        var note: Note
    }

    let process: Int32
    let description: ProcessDescription
    private(set) var parts: [Part] = []
    /// How many grants and waiting requests the process has in all its sessions.
    var grants = 0
    var waiting = 0

    init(of process: Int32, _ description: ProcessDescription) {
        self.process = process
        self.description = description
    }

    /// Adds what the process has of a lock.
    mutating func add(_ report: LockReport) {
        for holder in report.holders where holder.row.processID == process {
            parts.append(
                Part(
                    lock: report.name, mode: holder.row.mode, age: holder.row.age, token: holder.row.token,
                    waiters: report.waiters.count, note: holder.row.note))
        }
        for waiter in report.waiters where waiter.row.processID == process {
            parts.append(
                Part(
                    lock: report.name, mode: waiter.row.mode, age: waiter.row.waited,
                    waitsFor: waiter.waitsFor,
                    waiters: report.waiters.count, note: waiter.row.note))
        }
    }

    /// How many grants and requests are of locks that were not looked at.
    var unseen: Int { max(0, grants + waiting - parts.count) }
}
