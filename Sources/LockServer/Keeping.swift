import LockClaims
import LockCore
import LockVocabulary
import LockWire

/// Which fact of a server: its kind, and a slot within the kind. A key has at most one fact at a time.
///
/// The kinds are part of the ledger's format.
public struct KeptKey: Hashable, Sendable {
    /// 1 to 5: a fact of the rules (`FactKey.Kind`). 6: a session, by its slot. 7: a session's input and output, by its slot.
    /// 8: what all users owe for lines. 9: a piece of a session's output or input. 10: the session of this host in its fleet. The
    /// shell has the kinds from 16 on.
    public let kind: UInt8
    public let slot: UInt32

    public init(kind: UInt8, slot: UInt32) {
        self.kind = kind
        self.slot = slot
    }

    /// The key of a session's input and output. What was sent of the output since the commit is counted with it.
    public static func traffic(ofSessionAt slot: UInt32) -> KeptKey { KeptKey(kind: traffic, slot: slot) }

    public var isTraffic: Bool { kind == Self.traffic }

    /// Whether a server has facts of this kind.
    static func isKnown(_ kind: UInt8) -> Bool {
        FactKey.Kind(rawValue: kind) != nil || (standing...fleet).contains(kind)
    }

    static let standing: UInt8 = 6
    static let traffic: UInt8 = 7
    static let debts: UInt8 = 8
    static let piece: UInt8 = 9
    static let fleet: UInt8 = 10
}

/// The facts of a server: a new server that gets them goes on where this one is (G14).
///
/// A fact is written anew when what it describes changes. What can be derived is in none: accounts, the order of service,
/// verdicts, and the indices of the rules. The counters of `STATS`, the events that are not logged yet, and what an account
/// owes for work beyond its quotas begin again.
extension Server {
    /// Notes that the changed facts are committed.
    public mutating func noteCommitted() { table.noteCommitted() }

    /// Whether the server notes which of its facts change. Set it before the first session.
    public var keepsFacts: Bool {
        get { table.keepsFacts }
        set {
            table.keepsFacts = newValue
            conversations.keepsFacts = newValue
            setLimits(limits)
        }
    }

    /// Calls the body with each fact that may have changed since the last call, some more than once: nil if it is gone.
    ///
    /// Call it at the end of each batch, before anything is sent.
    public mutating func forEachChangedFact(_ body: (KeptKey, UnsafeRawBufferPointer?) -> Void) {
        var writer = FactWriter()
        swap(&writer, &factWriter)
        defer { swap(&writer, &factWriter) }
        table.forEachChangedFact { key, fact in
            let key = KeptKey(kind: key.kind.rawValue, slot: key.slot)
            guard let fact else { return body(key, nil) }
            writer.empty()
            writer.write(fact)
            body(key, writer.bytes)
        }
        if fleet?.claims.takeFactsChanged() ?? false {
            let key = KeptKey(kind: KeptKey.fleet, slot: 0)
            writer.empty()
            if let facts = fleet?.claims.facts ?? nil {
                writer.write(facts)
                body(key, writer.bytes)
            } else {
                body(key, nil)
            }
        }
        for slot in conversations.takeLeftPieces() { body(KeptKey(kind: KeptKey.piece, slot: slot), nil) }
        conversations.forEachChanged { client, conversation, pool in
            let slot = UInt32(client.raw)
            guard conversation.phase != .vacant else {
                body(KeptKey(kind: KeptKey.standing, slot: slot), nil)
                return body(.traffic(ofSessionAt: slot), nil)
            }
            if conversation.isQuiet {
                if conversation.hasTrafficFact || conversation.hasNewStanding {
                    body(.traffic(ofSessionAt: slot), nil)
                }
                conversation.hasTrafficFact = false
            } else {
                writer.empty()
                conversation.writeTraffic(into: &writer, atMost: pieceSize)
                body(.traffic(ofSessionAt: slot), writer.bytes)
                conversation.hasTrafficFact = true
            }
            for stream in [BytePieces.Stream.output, .input] {
                conversation.updatePieces(of: stream, size: pieceSize, &pool) { place, part, bytes in
                    let key = KeptKey(kind: KeptKey.piece, slot: place)
                    guard let part else { return body(key, nil) }
                    writer.empty()
                    writer.write(part, of: stream, bytes, ofSessionAt: slot)
                    body(key, writer.bytes)
                }
            }
            guard conversation.hasNewStanding else { return }
            conversation.hasNewStanding = false
            let watch = watchers.watch(of: conversation.session)
            writer.empty()
            writer.write(
                Standing(
                    conversation, watch.map { Standing.Watch(position: $0.position, prefix: $0.prefix) }))
            body(KeptKey(kind: KeptKey.standing, slot: slot), writer.bytes)
        }
        guard let debts = accounts.takeChangedDebts(at: table.now) else { return }
        let key = KeptKey(kind: KeptKey.debts, slot: 0)
        guard !debts.isEmpty else { return body(key, nil) }
        // All of them are in one fact, which has a length that no number of users may exceed.
        let kept = debts.prefix(50_000)
        writer.empty()
        writer.write(kept.count)
        for (userID, paidAt) in kept {
            writer.write(userID)
            writer.write(paidAt)
        }
        body(key, writer.bytes)
    }
}
