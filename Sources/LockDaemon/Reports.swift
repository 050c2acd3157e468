import Keeping
import LockServer
import LockVocabulary
import Posix
import Systemd

/// The events of the server as entries of the journal.
extension JournalEntry {
    init(_ event: ServerEvent) {
        var fields: [Field] = []
        if let lock = event.lock { fields.append(.lock(lock.text)) }
        if let session = event.session { fields.append(.session(session.description)) }
        if let peer = event.peer {
            if let process = peer.processID { fields.append(.clientProcess(process)) }
            fields.append(.clientUser(peer.userID))
            if let unit = peer.identity.unit { fields.append(.clientUnit(unit)) }
            if case .fatalLine = event.kind, let program = peer.identity.executable {
                fields.append(.clientProgram(program))
            }
        }
        if let token = event.token { fields.append(.token(token.rawValue)) }
        let lock = event.lock.map { " \($0)" } ?? ""
        switch event.kind {
        case .diedHolding(let grants):
            let more = grants > 1 ? " and \(grants - 1) more" : ""
            self.init(
                .notice, "a session ended while it held\(lock)\(more)", event: .diedHolding, fields: fields)
        case .leaseExpired(let token):
            fields.append(.token(token.rawValue))
            self.init(
                .notice, "the lease on\(lock) ended before it was released", event: .leaseExpired,
                fields: fields)
        case .deadlockRefused(let circle):
            self.init(
                .notice, "a request for\(lock) was refused, for it would wait in a circle: \(circle)",
                event: .deadlockRefused, fields: fields)
        case .limitHit(let limit):
            fields.append(.limit(limit))
            self.init(.warning, "a limit was hit: \(limit)", event: .limitHit, fields: fields)
        case .markForgotten:
            self.init(
                .warning,
                "it is forgotten that the last writer of\(lock) died, for there are too many such locks",
                event: .markForgotten, fields: fields)
        case .revoked(let token, let person):
            fields.append(.token(token.rawValue))
            self.init(
                .notice, "the grant of\(lock) was revoked by user \(person.userID)", event: .revoked,
                fields: fields)
        case .denied(let what):
            let user = event.peer.map { " of user \($0.userID)" } ?? ""
            self.init(
                .notice, "a request\(user) for\(lock) was denied: \(what)", event: .denied, fields: fields)
        case .orderBroken(let held, let heldNote, let note, let isRefused):
            let asked = note == .none ? "" : " (\(note))"
            let holds = heldNote == .none ? "" : " (\(heldNote))"
            self.init(
                .warning,
                "locks are out of order:\(lock)\(asked) was asked for while \(held)\(holds) was held"
                    + (isRefused ? ", and refused" : ""),
                event: .orderBroken, fields: fields)
        case .noToken:
            self.init(.error, "a request was refused for want of tokens", event: .outOfTokens, fields: fields)
        case .fatalLine:
            self.init(
                .error,
                "a session was cut off, because a line of it has ended the process that serves more than once",
                event: .fatalLine, fields: fields)
        case .hotLock(let day):
            guard let lock = event.lock else { preconditionFailure("a report without its lock") }
            self.init(day, of: lock)
        case .more(let count):
            self.init(.notice, "\(count) more events were too many to tell")
        }
    }

    /// Options or rules have a fault, with this consequence.
    static func refused(_ consequence: String, because fault: String) -> JournalEntry {
        JournalEntry(.error, "\(consequence): \(fault)", event: .configurationRefused)
    }

    /// The daemon goes on where a worker died, or made room for the program that is now on disk.
    static func wentOn(after worker: LastWorker, _ counts: Reactor.Counts) -> JournalEntry {
        let cause =
            worker.wasReplaced
            ? "this program has replaced the one that served"
            : "signal \(worker.signal) ended the process that served"
        return JournalEntry(
            worker.wasReplaced ? .notice : .warning,
            "goes on with \(counts.sessions) sessions and \(counts.locks) locks, as \(cause) "
                + "(restart \(worker.restarts))")
    }

    /// The daemon has the sessions of a service that the service manager has ended, for a restart.
    static func tookOver(_ counts: Reactor.Counts) -> JournalEntry {
        JournalEntry(
            .notice,
            "goes on with \(counts.sessions) sessions and \(counts.locks) locks of the service before this one"
        )
    }

    /// The kernel takes no more sockets into the parcel.
    static var notKept: JournalEntry {
        JournalEntry(
            .warning,
            "a new session would not survive the process that serves: its socket has no room beside the others; raise the limit of "
                + "open files")
    }

    /// The daemon cannot go on where a worker died.
    static func startedEmpty(because fault: String) -> JournalEntry {
        JournalEntry(
            .error, "started without the former sessions and locks: \(fault)", event: .startedEmpty)
    }

    /// No descriptor or memory is left for another session.
    static func outOfRoom(_ error: SystemError) -> JournalEntry {
        JournalEntry(
            .warning,
            "no new sessions until there is room: clients are told limit-sessions, and the sessions that are there go on (\(error))",
            event: .outOfDescriptors)
    }

    /// The disk does not take the page that would reserve more tokens.
    static func outOfTokens(_ error: SystemError) -> JournalEntry {
        JournalEntry(
            .error, "no more tokens until the disk takes it (\(error)); releases go on", event: .outOfTokens)
    }
}
