import LockCore
import LockVocabulary
import LockWire

/// How far a session is served: which of its lines are carried out and which of its rows written now, and which later.
extension Server {
    /// Carries out lines; where it pauses, the rest is parked.
    mutating func carryOutLines(
        _ bytes: UnsafeRawBufferPointer, _ client: ConversationIndex, _ now: Instant, pausing: Bool
    ) {
        let quota = pausing ? quota(of: client, now) : .max
        var count = 0
        if quota > 0 {
            var cost = Cost()
            var reader = LineReader(limit: limits.line)
            conversations[client].exchange(&reader)
            count = reader.read(bytes) { line in
                cost += carryOut(line, client, now)
                return conversations[client].phase == .open && cost.work < quota
                    && !(pausing && conversations.isBlocked(client))
            }
            conversations[client].exchange(&reader)
            charge(cost, client, now)
        }
        guard count < bytes.count, conversations[client].phase == .open else { return }
        conversations[client].park(bytes[count...])
        if !conversations.isBlocked(client) { queue(client) }
    }

    /// Carries out what was parked: up to the next list, or all of it, and then the rows of lists in turn.
    mutating func carryOutParked(_ client: ConversationIndex, _ now: Instant, pausing: Bool) {
        guard conversations[client].phase == .open, conversations[client].hasParked else { return }
        let parked = conversations[client].takeParked()
        parked.withUnsafeBytes { carryOutLines($0, client, now, pausing: pausing) }
    }

    /// Goes on with rows and lines that had to wait for room, or for the turns of others.
    mutating func goOn(_ client: ConversationIndex, _ now: Instant) {
        let isQueued = accounts.isQueued(conversations[client].session)
        if !isQueued, conversations[client].isWritingRows { writeRows(client, at: now) }
        if !isQueued, !conversations.isBlocked(client) { carryOutParked(client, now, pausing: true) }
        finish(client)
    }

    private func quota(of client: ConversationIndex, _ now: Instant) -> Int {
        accounts.quota(
            of: conversations[client].account, rate: conversations[client].verdict.allowance.requests, at: now
        )
    }

    private mutating func charge(_ cost: Cost, _ client: ConversationIndex, _ now: Instant) {
        accounts.charge(
            cost, to: conversations[client].account, rate: conversations[client].verdict.allowance.requests,
            at: now)
    }

    private mutating func queue(_ client: ConversationIndex) {
        accounts.queue(conversations[client].session, of: conversations[client].account)
    }

    // MARK: - Rows

    /// Begins a reply of rows.
    mutating func begin(_ reply: RowReply, _ client: ConversationIndex, at now: Instant) {
        conversations[client].begin(reply)
        writeRows(client, at: now)
    }

    /// How many bytes of rows are made before the socket has taken some.
    private static var bytesOfRows: Int { 16_384 }
    /// How many locks, grants or requests are examined before others have their turn.
    private static var rowsInTurn: Int { 128 }

    /// Writes rows as far as there is room and the turn allows; queues the session if only its turn is over.
    private mutating func writeRows(_ client: ConversationIndex, at now: Instant) {
        var left = Self.rowsInTurn
        while var reply = conversations[client].rowReplies.first {
            let room = Self.bytesOfRows - conversations[client].unread
            guard room > 0 else { return }
            guard left > 0 else { return queue(client) }
            var page = RowReply.Page(room: room, atMost: left)
            let isComplete = reply.write(on: &page, table, conversations, for: client, at: now)
            left -= page.examined
            charge(.rows(page.examined), client, now)
            conversations[client].write(page, of: reply, isComplete: isComplete)
        }
    }
}
