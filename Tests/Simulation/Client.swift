import LockVocabulary
import SlotSupport

/// A simulated client: what it has to send, what it is to receive, and how it behaves.
struct Client {
    let session: SessionID
    let userID: UInt32
    /// Bytes that are sent and not yet received.
    var outbox: [UInt8] = []
    /// Lines that the server has not reported as carried out.
    var said: [Line] = []
    /// How many bytes of the server's pending output the simulation has read.
    var seen = 0
    /// The beginning of a line that has no end yet.
    var partial: [UInt8] = []
    /// The replies that the server owes; rows may come between them.
    var owed: [Expectation] = []
    /// How many rows of the current listing came.
    var rows = 0
    /// The last grants that it received: their locks and tokens.
    var grants: [(lock: String, token: Token)] = []
    /// Tags of requests that may wait.
    var open: [String] = []
    /// Whether it reads replies; a slow or stopped client does not.
    var isReading = true
    /// Whether it sends no more.
    var isDone = false
    /// Whether the server ended it; replies may then be missing.
    var isEnded = false
    /// Whether it makes no step any more.
    var isDead = false
    /// Its slots, and the cached grants that it knows.
    var slots: ClientSlots?
    var known: [Token: KnownSlot] = [:]

    init(session: SessionID, userID: UInt32) {
        self.session = session
        self.userID = userID
    }

    var number: Int { Int(session.serial) }
}
