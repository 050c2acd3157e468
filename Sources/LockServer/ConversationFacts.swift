import LockCore
import LockVocabulary
import LockWire

// The facts of conversations as bytes. The order of the fields is part of the ledger's format.

/// What a fact says of a session, but for its input and output.
struct Standing {
    let serial: UInt32
    let peer: Peer
    let since: Instant
    let client: Note
    let phase: Conversation.Phase
    let ending: Conversation.Ending?
    let isMute: Bool
    let watch: Watch?

    /// The beginning of the names that it watches, and its position among the watchers.
    struct Watch {
        let position: UInt64
        let prefix: String
    }

    init(_ conversation: borrowing Conversation, _ watch: Watch?) {
        serial = conversation.session.serial
        peer = conversation.peer
        since = conversation.since
        client = conversation.client
        phase = conversation.phase
        ending = conversation.ending
        isMute = conversation.isMute
        self.watch = watch
    }

    init(_ reader: inout FactReader) throws(UnreadableFact) {
        serial = try reader.number32()
        peer = try reader.peer()
        since = try reader.instant()
        client = try reader.note()
        phase = try reader.phase()
        ending = try reader.optional { reader throws(UnreadableFact) in
            Conversation.Ending(phase: try reader.phase(), wasKilled: try reader.flag())
        }
        isMute = try reader.flag()
        watch = try reader.optional { reader throws(UnreadableFact) in
            Watch(position: try reader.number(), prefix: try reader.text())
        }
    }
}

extension Conversation {
    /// Input that is not carried out, and output that is not sent: what facts keep of it.
    struct Traffic {
        var output: [UInt8]
        /// The bytes that the session was sent before it, and more, so that it is above zero.
        var position: UInt64
        var input: LineReader.Rest
        var parked: [UInt8]
        var missed: Int
        var rowReplies: [RowReply]
    }
}

extension FactWriter {
    mutating func write(_ standing: Standing) {
        write(standing.serial)
        write(standing.peer)
        write(standing.since)
        write(standing.client)
        write(standing.phase)
        write(standing.ending) {
            $0.write($1.phase)
            $0.write($1.wasKilled)
        }
        write(standing.isMute)
        write(standing.watch) {
            $0.write($1.position)
            $0.write($1.prefix)
        }
    }

    private mutating func write(_ phase: Conversation.Phase) {
        switch phase {
        case .vacant, .open: write(0)
        case .ending: write(1)
        case .cutOff: write(2)
        }
    }

    private mutating func write(_ peer: Peer) {
        write(peer.processID) { $0.write(Int($1)) }
        write(peer.userID)
        write(peer.groupID)
        write(peer.identity.groups.count)
        for group in peer.identity.groups { write(group) }
        write(peer.identity.unit) { $0.write($1) }
        write(peer.identity.executable) { $0.write($1) }
    }

    mutating func write(_ reply: RowReply) {
        write(reply.tag)
        write(reply.count)
        switch reply.rest {
        case .status(let name, let cursor, let room):
            write(room.isUnbounded ? 0 : 5)
            write(name)
            write(cursor.position)
            guard !room.isUnbounded else { return }
            write(room.holders)
            write(room.waiters)
        case .locks(let prefix, let after, let most):
            write(1)
            write(prefix)
            write(after) { $0.write($1) }
            write(most)
        case .sessions(let after):
            write(2)
            write(after) { $0.write($1.raw) }
        case .rows(let lines):
            write(3)
            write(lines.count)
            for line in lines { write(line) }
        case .claims(let name, let written):
            write(4)
            write(name)
            write(written)
        case .ranking(let ranking):
            // It has no row yet, so it can begin again.
            write(6)
            write(ranking.prefix)
            write(ranking.rank.rawValue)
            write(ranking.most)
        case .ranked(let names):
            write(7)
            write(names)
        case .hot(let names):
            write(8)
            write(names)
        }
    }

    private mutating func write(_ names: ArraySlice<LockName>) {
        write(names.count)
        for name in names { write(name) }
    }

    private mutating func write(_ position: StatusCursor.Position) {
        func write(_ passed: StatusCursor.Passed?) {
            self.write(passed) {
                $0.write($1.place)
                $0.write($1.number)
            }
        }
        switch position {
        case .holders(let token):
            self.write(0)
            self.write(token)
        case .upgrade: self.write(1)
        case .waiters(let contenders, let readers):
            self.write(2)
            write(contenders)
            write(readers)
        case .end: self.write(3)
        }
    }
}

extension FactReader {
    fileprivate mutating func phase() throws(UnreadableFact) -> Conversation.Phase {
        switch try number() {
        case 0: .open
        case 1: .ending
        case 2: .cutOff
        default: throw UnreadableFact()
        }
    }

    fileprivate mutating func peer() throws(UnreadableFact) -> Peer {
        let processID = try optional { reader throws(UnreadableFact) in try reader.count() }
        var peer = Peer(
            processID: processID.flatMap { Int32(exactly: $0) }, userID: try number32(),
            groupID: try number32())
        peer.identity.groups = try list { reader throws(UnreadableFact) in try reader.number32() }
        peer.identity.unit = try optional { reader throws(UnreadableFact) in try reader.text() }
        peer.identity.executable = try optional { reader throws(UnreadableFact) in try reader.text() }
        return peer
    }

    /// Input and output of a session. If more than a little, they are in pieces: `join` puts those together, from a position
    /// on, or returns nil if it has none.
    mutating func traffic(
        joining join: (BytePieces.Stream, _ position: UInt64) throws(UnreadableFact) -> [UInt8]?
    ) throws(UnreadableFact) -> Conversation.Traffic {
        let output = Array(try data())
        let position = try number()
        let partialCount = try count()
        let isSkipping = try flag()
        let inlineInput = Array(try data())
        let inputPosition = try number()
        // No session sends or gets so much.
        guard max(position, inputPosition) < 1 << 62 else { throw UnreadableFact() }
        let input = try join(.input, inputPosition) ?? inlineInput
        guard partialCount <= input.count else { throw UnreadableFact() }
        return Conversation.Traffic(
            output: try join(.output, position) ?? output, position: position,
            input: .init(partial: Array(input.prefix(partialCount)), isSkipping: isSkipping),
            parked: Array(input.dropFirst(partialCount)), missed: try count(),
            rowReplies: try list { reader throws(UnreadableFact) in try reader.rowReply() })
    }

    private mutating func rowReply() throws(UnreadableFact) -> RowReply {
        let tag = try tag()
        let count = try count()
        let rest: RowReply.Rest
        switch try number() {
        case 0: rest = .status(try name(), StatusCursor(at: try position()), StatusRoom(nil))
        case 1:
            rest = .locks(
                prefix: try text(),
                after: try optional { reader throws(UnreadableFact) in try reader.name() },
                atMost: try self.count())
        case 2:
            rest = .sessions(
                after: try optional { reader throws(UnreadableFact) in
                    ConversationIndex(raw: try reader.count())
                })
        case 3:
            rest = .rows(try list { reader throws(UnreadableFact) in Array(try reader.data()) }[...])
        case 4: rest = .claims(try name(), try self.count())
        case 5:
            rest = .status(
                try name(), StatusCursor(at: try position()),
                StatusRoom(holders: try self.count(), waiters: try self.count()))
        case 6:
            let prefix = try text()
            let rank = WaitRank(rawValue: try text())
            let most = try self.count()
            guard let rank, 1...Request.mostRanked ~= most else { throw UnreadableFact() }
            rest = .ranking(Ranking(prefix: prefix, by: rank, atMost: most))
        case 7: rest = .ranked(try names()[...])
        case 8: rest = .hot(try names()[...])
        default: throw UnreadableFact()
        }
        return RowReply(tag, rest, count: count)
    }

    private mutating func names() throws(UnreadableFact) -> [LockName] {
        try list { reader throws(UnreadableFact) in try reader.name() }
    }

    private mutating func position() throws(UnreadableFact) -> StatusCursor.Position {
        func passed(_ reader: inout FactReader) throws(UnreadableFact) -> StatusCursor.Passed {
            StatusCursor.Passed(place: try reader.number(), number: try reader.number())
        }
        switch try number() {
        case 0: return .holders(after: try token())
        case 1: return .upgrade
        case 2: return .waiters(contenders: try optional(passed), readers: try optional(passed))
        case 3: return .end
        default: throw UnreadableFact()
        }
    }
}
