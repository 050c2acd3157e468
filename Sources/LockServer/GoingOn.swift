public import LockCore
public import LockVocabulary
import LockWire

/// Why a server cannot go on from facts: a fault of this program, or of the memory that kept them.
public struct UnbelievableFacts: Error, CustomStringConvertible {
    public let description: String
}

/// The facts of a former server, wherever they are kept. The server asks for one kind after another, so no copy is made.
public protocol KeptFacts: ~Copyable {
    /// Calls the body with each fact of a kind: its slot, and its bytes, which are valid only within the call. The shell's own
    /// facts are left out.
    func forEachFact<Failure>(
        ofKind kind: UInt8, _ body: (UInt32, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure)
}

extension KeptFacts where Self: ~Copyable {
    /// Calls the body with what each fact of a kind says.
    fileprivate func read<Value>(
        _ kind: UInt8, _ read: (inout FactReader) throws(UnreadableFact) -> Value,
        _ body: (UInt32, Value) throws(UnbelievableFacts) -> Void
    ) throws(UnbelievableFacts) {
        try forEachFact(ofKind: kind) { (slot, bytes) throws(UnbelievableFacts) in
            guard let value = FactReader.value(of: bytes, read) else {
                throw UnbelievableFacts(description: "the fact \(kind).\(slot) cannot be read")
            }
            try body(slot, value)
        }
    }
}

/// Going on where a former server was.
extension Server {
    /// Gives a server without sessions the state that the facts of a former one describe. Then call `advance`.
    ///
    /// Policy, limits and reserved tokens are those of this server's configuration.
    ///
    /// - Throws: what the facts contradict. Then the server is of no use.
    public mutating func restore(
        _ facts: borrowing some KeptFacts & ~Copyable, at now: Instant
    ) throws(UnbelievableFacts) {
        for kind in UInt8.min...UInt8.max where !KeptKey.isKnown(kind) {
            try facts.forEachFact(ofKind: kind) { (_, _) throws(UnbelievableFacts) in
                throw UnbelievableFacts(description: "a fact of the unknown kind \(kind)")
            }
        }
        var standings: [UInt32: (standing: Standing, account: AccountID)] = [:]
        try facts.read(KeptKey.standing) { reader throws(UnreadableFact) in
            try Standing(&reader)
        } _: { slot, standing in
            standings[slot] = (standing, accounts.readmit(standing.peer.userID, at: now))
        }
        try restoreRules(facts, standings.mapValues(\.account), at: now)
        guard standings.count == table.sessionCount else {
            throw UnbelievableFacts(description: "a session without a fact of the rules")
        }
        for (slot, (standing, account)) in standings.sorted(by: { $0.key < $1.key }) {
            try restore(standing, at: slot, of: account)
        }
        table.isObserved = !watchers.isEmpty
        try restoreFleet(facts)
        try restoreInputAndOutput(facts, at: now)
        deliverEffects()
        resumeSessions()
        // No line has caused what was looked through.
        _ = table.takeCommandSteps()
        _ = table.takeSearchedSteps()
    }

    /// Drops output that the former server had sent. For so many of the bytes after it, it is in doubt whether they were sent.
    /// Call this after `restore`, for each session with output.
    public mutating func restoreSent(_ count: Int, at slot: UInt32, inDoubt: Int) {
        guard let client = conversations.index(at: slot) else { return }
        conversations[client].restoreSent(count, inDoubt: inDoubt)
    }

    /// The sessions that still had a connection under the former server, with their peers.
    public var openConnections: [(session: SessionID, peer: Peer)] {
        conversations.indices.filter { table.isRemembered(conversations[$0].session) }.map {
            (conversations[$0].session, conversations[$0].peer)
        }
    }

    /// The sessions that had slots, and have no memory for them until `setSlots`.
    public var sessionsWithoutSlots: [SessionID] {
        conversations.indices.map { conversations[$0].session }.filter { table.missesSlots($0) }
    }

    /// Gives a session of a former server the memory of its slots again.
    public mutating func setSlots(_ memory: SlotMemory, of session: SessionID) {
        cachePolicy.begin()
        table.setSlots(memory, of: session)
    }

    private mutating func restoreRules(
        _ facts: borrowing some KeptFacts & ~Copyable, _ accounts: [UInt32: AccountID], at now: Instant
    ) throws(UnbelievableFacts) {
        do throws(BrokenInvariant) {
            try table.restore(at: now) { (kind, restore) throws(BrokenInvariant) in
                try facts.forEachFact(ofKind: kind.rawValue) { (slot, bytes) throws(BrokenInvariant) in
                    let account = kind == .session ? accounts[slot] : AccountID(rawValue: 0)
                    guard let account else {
                        throw BrokenInvariant(description: "the session at \(slot) has no user")
                    }
                    let fact = FactReader.value(of: bytes) { reader throws(UnreadableFact) in
                        try reader.fact(kind, account: account)
                    }
                    guard let fact else {
                        throw BrokenInvariant(description: "the fact \(kind.rawValue).\(slot) cannot be read")
                    }
                    try restore(slot, fact)
                }
            }
        } catch {
            throw UnbelievableFacts(description: error.description)
        }
    }

    private mutating func restore(
        _ standing: Standing, at slot: UInt32, of account: AccountID
    ) throws(UnbelievableFacts) {
        let session = SessionID(slot: slot, serial: standing.serial)
        guard table.has(session) else {
            throw UnbelievableFacts(description: "the sessions at \(slot) differ")
        }
        var conversation = Conversation(
            session: session, peer: standing.peer, since: standing.since, account: account,
            verdict: verdicts.verdict(on: standing.peer), lineLimit: limits.line)
        conversation.client = standing.client
        conversation.restore(phase: standing.phase, ending: standing.ending, isMute: standing.isMute)
        table.setProcess(standing.peer.processID, of: session)
        if standing.phase == .open { table.setShare(conversation.verdict.share, of: session) }
        conversations.open(conversation)
        guard let watch = standing.watch else { return }
        watchers.restore(session, of: account, prefix: watch.prefix, position: watch.position)
    }

    private mutating func restoreInputAndOutput(
        _ facts: borrowing some KeptFacts & ~Copyable, at now: Instant
    ) throws(UnbelievableFacts) {
        var pieces: [FormerPiece.Whole: [FormerPiece]] = [:]
        try facts.read(KeptKey.piece) { reader throws(UnreadableFact) in
            try FormerPiece(&reader)
        } _: { slot, piece in
            pieces[piece.whole, default: []].append(piece)
            conversations.formerPieces.append(slot)
        }
        try facts.forEachFact(ofKind: KeptKey.traffic) { (slot, bytes) throws(UnbelievableFacts) in
            let traffic = FactReader.value(of: bytes) { reader throws(UnreadableFact) in
                try reader.traffic { stream, position throws(UnreadableFact) in
                    let whole = FormerPiece.Whole(session: slot, stream: stream)
                    guard let parts = pieces.removeValue(forKey: whole) else { return nil }
                    if let joined = FormerPiece.join(parts, from: position) { return joined }
                    throw UnreadableFact()
                }
            }
            guard let traffic else {
                throw UnbelievableFacts(description: "input or output at \(slot) is unreadable or has a gap")
            }
            guard let client = conversations.index(at: slot) else {
                throw UnbelievableFacts(description: "input of no session at \(slot)")
            }
            conversations[client].restore(traffic, lineLimit: limits.line)
        }
        guard pieces.isEmpty else { throw UnbelievableFacts(description: "pieces of no session") }
        try facts.read(KeptKey.debts) { reader throws(UnreadableFact) in
            try reader.list { reader throws(UnreadableFact) in
                (userID: try reader.number32(), paidAt: try reader.instant())
            }
        } _: { _, debts in
            for (userID, paidAt) in debts { accounts.restoreDebt(of: userID, paidAt: paidAt, at: now) }
        }
    }

    /// Queues the sessions that have lines or rows left. The shell visits all of them.
    private mutating func resumeSessions() {
        for client in conversations.indices {
            if conversations[client].hasRest {
                accounts.queue(conversations[client].session, of: conversations[client].account)
            }
            conversations[client].hasNewStanding = true
        }
    }
}
