import LockVocabulary
import LockWire
import PRWLock

/// The notes of the grants and requests that a watcher hears of, which notices do not carry.
///
/// A second session asks for the lock's status: the first one is left to its notices. A note is missing where the grant or
/// the request is gone before the question comes.
struct ChangeNotes: ~Copyable {
    private var connection: BlockingConnection
    /// Of grants, until they end: the end of a grant has no row to look at.
    private var notes: [Token: Note] = [:]

    init(over connection: consuming BlockingConnection) { self.connection = connection }

    /// The note of what has changed; none if it has none, or it can no longer be asked for.
    mutating func note(of changed: Notice.Changed) throws(Complaint) -> Note {
        switch changed.change {
        case .waiting: return try request(changed)
        case .granted, .downgraded, .upgraded:
            guard let token = changed.token else { return .none }
            if let known = notes[token] { return known }
            let note = try grant(token, of: changed.name)
            if !note.isEmpty { notes[token] = note }
            return note
        case .released, .expired, .revoked, .died:
            return changed.token.flatMap { notes.removeValue(forKey: $0) } ?? .none
        case .timeout, .cancelled, .refused: return .none
        }
    }

    private mutating func grant(_ token: Token, of name: LockName) throws(Complaint) -> Note {
        var note = Note.none
        _ = try connection.ask(.status(name)) { row in
            if case .holder(let holder) = row, holder.token == token { note = holder.note }
        }
        return note
    }

    private mutating func request(_ changed: Notice.Changed) throws(Complaint) -> Note {
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
