import LockCore
import LockVocabulary
import LockWire

/// The lines of one session that are carried out together.
private struct LinesInTurn {
    let quota: Int
    let workBefore: Int
    var cost = Cost()
    /// The bytes of the lines, with their line feeds.
    var bytes = 0
    /// A line that cannot be decided yet.
    var postponed: [UInt8] = []
    var goesOn = true
}

/// How far a session is served at once: its quota of lines, and rows as far as there is room. The rest follows in later
/// rounds.
extension Server {
    /// Carries out lines up to the session's quota, to a list, or until too much is unread; parks the others.
    ///
    /// - Parameter most: the work to do in place of the session's quota.
    mutating func carryOutLines(
        _ bytes: UnsafeRawBufferPointer, _ client: ConversationIndex, atMost most: Int? = nil, _ now: Instant
    ) {
        let payer = Payer(
            account: conversations[client].account, rate: conversations[client].awaitedRate)
        let quota = most ?? accounts.quota(of: payer, at: now)
        var count = 0
        if quota > 0 {
            var turn = LinesInTurn(quota: quota, workBefore: accounts.workDone)
            let limit = conversations[client].lineLimit
            var isBetweenLines = conversations[client].isBetweenLines
            while turn.goesOn, count < bytes.count {
                if isBetweenLines, let line = LineReader.wholeLine(in: bytes, from: count, limit: limit) {
                    count = line.end
                    if !line.text.isEmpty { carryOut(.text(line.text), client, &turn, now) }
                } else {
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
                    count += carryOutLine(throughReaderOf: client, rest, &turn, now)
                    isBetweenLines = conversations[client].isBetweenLines
                }
            }
            turn.cost += .blank(bytes: count - turn.bytes)
            accounts.charge(turn.cost, to: conversations[client].payer, at: now)
            if !turn.postponed.isEmpty { conversations[client].parkAgain(turn.postponed) }
        }
        guard conversations[client].phase == .open else { return }
        if count < bytes.count { conversations[client].park(bytes[count...]) }
        if conversations[client].hasParked, !conversations.isBlocked(client) { queue(client) }
    }

    /// Carries out the first line that these bytes complete, if it is not whole in them, or keeps its beginning. Returns how many
    /// bytes were read.
    @inline(never)
    private mutating func carryOutLine(
        throughReaderOf client: ConversationIndex, _ bytes: UnsafeRawBufferPointer,
        _ turn: inout LinesInTurn, _ now: Instant
    ) -> Int {
        var reader = conversations.takeReader(of: client, LineReader(limit: limits.line))
        defer { conversations[client].exchange(&reader) }
        return reader.read(bytes) { line in
            carryOut(line, client, &turn, now)
            return false
        }
    }

    /// Carries out a line in a turn. Ends the turn if the line cannot be decided yet, or no other may follow.
    private mutating func carryOut(
        _ line: LineReader.Line, _ client: ConversationIndex, _ turn: inout LinesInTurn, _ now: Instant
    ) {
        turn.bytes += line.count + 1
        let cost = carryOut(line, client, now)
        turn.cost += .search(steps: table.takeSearchedSteps())
        turn.cost += .following(steps: table.takeCommandSteps())
        guard let cost else {
            turn.cost += .postponed
            turn.postponed = line.bytes
            turn.goesOn = false
            return
        }
        turn.cost += cost
        // Rows and notices to watchers are charged at once.
        let work = turn.cost.work + accounts.workDone - turn.workBefore
        turn.goesOn =
            conversations[client].phase == .open && work < turn.quota && !conversations.isBlocked(client)
    }

    /// Carries out the parked lines, as far as the session does not pause again.
    private mutating func carryOutParked(_ client: ConversationIndex, _ now: Instant) {
        guard conversations[client].phase == .open, conversations[client].hasParked else { return }
        let parked = conversations[client].takeParked()
        parked.withUnsafeBytes { carryOutLines($0, client, now) }
    }

    /// Goes on with rows and lines that had to wait for room or for a turn; a queued session waits for its turn.
    ///
    /// Ends the session if no more input comes, and all lines are carried out.
    mutating func goOn(_ client: ConversationIndex, _ now: Instant) {
        let isQueued = accounts.isQueued(conversations[client].session)
        if !isQueued, conversations[client].isWritingRows { writeRows(client, at: now) }
        if !isQueued, !conversations.isBlocked(client) { carryOutParked(client, now) }
        endIfDone(client, now)
        finish(client)
    }

    /// Ends the session if no more input comes, and all lines are carried out.
    mutating func endIfDone(_ client: ConversationIndex, _ now: Instant) {
        guard let ending = conversations[client].ending, !conversations.isPaused(client),
            !awaitsHosts(client)
        else { return }
        end(client, as: ending.phase, wasKilled: ending.wasKilled, now)
    }

    /// Whether a session at the end of its input still gets the answer to a request that was not to wait: other hosts have a
    /// moment for it.
    func awaitsHosts(_ client: ConversationIndex) -> Bool {
        conversations[client].ending?.phase == .ending && table.hasProbes(conversations[client].session)
    }

    mutating func queue(_ client: ConversationIndex) {
        accounts.queue(conversations[client].session, of: conversations[client].account)
    }

    // MARK: - Rows

    /// Begins a reply of rows.
    mutating func begin(_ reply: RowReply, _ client: ConversationIndex, at now: Instant) {
        conversations[client].begin(reply)
        writeRows(client, at: now)
    }

    /// How many bytes of rows may be unread.
    static var bytesOfRows: Int { 16_384 }

    /// Writes rows as far as there is room. Queues the session for another turn if there is room left.
    mutating func writeRows(_ client: ConversationIndex, at now: Instant) {
        var left = turns.rows
        while var reply = conversations[client].rowReplies.first {
            let room = Self.bytesOfRows - conversations[client].unread
            guard room > 0 else { return }
            guard left > 0 else { return queue(client) }
            var page = RowReply.Page(room: room, atMost: left)
            let isComplete = reply.write(on: &page, table, conversations, fleet, for: client, at: now)
            left -= page.examined
            accounts.charge(.rows(page.examined), to: conversations[client].payer, at: now)
            conversations[client].write(page, of: reply, isComplete: isComplete)
        }
    }
}
