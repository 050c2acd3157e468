import LockCore
import LockVocabulary
import LockWire

/// One session's side of the wire: what came and is not yet carried out, and what is to be sent.
///
///            end of input, QUIT, death          all is sent, or cannot be
///  [ OPEN ] ───────────────────────▶ [ ENDING ] ─────────────────────────▶ (gone)
///      │  a hard limit                                                        ▲
///      └──────────────────────────▶ [ CUT OFF ] ──────────────────────────────┘
///
/// Invariants:
/// 1. Parked bytes are there only while a list is being told, too much is unread, or others have their turn (`Turns`), and
///    then no line is carried out.
/// 2. `unread` never goes over the hard limit by more than one reply: then the session is cut off.
struct Conversation {
    enum Phase {
        /// No session has this place.
        case vacant
        case open
        /// It says nothing more that counts; what it is owed is still sent.
        case ending
        /// Nothing more is sent than the socket takes at once.
        case cutOff
    }

    let session: SessionID
    var peer: Peer
    let since: Instant
    var phase: Phase
    var reader: LineReader
    /// Lines, and a part of one, that came while a list was told or too much was unread.
    var parked: [UInt8] = []
    /// The lists that are to be told, the first of them begun.
    var listings: [Listing] = []
    var output: [UInt8] = []
    /// How much of the output was sent.
    var sent = 0
    /// What the session called itself.
    var client = Note.none
    /// The names whose changes it wants to be told of: all that begin so.
    var watched: String?
    /// Notices that were dropped because it did not read.
    var missed = 0
    /// Whether the shell was told that there is something to do.
    var isReady = false
    /// Whether the shell was last told not to read from it.
    var isKnownAsPaused = false
    /// With whose sessions it is counted, and what the policy says of it.
    var account = 0
    var allowance = Policy.Allowance()
    var permissions: [Policy.Permission] = []
    /// Whether it stands in the queue of its account.
    var isQueued = false
    /// What of it counts against the limit of all buffers.
    var counted = 0

    init(session: SessionID, peer: Peer, since: Instant, lineLimit: Int) {
        self.session = session
        self.peer = peer
        self.since = since
        phase = .open
        reader = LineReader(limit: lineLimit)
    }

    private init() {
        session = SessionID(slot: 0, serial: 0)
        peer = Peer(processID: nil, userID: 0, groupID: 0)
        since = .zero
        phase = .vacant
        reader = LineReader(limit: 1)
    }

    /// What stands where no session is.
    static let vacant = Conversation()

    var unread: Int { output.count - sent }

    /// The bytes that it keeps the daemon from giving back.
    var kept: Int { unread + parked.count + reader.partialCount }

    /// Whether a list is being told, so that no further line is carried out.
    var isTelling: Bool { !listings.isEmpty }

    /// Drops bytes that were sent; gives memory back that only a burst needed.
    mutating func dropSent(_ count: Int) {
        sent += count
        precondition(sent <= output.count, "more was sent than there was")
        if sent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= 1_024)
            sent = 0
        } else if sent >= 65_536 {
            output.removeFirst(sent)
            sent = 0
        }
    }
}
