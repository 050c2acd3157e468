import LockVocabulary
import LockWire
import PRWLock

/// Finds what a notice of a change lacks: the note, and the user of the process.
///
/// It queries the lock's status over a second session, because the first one only receives notices. The note is missing
/// if the grant or request is gone before the query arrives; the user is missing if the process is gone.
struct ChangeFacts: ~Copyable {
    struct Facts {
        var note = Note.none
        var user: String?
    }

    private var connection: BlockingConnection
    /// The facts of each grant until it ends. They are kept because the end of a grant has no row of `STATUS`, and its
    /// process may be gone by then.
    private var known: [Token: Facts] = [:]

    init(over connection: consuming BlockingConnection) { self.connection = connection }

    /// - Parameter user: the user of the process, if it can be seen now.
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
