import LockVocabulary
import LockWire

/// The place of a session's conversation. It is valid until the session is closed.
struct ConversationIndex: Hashable {
    let raw: Int
}

/// The conversations of all sessions, the bytes that they keep, and which of them the shell has to visit.
///
/// Every change of a conversation goes through the subscript, which counts the bytes and marks the session as ready:
/// no writer can forget either.
///
/// Invariants:
/// 1. `buffered` is the sum of the bytes that all conversations keep.
/// 2. A session that has something to send, to close or to read from again is in `ready`, and only once.
struct Conversations: ~Copyable {
    /// By the slot of the session's id.
    private var records = OwnedArray<Conversation>()
    private var ready = OwnedArray<SessionID>()
    /// Whether changes are listed for `forEachChanged`.
    var keepsFacts = false
    private var changed: [ConversationIndex] = []
    private var pool = SlotPool()
    /// The slots of pieces of sessions that are gone, and those that a former server used.
    private var leftPieces: [UInt32] = []
    var formerPieces: [UInt32] = []
    /// The bytes that all conversations keep.
    private(set) var buffered = 0
    /// The number of unread bytes above which a session is not read from, and gets no notices of changes.
    var unreadLimit: Int

    init(unreadLimit: Int) { self.unreadLimit = unreadLimit }

    // Without this `deinit` other modules destroy the fields themselves, and Swift 6.3 then omits that of `OwnedArray`.
    deinit {}

    // MARK: - Sessions

    mutating func open(_ conversation: consuming Conversation) {
        let place = Int(conversation.session.slot)
        while records.count <= place { records.append(.vacant) }
        records[place] = consume conversation
        list(ConversationIndex(raw: place))
    }

    mutating func close(_ client: ConversationIndex) {
        self[client].end(as: .cutOff)
        leftPieces += records[client.raw].pieceSlots
        records[client.raw] = .vacant
        list(client)
    }

    /// The place of a session; nil if it is closed.
    @inline(__always)
    func index(of session: SessionID) -> ConversationIndex? {
        let place = Int(session.slot)
        guard place < records.count, records[place].session == session else { return nil }
        return ConversationIndex(raw: place)
    }

    /// The place of an open session; nil if the session has ended.
    @inline(__always)
    func openIndex(of session: SessionID) -> ConversationIndex? {
        guard let client = index(of: session), records[client.raw].phase == .open else { return nil }
        return client
    }

    /// The place with this number; nil if no session has it.
    func index(at slot: UInt32) -> ConversationIndex? {
        guard Int(slot) < records.count, records[Int(slot)].phase != .vacant else { return nil }
        return ConversationIndex(raw: Int(slot))
    }

    /// The places of all sessions.
    var indices: [ConversationIndex] {
        (0..<records.count).filter { records[$0].phase != .vacant }.map(ConversationIndex.init)
    }

    /// The next open session behind another, in the order of places; the first one if there is no other.
    func firstOpen(after client: ConversationIndex?) -> ConversationIndex? {
        let start = min(client.map { $0.raw + 1 } ?? 0, records.count)
        return (start..<records.count).first { records[$0].phase == .open }.map(ConversationIndex.init)
    }

    @inline(__always)
    func processID(of session: SessionID) -> Int32? {
        index(of: session).flatMap { records[$0.raw].peer.processID }
    }

    func userID(of session: SessionID) -> UInt32? {
        index(of: session).map { records[$0.raw].peer.userID }
    }

    subscript(client: ConversationIndex) -> Conversation {
        @inline(__always)
        _read { yield records[client.raw] }
        @inline(__always)
        _modify {
            yield &records[client.raw]
            takeChange(of: client)
        }
    }

    /// Takes the reader out, and puts a new one in its place, until it is put back through the subscript.
    mutating func takeReader(of client: ConversationIndex, _ new: LineReader) -> LineReader {
        var reader = new
        records[client.raw].exchange(&reader)
        return reader
    }

    @inline(__always)
    mutating func count(received count: Int, from client: ConversationIndex) {
        records[client.raw].count(received: count)
    }

    /// Drops all output, because it was sent, if that is all that is to be done for the session. Returns false if not.
    @inline(__always)
    mutating func dropLast(_ count: Int, of client: ConversationIndex) -> Bool {
        guard records[client.raw].dropLast(count) else { return false }
        buffered -= count
        list(client)
        return true
    }

    @inline(__always)
    private mutating func takeChange(of client: ConversationIndex) {
        let change = records[client.raw].takeChange(unreadLimit: unreadLimit)
        buffered += change.bytes
        if change.isReady { ready.append(records[client.raw].session) }
        list(client)
    }

    // MARK: - Facts

    @inline(__always)
    private mutating func list(_ client: ConversationIndex) {
        guard keepsFacts, !records[client.raw].isListedAsChanged else { return }
        records[client.raw].isListedAsChanged = true
        changed.append(client)
    }

    /// Removes and returns the slots of pieces that no session has any more.
    mutating func takeLeftPieces() -> [UInt32] {
        guard !leftPieces.isEmpty || !formerPieces.isEmpty else { return [] }
        for slot in leftPieces { pool.give(slot) }
        defer {
            leftPieces = []
            formerPieces = []
        }
        return leftPieces + formerPieces
    }

    /// Calls the body with the place of each session that has changed since the last call, or is gone.
    mutating func forEachChanged(_ body: (ConversationIndex, inout Conversation, inout SlotPool) -> Void) {
        for client in changed {
            records[client.raw].isListedAsChanged = false
            body(client, &records[client.raw], &pool)
        }
        changed.removeAll(keepingCapacity: changed.capacity <= 4_096)
    }

    // MARK: - Bounds

    /// Whether a session's lines have to wait.
    @inline(__always)
    func isBlocked(_ client: ConversationIndex) -> Bool { records[client.raw].isBlocked(by: unreadLimit) }

    /// Whether a session is not to be read from.
    @inline(__always)
    func isPaused(_ client: ConversationIndex) -> Bool { records[client.raw].isPaused(by: unreadLimit) }

    /// The session with the most bytes, of the account with the most bytes.
    var hungriest: ConversationIndex? {
        var kept: [AccountID: Int] = [:]
        for client in indices { kept[self[client].account, default: 0] += self[client].kept }
        let largest = kept.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key
        return indices.filter { self[$0].account == largest }.max { self[$0].kept < self[$1].kept }
    }

    // MARK: - Ready

    /// Whether the shell may have to visit a session.
    var hasReady: Bool { !ready.isEmpty }

    /// The next session that the shell has to visit, each once.
    ///
    /// The session that became ready last comes first: a waiting request that a release grants is answered before the release. The
    /// waiter has waited longer, and goes on sooner than if the holder, which does not wait for the lock, were woken first.
    @inline(__always)
    mutating func nextReady() -> SessionID? {
        while let session = ready.popLast() {
            guard let client = index(of: session) else { continue }
            records[client.raw].takeReady(unreadLimit: unreadLimit)
            return session
        }
        return nil
    }
}
