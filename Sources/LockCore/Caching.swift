internal import CSlot
public import LockVocabulary

/// Cached grants: a grant stays with its owner after the release, until another request wants the lock (CSlot/README.md).
///
///               `cache`                         `stopCaching`, and its slot says: held
///  [ PLAIN ] ─────────────▶ [ CACHED, held or not ] ──────────────────────────────▶ [ PLAIN, with a slot ]
///                                  │ `stopCaching`: not held
///                                  ▼
///                               (gone)
///
/// A cached grant counts as held only in what is reported (`isHeld`). Before a rule decides anything about its lock, the grant
/// becomes a plain one or ends:
///
/// 1. A request that conflicts with it, or has to wait on its lock for another reason, ends the caching of all grants of the
///    lock. So a lock with waiting requests has none, and the proofs in README.md know nothing of cached grants.
/// 2. A request of its own owner for its lock ends its caching, and so does each command that changes it.
/// 3. The end of its session does: a writer that held leaves the mark (G11), one that did not leaves none.
///
/// `stopCaching` may be called twice for one grant, with the same result: so a server that goes on from facts (G14) may carry
/// out the same command again.
extension LockTable {
    /// The most cached grants of one lock, which one request takes back together.
    static var cachedOnOneLock: Int { 1_024 }
    /// The most grants with slots, of all sessions. A user gets a share of them, and of the next.
    static var cachedInAll: Int { 65_536 }
    /// The most sessions with slots: the kernel permits a process some 65,530 mappings.
    static var roomsInAll: Int { 16_384 }

    /// A slot as the client has to know it.
    public struct GivenSlot: Sendable, Equatable {
        public let index: Int
        public let generation: UInt64
    }

    /// The number of grants with a slot.
    public var cachedCount: Int { caches.count }

    /// How many places `stopCaching(prefix:at:)` looks at.
    public var cachedBound: Int { Int(caches.bound) }

    /// What the sessions of an account have of the limits on cached grants.
    struct CacheUsage {
        var rooms = 0
        var grants = 0
    }

    private mutating func charge(_ session: Slot<Session>, rooms: Int = 0, cached: Int = 0) {
        cacheUsage[sessions[session].account, default: CacheUsage()].rooms += rooms
        cacheUsage[sessions[session].account, default: CacheUsage()].grants += cached
    }

    /// Whether the account of a session is below its share of a limit. Where it gets a share of all grants, it gets the same
    /// share here.
    private func mayHaveMore(
        _ session: Slot<Session>, _ count: KeyPath<CacheUsage, Int>, of all: Int, atMost limit: Int
    ) -> Bool {
        guard all < limit else { return false }
        guard sessions[session].share.grants == .quarterOfRest else { return true }
        let own = cacheUsage[sessions[session].account]?[keyPath: count] ?? 0
        return own < Portion.quarterOfRest.most(besides: all - own, of: limit)
    }

    // MARK: - Sessions

    /// Whether a session may have slots.
    public func mayHaveSlots(_ session: SessionID) -> Bool {
        !isDraining && mayHaveMore(slot(of: session), \.rooms, of: rooms.count, atMost: Self.roomsInAll)
    }

    /// Gives an open session memory for slots. It is valid until the session is forgotten.
    public mutating func setSlots(_ memory: SlotMemory, of session: SessionID) {
        let slot = slot(of: session)
        if let room = rooms[slot] {
            precondition(room.memory == nil, "the session has slots")
            rooms[slot]?.memory = memory
        } else {
            addRoom(SlotRoom(memory), to: slot)
            sessions[slot].hasSlots = true
            noteFact(.session, slot.raw)
        }
    }

    mutating func addRoom(_ room: SlotRoom, to session: Slot<Session>) {
        rooms[session] = room
        charge(session, rooms: 1)
    }

    mutating func removeRoom(of session: Slot<Session>) {
        if keepsFacts, let room = rooms[session] { leaving.append(room) }
        rooms[session] = nil
        charge(session, rooms: -1)
    }

    /// Whether a session shares memory for slots.
    public func hasSlots(_ session: SessionID) -> Bool { sessions[slot(of: session)].hasSlots }

    /// Whether a session had slots under a former server, and its memory is missing.
    public func missesSlots(_ session: SessionID) -> Bool {
        rooms[slot(of: session)].map { $0.memory == nil } ?? false
    }

    /// Releases the memory of sessions that have ended: their ends are committed, so no later process looks at it.
    @inline(__always)
    public mutating func noteCommitted() {
        if !leaving.isEmpty { leaving.removeAll() }
    }

    // MARK: - Begin

    /// Begins to cache a grant that was just made; nil if that cannot be.
    ///
    /// Only a read or write grant can be cached, without a lease or a mark on its lock, if it is its owner's only grant there.
    public mutating func cache(_ token: Token, on name: LockName, of session: SessionID) -> GivenSlot? {
        let session = slot(of: session)
        guard let memory = rooms[session]?.memory, sessions[session].phase == .open, !isDraining,
            mayHaveMore(session, \.grants, of: caches.count, atMost: Self.cachedInAll), isHalfFree(session),
            let lock = names.look(for: name), !locks[lock].ownerDied, !locks[lock].hasWaiters,
            !locks[lock].isShared,
            let grant = findGrant(token, on: lock), isCacheable(grant),
            locks[lock].holders.count == 1 || held(by: grants[grant].owner, on: lock).count == 1,
            (cachedOn[lock]?.count ?? 0) < Self.cachedOnOneLock,
            let index = rooms[session]?.free ?? takeBackOne(of: session, sparing: lock)
        else { return nil }
        let generation = prwlock_slot_generation(token.rawValue)
        prwlock_slot_give(memory.word(index), generation)
        let cache = caches.insert(CachedGrant(grant: grant, index: index))
        link(cache, grant, session)
        noteFact(.grant, grant.raw)
        return GivenSlot(index: Int(index), generation: generation)
    }

    private func isCacheable(_ grant: Slot<Grant>) -> Bool {
        let record = grants[grant]
        return record.mode != .update && record.lease.duration == nil && !record.isReleasedAtEnd
            && record.cache == nil
    }

    /// Whether at most half of each limit on grants and locks is used: what is cached must not keep others out.
    private func isHalfFree(_ session: Slot<Session>) -> Bool {
        let all = grants.count + waiters.count - fleetRecords
        let own = accounts[sessions[session].account.rawValue].grantsToBe
        return 2 * sessions[session].usage.grantsToBe <= limits.sessionGrants && 2 * all <= limits.grants
            && 2 * locks.count <= limits.locks
            && own <= sessions[session].share.grants.most(besides: all - own, of: limits.grants) / 2
    }

    /// Enters a cached grant, or one that was, into its lock and its session. Returns false if its slot is taken.
    @discardableResult
    mutating func link(_ cache: Slot<CachedGrant>, _ grant: Slot<Grant>, _ session: Slot<Session>) -> Bool {
        grants[grant].cache = cache
        charge(session, cached: 1)
        if !caches[cache].isWanted {
            let lock = grants[grant].lock
            cachedOn[lock, default: LinkedList()].append(cache, in: &caches)
            locks[lock].hasCached = true
        }
        return rooms[session]?.set(caches[cache].index, to: cache) ?? false
    }

    // MARK: - Look

    /// Whether a grant is held: one that is cached may not be.
    func isHeld(_ grant: Slot<Grant>) -> Bool {
        guard let cache = grants[grant].cache, !caches[cache].isWanted else { return true }
        guard let word = word(of: cache) else { return true }
        return prwlock_slot_is_held(word, generation(of: cache))
    }

    /// How many grants of a lock are cached and not held.
    func idleCount(on lock: Slot<Lock>) -> Int {
        var count = 0
        cachedOn[lock]?.forEach(in: caches) { if !isHeld(caches[$0].grant) { count += 1 } }
        return count
    }

    private func word(of cache: Slot<CachedGrant>) -> UnsafeMutablePointer<UInt64>? {
        let session = owners[grants[caches[cache].grant].owner].session
        return rooms[session]?.memory?.word(caches[cache].index)
    }

    private func generation(of cache: Slot<CachedGrant>) -> UInt64 {
        prwlock_slot_generation(grants[caches[cache].grant].token.rawValue)
    }

    /// The grant of a session that a choice selects, for a command that changes it: it ends the caching.
    mutating func chooseHeldGrant(
        _ name: LockName, _ choice: GrantChoice, of session: SessionID
    ) -> Result<Slot<Grant>, Refusal> {
        endIdle(name, choice, of: session)
        let chosen = chooseGrant(name, choice, of: session)
        guard case .success(let grant) = chosen, grants[grant].cache != nil else { return chosen }
        let lock = grants[grant].lock
        if stopCaching(grant) { return chosen }
        reconcile(lock)
        return .failure(.notHeld)
    }

    /// Ends what is cached and not held, if a choice without a token could mean it: the session means what it holds.
    mutating func endIdle(_ name: LockName, _ choice: GrantChoice, of session: SessionID) {
        let session = slot(of: session)
        guard choice.token == nil, sessions[session].hasSlots, let room = rooms[session],
            let lock = names.look(for: name), locks[lock].hasCached
        else { return }
        for cache in room.used {
            let grant = caches[cache].grant
            guard grants[grant].lock == lock, !isHeld(grant) else { continue }
            if choice.owner == nil || choice.owner == id(of: grants[grant].owner) { _ = stopCaching(grant) }
        }
        reconcile(lock)
    }

    // MARK: - End

    /// Ends the caching of a grant. Returns whether the grant is held, and goes on as a plain one; otherwise it has ended, and
    /// the caller reconciles the lock.
    mutating func stopCaching(_ grant: Slot<Grant>, keepingOwner: Bool = false) -> Bool {
        guard let cache = grants[grant].cache, !caches[cache].isWanted else { return true }
        let isHeld = word(of: cache).map { prwlock_slot_want($0, generation(of: cache)) } ?? true
        noteSearched(1)
        unlink(cache, from: grants[grant].lock)
        noteFact(.grant, grant.raw)
        if !isHeld { endGrant(grant, cleanly: true, keepingOwner: keepingOwner) }
        return isHeld
    }

    /// Ends the caching of all grants of a lock. The lock stays, even if it is unused.
    mutating func stopCaching(on lock: Slot<Lock>) {
        while let cache = cachedOn[lock]?.first { _ = stopCaching(caches[cache].grant) }
    }

    /// Ends the caching that a new request for a lock must not meet. The lock stays, even if it is unused.
    mutating func resolveCached(
        on lock: Slot<Lock>, for mode: LockMode, of id: OwnerID, in session: Slot<Session>
    ) {
        if mode.conflicts(with: .read) || locks[lock].exclusiveMode == .write {
            return stopCaching(on: lock)
        }
        guard let room = rooms[session], let owner = findOwner(id, of: session) else { return }
        for cache in room.used {
            let grant = caches[cache].grant
            if grants[grant].lock == lock, grants[grant].owner == owner { _ = stopCaching(grant) }
        }
    }

    /// Frees the slot of a grant that ends. Its client can no more enter, and its last `leave` fails.
    mutating func endCache(of grant: Slot<Grant>) {
        guard let cache = grants[grant].cache else { return }
        if let word = word(of: cache) { _ = prwlock_slot_want(word, generation(of: cache)) }
        unlink(cache, from: grants[grant].lock)
        let session = owners[grants[grant].owner].session
        _ = rooms[session]?.set(caches[cache].index, to: nil)
        charge(session, cached: -1)
        // The word may have the generation of a former token, so it does not tell whether the grant is held (G10).
        if keepsFacts {
            rooms[session]?.rest(caches[cache].index)
            resting.append(session)
        }
        grants[grant].cache = nil
        caches.remove(cache)
    }

    /// Removes a cached grant from those of its lock.
    private mutating func unlink(_ cache: Slot<CachedGrant>, from lock: Slot<Lock>) {
        guard !caches[cache].isWanted else { return }
        caches[cache].isWanted = true
        cachedOn[lock]?.remove(cache, in: &caches)
        guard cachedOn[lock]?.isEmpty ?? true else { return }
        cachedOn[lock] = nil
        locks[lock].hasCached = false
    }

    /// Ends the caching of all grants, or of those on names with a prefix. Returns how many there were.
    @discardableResult
    public mutating func stopCaching(prefix: String = "", at now: Instant) -> Int {
        advance(to: now)
        var touched: [Slot<Lock>] = []
        for raw in 0..<caches.bound {
            let cache = caches[Slot(raw: raw)]
            guard !cache.isVacant, !cache.isWanted else { continue }
            let lock = grants[cache.grant].lock
            guard prefix.isEmpty || name(of: lock).text.utf8.starts(with: prefix.utf8) else { continue }
            touched.append(lock)
            _ = stopCaching(cache.grant)
            // The end of the last cached grant gives the slab's memory back.
            guard caches.count > 0 else { break }
        }
        reconcile(touched)
        return touched.count
    }

    /// Takes back what a session does not hold, because it has as many grants as it may have. Returns whether it may now have
    /// one more.
    mutating func takeBackIdle(of session: Slot<Session>) -> Bool {
        guard let room = rooms[session] else { return false }
        for cache in room.used where !isHeld(caches[cache].grant) {
            let lock = grants[caches[cache].grant].lock
            _ = stopCaching(caches[cache].grant)
            reconcile(lock)
        }
        return limitOnOneMoreGrant(of: session) == nil
    }

    /// Takes back one of a session's slots. Looks at a few, and disturbs none that is held, if it can be helped.
    private mutating func takeBackOne(of session: Slot<Session>, sparing spared: Slot<Lock>) -> UInt8? {
        for cache in rooms[session]?.takeTurn(of: 8) ?? [] {
            let (grant, index) = (caches[cache].grant, caches[cache].index)
            let lock = grants[grant].lock
            guard lock != spared, !caches[cache].isWanted, !isHeld(grant) else { continue }
            guard !stopCaching(grant) else { continue }
            reconcile(lock)
            return index
        }
        return nil
    }
}

/// The invariants of cached grants.
extension LockTable {
    func checkCached() throws(BrokenInvariant) {
        var (seen, listed) = (0, 0)
        for raw in 0..<caches.bound where !caches[Slot(raw: raw)].isVacant {
            let slot = Slot<CachedGrant>(raw: raw)
            let cache = caches[slot]
            seen += 1
            let session = owners[grants[cache.grant].owner].session
            guard grants[cache.grant].cache == slot, let room = rooms[session], room.used.contains(slot)
            else { throw BrokenInvariant(description: "invariant 14: a slot is not where its grant is") }
            if cache.isWanted { continue }
            listed += 1
            let (grant, lock) = (grants[cache.grant], locks[grants[cache.grant].lock])
            guard grant.mode != .update, grant.lease.duration == nil, !lock.ownerDied, !lock.hasWaiters
            else { throw BrokenInvariant(description: "invariant 14: a grant must not be cached") }
        }
        var (onLocks, inRooms) = (0, 0)
        for (lock, list) in cachedOn {
            onLocks += Int(list.count)
            guard locks[lock].hasCached, list.isSound(in: caches), !list.isEmpty else {
                throw BrokenInvariant(description: "invariant 14: cached grants are linked wrongly")
            }
        }
        for room in rooms.values { inRooms += room.used.count }
        let usage = cacheUsage.values.reduce(into: CacheUsage()) {
            $0.rooms += $1.rooms
            $0.grants += $1.grants
        }
        guard usage.rooms == rooms.count, usage.grants == caches.count else {
            throw BrokenInvariant(description: "invariant 14: an account's cached grants are miscounted")
        }
        guard seen == caches.count, inRooms == seen, onLocks == listed else {
            throw BrokenInvariant(description: "invariant 14: cached grants are miscounted")
        }
    }
}
