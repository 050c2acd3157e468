import LockVocabulary

/// A simulated client: what it has said and not yet sent, what it was told, and how it behaves.
struct Client {
    let session: SessionID
    let userID: UInt32
    /// Bytes that are on their way.
    var outbox: [UInt8] = []
    /// Lines that were said and of which the daemon has not said that it carried them out.
    var said: [Line] = []
    /// How much of what the server has ready was looked at.
    var seen = 0
    /// A line of which the end has not come.
    var partial: [UInt8] = []
    /// What is to be told next; rows come between.
    var owed: [Expectation] = []
    /// How many rows came of the listing that is being told.
    var rows = 0
    /// Grants that it was told of: their locks and tokens.
    var grants: [(lock: String, token: UInt64)] = []
    /// Tags of requests that may wait.
    var open: [String] = []
    /// Whether it reads what it is told; who does not is slow, or stopped.
    var isReading = true
    /// Whether it says nothing more.
    var isDone = false
    /// Whether the server has ended it: what it is owed may be lost.
    var isEnded = false

    init(session: SessionID, userID: UInt32) {
        self.session = session
        self.userID = userID
    }

    var number: Int { Int(session.serial) }
}
