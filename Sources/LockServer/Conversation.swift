import LockVocabulary
import LockWire

/// One session's side of the wire: input that is not yet carried out, and output that is not yet sent.
///
///            end of input, QUIT, death          all is sent, or cannot be
///  [ OPEN ] ───────────────────────▶ [ ENDING ] ─────────────────────────▶ (gone)
///      │  a hard limit, death                                                        ▲
///      └──────────────────────────▶ [ CUT OFF ] ──────────────────────────────┘
///
/// Invariants:
/// 1. Bytes are parked only while rows are written, too much is unread, other sessions have their turn (`Accounts`), or a
///    line cannot be decided yet (`LockTable.settle`); meanwhile no later line is carried out.
/// 2. `unread` exceeds the hard limit by at most one reply: then the session is cut off.
///
/// What only reads is inlined, because a call would copy the whole value (500 instructions).
struct Conversation: ~Copyable {
    enum Phase {
        /// No session has this place.
        case vacant
        case open
        /// Further input does not count; the output is still sent.
        case ending
        /// Nothing more is sent than the socket takes at once.
        case cutOff
    }

    let session: SessionID
    var peer: Peer { didSet { hasNewStanding = true } }
    let since: Instant
    let account: AccountID
    /// What the policy decided about the peer.
    var verdict: Verdict
    /// The name that the client gave itself.
    var client = Note.none { didSet { hasNewStanding = true } }

    private(set) var phase: Phase { didSet { hasNewStanding = true } }
    /// How the session ends once its lines are carried out; nil while more input may come.
    var ending: Ending? { didSet { hasNewStanding = true } }
    /// Whether the client can be told nothing more, so that nothing is written.
    private(set) var isMute = false { didSet { hasNewStanding = true } }
    private var reader: LineReader
    private var parked: [UInt8] = []
    /// Lists that are to be written, the first of them begun.
    private(set) var rowReplies: [RowReply] = []
    private(set) var output = OutputBuffer()
    /// How many bytes the session was sent before them, without the lines of `resumed`: such a line that is not sent yet counts
    /// below zero, modulo 2^64.
    private var position: UInt64 = 0
    /// The position in facts. It is above zero, and rises with each byte.
    private var factPosition: UInt64 { position &+ Self.origin }
    private static let origin: UInt64 = 4_096
    /// How many bytes the session has sent.
    private var received: UInt64 = 0
    /// How many notices were dropped because too much was unread.
    private var missed = 0
    /// The bytes that `Conversations` counts for it.
    private var counted = 0
    /// Whether the shell knows that the session is not to be read from.
    private var isKnownAsPaused = false
    /// Whether the session waits for a visit of the shell.
    private var isReady = false

    /// Whether what its fact says of the session has changed, but for input and output (`ConversationFacts`).
    var hasNewStanding = true
    /// Whether `Conversations` lists it as changed.
    var isListedAsChanged = false
    /// The facts of its output, and of its input that is not carried out, if they are more than a little.
    private var outputPieces = BytePieces()
    private var inputPieces = BytePieces()
    /// Whether there is a fact of its input and output.
    var hasTrafficFact = false

    /// The end of a session. It comes after the last lines.
    struct Ending {
        let phase: Phase
        let wasKilled: Bool
    }

    init(
        session: SessionID, peer: Peer, since: Instant, account: AccountID, verdict: Verdict, lineLimit: Int
    ) {
        self.session = session
        self.peer = peer
        self.since = since
        self.account = account
        self.verdict = verdict
        phase = .open
        reader = LineReader(limit: lineLimit)
    }

    /// What stands at a place that no session has.
    static var vacant: Conversation {
        var vacant = Conversation(
            session: SessionID(slot: 0, serial: 0), peer: Peer(processID: nil, userID: 0, groupID: 0),
            since: .zero, account: AccountID(rawValue: 0), verdict: .none, lineLimit: 1)
        vacant.phase = .vacant
        return vacant
    }

    // MARK: - Facts

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

    /// Whether there is neither input nor output, and never was output.
    var isQuiet: Bool {
        position == 0 && unread == 0 && parked.isEmpty && missed == 0 && rowReplies.isEmpty
            && reader.isAtLineStart
    }

    /// The bytes of input that are not carried out.
    private var unfinished: Int { reader.partialCount + parked.count }

    /// - Parameter most: the bytes beyond which output and input are in facts of their own.
    @inline(__always)
    func writeTraffic(into writer: inout FactWriter, atMost most: Int) {
        let (input, count) = (reader.rest, unfinished)
        writer.write(unread > most ? UnsafeRawBufferPointer(start: nil, count: 0) : output.bytes)
        writer.write(factPosition)
        writer.write(input.partial.count)
        writer.write(input.isSkipping)
        writer.write(count > most ? 0 : count)
        if count <= most {
            writer.append(input.partial[...])
            writer.append(parked[...])
        }
        writer.write(count > most ? received - UInt64(count) : 0)
        writer.write(missed)
        writer.write(rowReplies.count)
        for reply in rowReplies { writer.write(reply) }
    }

    /// Calls the body with each piece that has changed, and with what is left of its stream, in two parts.
    @inline(__always)
    mutating func updatePieces(
        of stream: BytePieces.Stream, size: Int, _ pool: inout SlotPool,
        _ give: (UInt32, BytePieces.Part?, BytePieces.Rest) -> Void
    ) {
        switch stream {
        case .output:
            let count = unread > size ? unread : 0
            guard count > 0 || !outputPieces.slots.isEmpty else { return }
            let rest = BytePieces.Rest(output.bytes)
            outputPieces.update(count: count, at: factPosition, size: size, &pool) { give($0, $1, rest) }
        case .input:
            let count = unfinished > size ? unfinished : 0
            guard count > 0 || !inputPieces.slots.isEmpty else { return }
            let (position, partial, parked) = (received - UInt64(count), reader.rest.partial, self.parked)
            partial.withUnsafeBytes { partial in
                parked.withUnsafeBytes { parked in
                    let rest = BytePieces.Rest(partial, parked)
                    inputPieces.update(count: count, at: position, size: size, &pool) { give($0, $1, rest) }
                }
            }
        }
    }

    /// The slots of all its pieces.
    var pieceSlots: [UInt32] { outputPieces.slots + inputPieces.slots }

    /// Takes on what the facts of a session say.
    mutating func restore(_ traffic: Traffic, lineLimit: Int) {
        reader = LineReader(limit: lineLimit, goingOnWith: traffic.input)
        parked = traffic.parked
        output.removeAll()
        output.append(traffic.output)
        missed = traffic.missed
        rowReplies = traffic.rowReplies
        position = traffic.position &- Self.origin
        received = UInt64(unfinished)
    }

    /// Drops output that a former server had sent. If it is in doubt whether more was sent, a notice stands before that.
    mutating func restoreSent(_ count: Int, inDoubt: Int) {
        guard count <= output.count else { return end(as: .cutOff) }
        output.removeFirst(count)
        position &+= UInt64(count)
        guard inDoubt > 0, !output.isEmpty else { return }
        var rest = Array(output.bytes)
        // A notice that is in doubt itself makes way for the new one.
        if rest.starts(with: "! RESUMED ".utf8), let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            rest.removeFirst(end + 1)
            position &+= UInt64(end + 1)
        }
        var line: [UInt8] = []
        Notice.resumed(from: position).encode(into: &line)
        output.removeAll()
        output.append(line + rest)
        position &-= UInt64(line.count)
    }

    mutating func restore(phase: Phase, ending: Ending?, isMute: Bool) {
        self.phase = phase
        self.ending = ending
        self.isMute = isMute
    }

    /// Where the session's work is charged.
    @inline(__always)
    var payer: Payer { Payer(account: account, rate: verdict.allowance.requests) }

    /// The rate that its next lines wait for. The last lines of a session wait for none, as others wait for its locks.
    @inline(__always)
    var awaitedRate: Int? { isMute || ending != nil ? nil : verdict.allowance.requests }

    // MARK: - Input

    /// Whether rows are being written, so that no further line is carried out.
    @inline(__always)
    var isWritingRows: Bool { !rowReplies.isEmpty }

    /// Whether no line may be carried out: until the rows are written, and until enough of the output is read (G12).
    @inline(__always)
    func isBlocked(by limit: Int) -> Bool { isWritingRows || unread > limit }

    /// Whether further input is parked, and not to be read from the socket.
    @inline(__always)
    func isPaused(by limit: Int) -> Bool { isBlocked(by: limit) || !parked.isEmpty }

    @inline(__always)
    var hasParked: Bool { !parked.isEmpty }

    /// Whether lines, rows or an end are left.
    var hasRest: Bool { hasParked || ending != nil || isWritingRows }

    mutating func park(_ bytes: some Collection<UInt8>) { parked.append(contentsOf: bytes) }

    /// Parks a line that was read, without the spaces around it.
    mutating func parkAgain(_ line: [UInt8]) {
        park(line)
        inputPieces.restart()
    }

    /// Counts bytes that are received, before they are carried out or parked.
    @inline(__always)
    mutating func count(received count: Int) { received &+= UInt64(count) }

    mutating func takeParked() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &parked)
        return taken
    }

    /// Whether the input so far ends with a line.
    @inline(__always)
    var isBetweenLines: Bool { reader.isAtLineStart }

    /// The most bytes of a line, line feed included.
    @inline(__always)
    var lineLimit: Int { reader.lineLimit }

    /// Exchanges the reader, which is taken out while it reads: reading through a copy would copy a line that is cut.
    mutating func exchange(_ other: inout LineReader) { swap(&reader, &other) }

    // MARK: - Output

    /// How many bytes are written and not sent.
    @inline(__always)
    var unread: Int { output.count }

    @inline(__always)
    mutating func write(_ reply: Reply, _ tag: Tag?) {
        if !isMute { output.appendLine { reply.encode(tag: tag, in: $0) } }
    }

    /// Writes the reply to a request that is granted.
    mutating func writeGranted(
        _ name: LockName, _ mode: LockMode, _ token: Token, ownerDied: Mark?, _ slot: GrantedSlot?,
        _ tag: Tag?
    ) {
        if !isMute {
            output.appendLine {
                Reply.encodeGranted(name, mode, token, ownerDied: ownerDied, slot, tag: tag, in: $0)
            }
        }
    }

    /// Writes the reply to a release.
    mutating func writeReleased(_ name: LockName, _ token: Token, _ tag: Tag?) {
        if !isMute { output.appendLine { Reply.encodeReleased(name, token, tag: tag, in: $0) } }
    }

    mutating func write(_ notice: Notice) {
        if !isMute { output.appendLine { notice.encode(in: $0) } }
    }

    /// Drops all output, and writes no more of it.
    mutating func mute() {
        isMute = true
        rowReplies = []
        output.removeAll()
        missed = 0
    }

    /// Writes a notice of a change if not too much is unread; otherwise counts it as missed.
    mutating func offer(_ notice: Notice, within limit: Int) {
        guard unread <= limit else {
            missed += 1
            return
        }
        writeMissed()
        write(notice)
    }

    private mutating func writeMissed() {
        guard missed > 0 else { return }
        write(.missed(missed))
        missed = 0
    }

    /// Drops bytes that were sent. Then writes the number of missed notices, unless still too much is unread.
    mutating func dropSent(_ count: Int, within limit: Int) {
        output.removeFirst(count)
        position &+= UInt64(count)
        if missed > 0, phase == .open, unread <= limit { writeMissed() }
    }

    /// Drops all output, because it was sent. Returns false, and drops nothing, if that is not all of it, or if anything waited for
    /// this, or if the shell is to visit the session.
    @inline(__always)
    mutating func dropLast(_ count: Int) -> Bool {
        guard isUpToDate, unread == count, !isReady, !isKnownAsPaused else { return false }
        output.removeFirst(count)
        position &+= UInt64(count)
        counted -= count
        return true
    }

    // MARK: - Rows

    mutating func begin(_ reply: RowReply) {
        if !isMute { rowReplies.append(reply) }
    }

    /// Writes a page of the first reply of rows, and its last line if it is complete.
    mutating func write(_ page: RowReply.Page, of reply: RowReply, isComplete: Bool) {
        output.append(page.bytes)
        if isComplete {
            write(.end(rows: reply.count), reply.tag)
            rowReplies.removeFirst()
        } else {
            rowReplies[0] = reply
        }
    }

    // MARK: - End

    /// Ends the input; a session that is cut off gets no further rows either.
    mutating func end(as phase: Phase) {
        self.phase = phase
        ending = nil
        parked = []
        inputPieces.restart()
        if phase == .cutOff { rowReplies = [] }
    }

    // MARK: - Changes

    /// The bytes that the conversation keeps in memory; one that is cut off is closed at once, and keeps nothing.
    @inline(__always)
    var kept: Int { phase == .cutOff ? 0 : unread + parked.count + reader.partialCount }

    /// Takes note of how the conversation changed since the last call.
    ///
    /// - Returns: how many more bytes it keeps, and whether it is newly ready: the shell has something to send, to
    ///   close, or to read from again.
    @inline(__always)
    mutating func takeChange(unreadLimit: Int) -> (bytes: Int, isReady: Bool) {
        let bytes = kept - counted
        counted += bytes
        // What else has changed is looked at when the shell visits the session.
        if isReady { return (bytes, false) }
        let isPaused = isPaused(by: unreadLimit)
        guard unread > 0 || phase != .open || isPaused != isKnownAsPaused else { return (bytes, false) }
        isKnownAsPaused = isPaused
        isReady = true
        return (bytes, true)
    }

    /// The shell visits the session now, and learns whether it is to be read from.
    mutating func takeReady(unreadLimit: Int) {
        isReady = false
        isKnownAsPaused = isPaused(by: unreadLimit)
    }

    /// Whether nothing follows when the output is sent: no line, no row, no notice and no end waits for it.
    @inline(__always)
    var isUpToDate: Bool {
        phase == .open && parked.isEmpty && rowReplies.isEmpty && missed == 0 && ending == nil
    }
}
