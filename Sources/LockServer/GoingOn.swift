import LockCore
public import LockVocabulary
import LockWire

/// Why a server cannot go on from facts: a fault of this program, or of the memory that kept them.
public struct UnbelievableFacts: Error, CustomStringConvertible {
    public let description: String
}

/// Going on where a former server was.
extension Server {
    /// Gives a server without sessions the state that the facts of a former one describe. Then call `advance`.
    ///
    /// Policy, limits and reserved tokens are those of this server's configuration.
    ///
    /// - Throws: what the facts contradict. Then the server is of no use.
    public mutating func restore(
        _ facts: [(key: KeptKey, bytes: [UInt8])], at now: Instant
    ) throws(UnbelievableFacts) {
        var standings: [UInt32: (standing: Standing, account: AccountID)] = [:]
        for (key, bytes) in facts where key.kind == KeptKey.standing {
            let standing = try read(key, bytes) { reader throws(UnreadableFact) in try Standing(&reader) }
            standings[key.slot] = (standing, accounts.readmit(standing.peer.userID, at: now))
        }
        try restoreRules(facts, standings.mapValues(\.account), at: now)
        guard standings.count == table.sessionCount else {
            throw UnbelievableFacts(description: "a session without a fact of the rules")
        }
        for (slot, (standing, account)) in standings.sorted(by: { $0.key < $1.key }) {
            try restore(standing, at: slot, of: account)
        }
        table.isObserved = !watchers.isEmpty
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

    private func read<Value>(
        _ key: KeptKey, _ bytes: [UInt8], _ body: (inout FactReader) throws(UnreadableFact) -> Value
    ) throws(UnbelievableFacts) -> Value {
        let value: Value? = bytes.withUnsafeBytes { bytes in
            var reader = FactReader(bytes)
            guard let value = try? body(&reader), reader.isAtEnd else { return nil }
            return value
        }
        guard let value else {
            throw UnbelievableFacts(description: "the fact \(key.kind).\(key.slot) cannot be read")
        }
        return value
    }

    private mutating func restoreRules(
        _ facts: [(key: KeptKey, bytes: [UInt8])], _ accounts: [UInt32: AccountID], at now: Instant
    ) throws(UnbelievableFacts) {
        var rules = Facts()
        for (key, bytes) in facts {
            guard let kind = FactKey.Kind(rawValue: key.kind) else { continue }
            let account = kind == .session ? accounts[key.slot] : AccountID(rawValue: 0)
            guard let account else {
                throw UnbelievableFacts(description: "the session at \(key.slot) has no user")
            }
            let fact = try read(key, bytes) { reader throws(UnreadableFact) in
                try reader.fact(kind, account: account)
            }
            rules.add(fact, at: key.slot)
        }
        do throws(BrokenInvariant) {
            try table.restore(rules, at: now)
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
        if standing.phase == .open { table.setShare(conversation.verdict.share, of: session) }
        conversations.open(conversation)
        guard let watch = standing.watch else { return }
        watchers.restore(session, of: account, prefix: watch.prefix, position: watch.position)
    }

    private mutating func restoreInputAndOutput(
        _ facts: [(key: KeptKey, bytes: [UInt8])], at now: Instant
    ) throws(UnbelievableFacts) {
        var pieces: [FormerPiece.Whole: [FormerPiece]] = [:]
        for (key, bytes) in facts where key.kind == KeptKey.piece {
            let piece = try read(key, bytes) { reader throws(UnreadableFact) in try FormerPiece(&reader) }
            pieces[piece.whole, default: []].append(piece)
            conversations.formerPieces.append(key.slot)
        }
        for (key, bytes) in facts {
            switch key.kind {
            case KeptKey.traffic:
                let traffic = try read(key, bytes) { reader throws(UnreadableFact) in
                    try reader.traffic { stream, position throws(UnreadableFact) in
                        let whole = FormerPiece.Whole(session: key.slot, stream: stream)
                        guard let parts = pieces.removeValue(forKey: whole) else { return nil }
                        if let joined = FormerPiece.join(parts, from: position) { return joined }
                        throw UnreadableFact()
                    }
                }
                guard let client = conversations.index(at: key.slot) else {
                    throw UnbelievableFacts(description: "input of no session at \(key.slot)")
                }
                conversations[client].restore(traffic, lineLimit: limits.line)
            case KeptKey.debts:
                let debts = try read(key, bytes) { reader throws(UnreadableFact) in
                    try reader.list { reader throws(UnreadableFact) in
                        (userID: try reader.number32(), paidAt: try reader.instant())
                    }
                }
                for (userID, paidAt) in debts { accounts.restoreDebt(of: userID, paidAt: paidAt, at: now) }
            case KeptKey.standing, KeptKey.piece: break
            default:
                guard FactKey.Kind(rawValue: key.kind) != nil else {
                    throw UnbelievableFacts(description: "a fact of the unknown kind \(key.kind)")
                }
            }
        }
        guard pieces.isEmpty else { throw UnbelievableFacts(description: "pieces of no session") }
    }

    /// Queues the sessions that have lines or rows left. The shell visits all of them.
    private mutating func resumeSessions() {
        for client in conversations.indices {
            let conversation = conversations[client]
            if conversation.hasRest { accounts.queue(conversation.session, of: conversation.account) }
            conversations[client].hasNewStanding = true
        }
    }
}
