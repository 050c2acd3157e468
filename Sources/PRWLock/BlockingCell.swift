import LockVocabulary
import LockWire

/// What a blocking client keeps for one lock: its cached grants.
///
/// All locks of the client have one owner, so there is one cached grant for a mode at most.
final class BlockingCell {
    /// What stands behind a cached grant.
    struct Cached {
        let entry: CachedEntries.Entry
        let grant: Session.GrantID
        let session: BlockingSession
    }

    let entries: CachedEntries
    private var cached = [Cached?](repeating: nil, count: CachedEntries.places)

    init(in memory: SlotMemory) { entries = CachedEntries(in: memory) }

    /// Enters a cached grant that is not held; nil if there is none.
    @inline(__always)
    func enter(_ mode: LockMode) -> CachedEntries.Entered? {
        guard let entered = mode == .write ? entries.enterToWrite() : entries.enterFirstToRead() else {
            return nil
        }
        if entries.isServed { return entered }
        stepBack(entered)
        return nil
    }

    @inline(never)
    func stepBack(_ entered: CachedEntries.Entered) {
        if entries.stepBack(entered) { return }
        if let cached = take(entered) { cached.session.abandon(cached.grant) }
    }

    /// Notes a cached grant for the next call; nil if it has no slot, or the slot is of no use.
    func add(_ grant: Session.GrantID, of session: BlockingSession) -> CachedEntries.Entered? {
        let terms = session.terms(of: grant)
        guard let slot = terms.usableSlot, let place = CachedEntries.places(for: terms.mode).first else {
            return nil
        }
        let new = Cached(entry: .init(slot), grant: grant, session: session)
        // The slots are there, unless the session has just ended. A grant of a recursion has no place beside the first.
        guard entries.isAlive(new.entry) else { return nil }
        if let former = cached[place] {
            if entries.isAlive(former.entry) { return nil }
            former.session.forgetTaken(former.grant)
        }
        cached[place] = new
        entries.set(place, new.entry)
        return .init(word: new.entry.word, place: place)
    }

    /// What stands behind a grant that was entered; nil if its session has ended and another grant has its place.
    func cached(_ entered: CachedEntries.Entered) -> Cached? {
        guard let cached = cached[entered.place], cached.entry == entered.entry else { return nil }
        return cached
    }

    /// Forgets the cached grants, because their session has ended for this process.
    func forgetSession() {
        for place in cached.indices {
            cached[place] = nil
            entries.set(place, nil)
        }
    }

    /// Enters no more a grant that the daemon has to release; returns what stands behind it.
    func take(_ entered: CachedEntries.Entered) -> Cached? {
        guard let found = cached(entered) else { return nil }
        cached[entered.place] = nil
        entries.set(entered.place, nil)
        return found
    }
}

/// The cells of a blocking client: those that a lock value refers to, and those with a cached grant.
final class BlockingCells {
    private struct Reference {
        weak var cell: BlockingCell?
    }

    let memory: SlotMemory
    private var byName: [LockName: Reference] = [:]
    private var bySlot: [Int: BlockingCell] = [:]
    /// How many names there may be before those without a cell are removed.
    private var mostNames = 64

    init(caches: Bool) { memory = caches ? SlotMemory() ?? .none : .none }

    /// The cell of the lock with this name.
    func cell(_ name: LockName) -> BlockingCell {
        if let cell = byName[name]?.cell { return cell }
        if byName.count >= mostNames {
            byName = byName.filter { $0.value.cell != nil }
            mostNames = max(64, 2 * byName.count)
        }
        let cell = BlockingCell(in: memory)
        byName[name] = Reference(cell: cell)
        return cell
    }

    /// Forgets all sessions, because they have ended for this process.
    func forgetSessions() {
        for reference in byName.values { reference.cell?.forgetSession() }
        bySlot = [:]
    }

    /// Keeps a cell as long as its lock is the last one that was cached under this slot.
    func keep(_ cell: BlockingCell, for slot: GrantedSlot) { bySlot[slot.index] = cell }
}
