import Glibc
import Keeping
import Ledger
import LockServer
import LockVocabulary
import Posix

/// What the next worker goes on from, should this one die: the ledger, the parcel, and the keeper that has both.
///
///   READ ──▶ CARRY OUT ──▶ COMMIT ──▶ SEND ──▶ (next batch)
///    │           │            │          │
///    │           │            │          └─ killed: the facts say what was sent, but for one write (`isInDoubt`)
///    │           │            └─ killed after the store: the replies are in the facts, and are sent
///    │           └─ killed: the batch never was. Its bytes are in the ledger's input, and are carried out again
///    └─ killed within the read: the same; the bytes that are not zero are those that were read
///
/// Rules:
/// 1. Nothing is sent before the facts that it follows from are committed.
/// 2. Bytes are read only into the ledger's input, which the commit of the batch makes void.
/// 3. A socket is in the parcel, and the facts of its session are committed, before its first byte is read. Otherwise the next
///    worker could give the socket another session, and that session the input of a third one.
///
/// A connection that was accepted, and not put into the parcel yet, ends with the worker: it has not got a reply.
struct Continuity: ~Copyable {
    private var ledger: Ledger
    private let memory: LedgerMemory
    let parcel: SocketParcel
    private let isNew: Bool

    /// The kinds of facts that are the shell's.
    private static let socketKind: UInt8 = 16
    /// The memory of a session's slots.
    private static let slotsKind: UInt8 = 17
    /// The page that says whether a process serves; its slot is 0.
    private static let servingKind: UInt8 = 18
    private static let ownKinds = [socketKind, slotsKind, servingKind]
    /// Notes which session is being sent to, and how much it has got after that.
    private static let sendingNote = 0
    /// Notes that lines are carried out with care (`Care`): a slot plus 1 and the batch, or no slot.
    private static let careNote = 1
    /// Counts the sessions that were cut off for a line.
    private static let fatalLinesNote = 2

    /// Begins an empty ledger and parcel.
    static func empty() throws(SystemError) -> Continuity {
        let memory = try LedgerMemory()
        let parcel = try SocketParcel()
        guard let ledger = Ledger(creatingIn: memory.memory, inputSize: Arena.size) else {
            throw SystemError(code: ENOMEM, call: "fallocate", subject: "the ledger")
        }
        return Continuity(ledger: ledger, memory: memory, parcel: parcel, isNew: true)
    }

    /// Takes over what another worker left.
    init(
        ledger: consuming Ledger, memory: consuming LedgerMemory, parcel: SocketParcel, isNew: Bool = false
    ) {
        self.ledger = ledger
        self.memory = memory
        self.parcel = parcel
        self.isNew = isNew
    }

    /// The descriptors that the next worker needs and the keeper does not have yet, by their names.
    ///
    /// Not those that this worker was given: the keeper would remove them from the service manager's store before it stores
    /// them again, and if it dies between the two messages, nothing is left.
    var unkept: [(name: String, descriptors: [Int32])] {
        isNew ? [("ledger", [memory.file.rawValue]), ("parcel", parcel.descriptors)] : []
    }

    // MARK: - Commit

    /// Makes the present state of the server what the next worker goes on from.
    ///
    /// Returns whether new grants and requests have room in the ledger.
    mutating func commit(_ server: inout Server) -> Bool {
        server.forEachChangedFact { key, bytes in
            let place = FactKey(kind: key.kind, slot: key.slot)
            guard let bytes else {
                ledger.remove(place)
                return
            }
            // Output is counted as it is sent.
            let isKept = ledger.set(place, bytes, sent: key.isTraffic ? 0 : nil)
            precondition(isKept, "the ledger has no room for a batch")
        }
        ledger.commit()
        return ledger.hasRoom
    }

    // MARK: - Input

    /// Room for bytes that are read from a session; nil if the batch has no more. Call `endInput` next.
    mutating func beginInput(of session: SessionID, atMost count: Int) -> UnsafeMutableRawBufferPointer? {
        ledger.beginInput(session: UInt64(session.slot) << 32 | UInt64(session.serial), room: count)
    }

    mutating func endInput(count: Int) { ledger.endInput(count: count) }

    /// What the dead worker had read, and not carried out. Valid until the commit.
    var input: [(session: SessionID, bytes: UnsafeRawBufferPointer)] {
        ledger.slices.map { slice in
            let slot = UInt32(truncatingIfNeeded: slice.session >> 32)
            return (SessionID(slot: slot, serial: UInt32(truncatingIfNeeded: slice.session)), slice.bytes)
        }
    }

    // MARK: - Care

    /// What the former worker noted. Call it before the first commit.
    var care: Care.Note {
        let note = ledger.note(Self.careNote)
        let slot = UInt32(truncatingIfNeeded: note >> 32)
        if note == 0 { return .none }
        return slot > 0 && UInt32(truncatingIfNeeded: note) == batch ? .carryingOut(slot: slot - 1) : .careful
    }

    private var batch: UInt32 { UInt32(truncatingIfNeeded: ledger.batchUnderWay) }

    /// How many sessions were cut off for a line, in all workers.
    var fatalLineCount: Int { Int(clamping: ledger.note(Self.fatalLinesNote)) }

    mutating func beginCare(fatalLineCount: Int) {
        ledger.setNote(Self.careNote, 1)
        ledger.setNote(Self.fatalLinesNote, UInt64(fatalLineCount))
    }

    mutating func endCare() { ledger.setNote(Self.careNote, 0) }

    /// Notes that a line of a session is about to be carried out, and no other line in this batch.
    mutating func willCarryOut(lineOf session: SessionID) {
        ledger.setNote(Self.careNote, (UInt64(session.slot) + 1) << 32 | UInt64(batch))
    }

    // MARK: - Output

    /// Notes that output of a session is about to be sent, of which `sent` bytes since the commit will then have been.
    mutating func willSend(to session: SessionID, upTo sent: Int) {
        ledger.setNote(Self.sendingNote, (UInt64(session.slot) + 1) << 32 | UInt64(sent))
    }

    /// Notes how much of the output the socket has taken since the commit.
    mutating func didSend(to session: SessionID, sent: Int) {
        ledger.setSent(Self.traffic(of: session.slot), UInt32(sent))
        ledger.setNote(Self.sendingNote, 0)
    }

    private static func traffic(of slot: UInt32) -> FactKey {
        FactKey(kind: KeptKey.traffic(ofSessionAt: slot).kind, slot: slot)
    }

    // MARK: - Sockets

    /// Notes which socket is the session's.
    mutating func bind(_ session: SessionID, to socket: Int32) {
        note(socket, as: FactKey(kind: Self.socketKind, slot: session.slot))
        // The former session at this place may have had slots. They were needed until it was taken apart.
        ledger.remove(FactKey(kind: Self.slotsKind, slot: session.slot))
    }

    mutating func unbind(_ session: SessionID) {
        ledger.remove(FactKey(kind: Self.socketKind, slot: session.slot))
    }

    /// Notes which memory has the session's slots.
    mutating func bindSlots(of session: SessionID, to memory: Int32) {
        note(memory, as: FactKey(kind: Self.slotsKind, slot: session.slot))
    }

    /// Notes which memory says whether a process serves.
    mutating func bindServing(to memory: Int32) { note(memory, as: FactKey(kind: Self.servingKind, slot: 0)) }

    private mutating func note(_ descriptor: Int32, as key: FactKey) {
        guard let identity = UnixSocket.identity(of: descriptor) else { return }
        let isKept = withUnsafeBytes(of: identity.littleEndian) { ledger.set(key, $0) }
        precondition(isKept, "the ledger has no room for a batch")
    }

    // MARK: - Going on

    /// The facts beside those of the server, as of the last commit.
    struct Facts {
        /// How many bytes of a session's output were sent, by the session's slot.
        var sent: [UInt32: Int] = [:]
        /// The slot of the session that was being sent to, and how many bytes; nil if there was none.
        var inDoubt: (slot: UInt32, count: Int)?
        /// The slots of sessions, by the identities of their sockets.
        var sockets: [UInt64: UInt32] = [:]
        /// The same, by those of the memory for cached grants.
        var slots: [UInt64: UInt32] = [:]
        /// The identity of the memory that says whether a process serves.
        var serving: UInt64?
    }

    var facts: Facts {
        var facts = Facts()
        ledger.forEachFact(ofKind: Self.traffic(of: 0).kind) { fact in
            if let sent = fact.sent { facts.sent[fact.key.slot] = Int(sent) }
        }
        for kind in Self.ownKinds {
            ledger.forEachFact(ofKind: kind) { fact in
                guard fact.bytes.count == 8 else { return }
                let identity = UInt64(littleEndian: fact.bytes.loadUnaligned(as: UInt64.self))
                switch kind {
                case Self.socketKind: facts.sockets[identity] = fact.key.slot
                case Self.slotsKind: facts.slots[identity] = fact.key.slot
                default: facts.serving = identity
                }
            }
        }
        let note = ledger.note(Self.sendingNote)
        if note > 0 {
            let slot = UInt32(truncatingIfNeeded: note >> 32) &- 1
            let target = Int(UInt32(truncatingIfNeeded: note))
            let sent = facts.sent[slot, default: .max]
            if sent < target { facts.inDoubt = (slot, target - sent) }
        }
        return facts
    }
}

/// The facts of the server. Output that was sent is still in them.
extension Continuity: KeptFacts {
    func forEachFact<Failure>(
        ofKind kind: UInt8, _ body: (UInt32, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        guard !Self.ownKinds.contains(kind) else { return }
        try ledger.forEachFact(ofKind: kind) { (fact) throws(Failure) in try body(fact.key.slot, fact.bytes) }
    }
}
