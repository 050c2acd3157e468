import LockVocabulary
import LockWire
import Posix
import Synchronization

/// What a client keeps for one lock: its cached grants, and owners that have had the lock.
///
/// All values of `RWLock` with one client and one name share a cell. The daemon gives a slot to an owner that gets a lock
/// twice in a row. So a body takes an owner that has had the lock already, if no other body uses it now. A cached grant keeps
/// its owner, and while it is held no other body has that owner.
final class LockCell: Sendable {
    /// What stands behind a cached grant.
    struct Cached {
        let entry: CachedEntries.Entry
        let slot: Int
        let grant: Session.GrantID
        let connection: Connection
        let owner: LockOwner
        let token: Token
    }

    private struct State {
        var cached = [Cached?](repeating: nil, count: CachedEntries.places)
        /// The owners that have had the lock in a mode and are not in use, the last one at the end.
        var owners: [LockMode: [LockOwner]] = [:]
    }

    /// The most owners that are kept for a mode.
    private static let mostOwners = 8

    let entries: CachedEntries
    private let name: LockName
    private let state = Guarded(State())
    private let cells: LockCells

    fileprivate init(_ name: LockName, in cells: LockCells) {
        (self.name, self.cells) = (name, cells)
        entries = CachedEntries(in: cells.memory)
    }

    deinit { cells.forget(name) }

    // MARK: Owners

    /// An owner that no other body uses.
    func takeOwner(for mode: LockMode) -> LockOwner {
        let (owner, taken) = state.withLock { state in
            let taken = forgetTaken(&state)
            return (state.owners[mode]?.popLast(), taken)
        }
        for cached in taken { cached.connection.forgetTaken(cached.grant) }
        return owner ?? LockOwner(ofPool: true)
    }

    /// Takes an owner back that holds nothing and asks for nothing.
    func giveBack(_ owner: LockOwner, for mode: LockMode) {
        if owner.isSpent { return }
        state.withLock { state in
            if state.owners[mode]?.count ?? 0 < Self.mostOwners {
                state.owners[mode, default: []].append(owner)
            }
        }
    }

    /// Forgets all cached grants, as their session has ended.
    fileprivate func forgetSession() {
        let former = state.withLock { state in
            for place in state.cached.indices { entries.set(place, nil) }
            defer { state.cached = Array(repeating: nil, count: CachedEntries.places) }
            return state.cached
        }
        // Connections and owners must not end while the state is locked.
        withExtendedLifetime(former) {}
    }

    /// Removes the grants that the daemon has taken back.
    private func forgetTaken(_ state: inout State) -> [Cached] {
        var taken: [Cached] = []
        for (place, cached) in state.cached.enumerated() {
            guard let cached, !entries.isAlive(cached.entry) else { continue }
            taken.append(cached)
            entries.set(place, nil)
            state.cached[place] = nil
        }
        return taken
    }

    // MARK: Cached grants

    /// Enters a cached grant that no body holds; nil if there is none.
    @inline(__always)
    func enter(_ mode: LockMode) -> CachedEntries.Entered? {
        guard let entered = mode == .write ? entries.enterToWrite() : entries.enterToRead() else {
            return nil
        }
        if entries.isServed, entries.isHeld(entered) { return entered }
        stepBack(entered)
        return nil
    }

    @inline(never)
    func stepBack(_ entered: CachedEntries.Entered) {
        if entries.stepBack(entered) { return }
        let cached = cached(entered)
        remove(entered)
        if let cached { cached.connection.letGo(cached.grant) }
    }

    /// Makes a cached grant known to all bodies; nil if it has no slot, or there is no place for it.
    func add(
        _ terms: Session.Terms, _ grant: Session.GrantID, on connection: Connection, of owner: LockOwner
    ) -> CachedEntries.Entered? {
        guard let slot = terms.usableSlot else { return nil }
        let cached = Cached(
            entry: .init(slot), slot: slot.index, grant: grant, connection: connection, owner: owner,
            token: terms.token)
        // The slots are there, unless the session has just ended.
        guard entries.isAlive(cached.entry) else { return nil }
        let (place, taken) = state.withLock { state in
            let taken = forgetTaken(&state)
            let place = CachedEntries.places(for: terms.mode).first { entries.entry(at: $0) == nil }
            if let place {
                state.cached[place] = cached
                entries.set(place, cached.entry)
            }
            return (place, taken)
        }
        for cached in taken { cached.connection.forgetTaken(cached.grant) }
        guard let place else { return nil }
        cells.keep(self, for: slot.index)
        return .init(word: cached.entry.word, place: place)
    }

    /// What stands behind a grant that was entered; nil if its session has ended and another grant has its place.
    func cached(_ entered: CachedEntries.Entered) -> Cached? {
        state.withLock { state in
            state.cached[checked: entered.place].flatMap { $0.entry == entered.entry ? $0 : nil }
        }
    }

    /// Enters no more a grant that the daemon has to release.
    func remove(_ entered: CachedEntries.Entered) {
        let removed = state.withLock { state -> Cached? in
            guard let cached = state.cached[checked: entered.place], cached.entry == entered.entry else {
                return nil
            }
            entries.set(entered.place, nil)
            state.cached[entered.place] = nil
            return cached
        }
        if let removed { cells.release(self, for: removed.slot) }
    }
}

extension [LockCell.Cached?] {
    fileprivate subscript(checked place: Int) -> LockCell.Cached? {
        indices.contains(place) ? self[place] : nil
    }
}

/// The cells of a client: those that a lock value refers to, and those with a cached grant.
final class LockCells: Sendable {
    private struct Reference {
        weak var cell: LockCell?
    }

    private struct State {
        var byName: [LockName: Reference] = [:]
        var bySlot: [Int: LockCell] = [:]
    }

    let memory: SlotMemory
    private let state = Guarded(State())

    init(caches: Bool) { memory = caches ? SlotMemory() ?? .none : .none }

    /// The cell of the lock with this name.
    func cell(_ name: LockName) -> LockCell {
        state.withLock { state in
            if let cell = state.byName[name]?.cell { return cell }
            let cell = LockCell(name, in: self)
            state.byName[name] = Reference(cell: cell)
            return cell
        }
    }

    /// Keeps a cell as long as its lock is the last one that was cached under this slot.
    fileprivate func keep(_ cell: LockCell, for slot: Int) {
        // The end of a cell calls `forget`, so it must not come while the state is locked.
        let former = state.withLock { $0.bySlot.updateValue(cell, forKey: slot) }
        withExtendedLifetime(former) {}
    }

    fileprivate func release(_ cell: LockCell, for slot: Int) {
        let former = state.withLock { state in
            state.bySlot[slot] === cell ? state.bySlot.removeValue(forKey: slot) : nil
        }
        withExtendedLifetime(former) {}
    }

    /// Forgets all cached grants before another session begins: a daemon that has lost its state begins with tokens that were
    /// used before.
    func forgetSessions() {
        let all = state.withLock { $0.byName.values.compactMap(\.cell) }
        for cell in all { cell.forgetSession() }
    }

    /// Keeps no cell any more. Without this, the cells and this object would keep each other.
    func releaseAll() {
        let former = state.withLock { state in
            defer { state.bySlot = [:] }
            return state.bySlot
        }
        withExtendedLifetime(former) {}
    }

    fileprivate func forget(_ name: LockName) {
        // A new cell with this name may lose its last user now. It must not end while the state is locked.
        let present = state.withLock { state -> LockCell? in
            let present = state.byName[name]?.cell
            if present == nil { state.byName[name] = nil }
            return present
        }
        withExtendedLifetime(present) {}
    }
}
