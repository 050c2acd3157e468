import LockVocabulary
import LockWire
import PRWLock

/// What a watcher wants to know of a change beyond its notice: the note, and the user of the process.
///
/// A second session asks for the lock's status: the first one is left to its notices. The note is missing where the grant
/// or the request is gone before the question comes, and the user where the process is.
struct ChangeFacts: ~Copyable {
    struct Facts {
        var note = Note.none
        var user: String?
    }

    private var connection: BlockingConnection
    /// Of grants, until they end: the end of a grant has no row to look at, and its process may be gone.
    private var known: [Token: Facts] = [:]

    init(over connection: consuming BlockingConnection) { self.connection = connection }

    /// - Parameter user: of the process, as far as it can be seen now.
    mutating func facts(of changed: Notice.Changed, user: String?) throws(Complaint) -> Facts {
        guard let token = changed.token else {
            guard changed.change == .waiting else { return Facts(user: user) }
            return Facts(note: try noteOfRequest(changed), user: user)
        }
        switch changed.change {
        case .granted, .downgraded:
            if let facts = known[token] { return facts }
            let facts = Facts(note: try noteOfGrant(token, changed.name), user: user)
            known[token] = facts
            return facts
        case .released, .upgraded, .expired, .revoked, .died, .waiting, .timeout, .cancelled, .refused:
            let facts = known.removeValue(forKey: token)
            return Facts(note: facts?.note ?? .none, user: facts?.user ?? user)
        }
    }

    private mutating func noteOfGrant(_ token: Token, _ name: LockName) throws(Complaint) -> Note {
        var note = Note.none
        _ = try connection.ask(.status(name)) { row in
            if case .holder(let holder) = row, holder.token == token { note = holder.note }
        }
        return note
    }

    private mutating func noteOfRequest(_ changed: Notice.Changed) throws(Complaint) -> Note {
        var note = Note.none
        _ = try connection.ask(.status(changed.name)) { row in
            if case .waiter(let waiter) = row, waiter.processID == changed.processID,
                waiter.owner == changed.owner, waiter.mode == changed.mode
            {
                note = waiter.note
            }
        }
        return note
    }
}
