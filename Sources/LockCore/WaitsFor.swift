import LockVocabulary

/// A search of the waits-for graph: would one more waiting request close a circle of owners (G8)?
///
/// An owner waits for the holders that conflict with its requests, and for the conflicting requests ahead of them. A new
/// request adds edges from its owner, and edges to its owner from the requests that it passes. No other event joins two
/// owners that had no path before, but that a reader loses patience (README.md proves this). So it is enough to search when a
/// request is about to wait or a reader has lost patience, and only for circles through its owner.
///
/// The search goes backwards, from an owner to those that wait for it. So it examines waiting requests and the grants of their
/// owners, but not the holders that wait for nothing, which may be thousands. Of a row of contenders it follows the first,
/// since each of the others waits for the one before it.
///
/// Every examined record is charged to `budget`, which bounds the search.
struct WaitsFor: ~Copyable {
    enum Finding {
        case none
        case circle(Circle)
        /// The search exceeded its budget.
        case tooFar
    }

    /// The new request, which is not in the table yet, or the waiting reader that has just lost patience.
    struct Request {
        let owner: Slot<Owner>?
        let asking: Circle.Hop
        let lock: Slot<Lock>
        let mode: LockMode
        let upgrades: Slot<Grant>?
        /// The number of the reader; nil for a new request.
        var reader: UInt64?
        /// Whether it goes before all contenders.
        var isFirst = false

        var hasLostPatience: Bool { reader != nil }
    }

    /// An edge of the path back: the lock on which an owner waits, and the owner that it waits for; nil is the asking owner.
    private struct Step {
        let lock: Slot<Lock>
        let next: Slot<Owner>?
        /// The number of the owner's request.
        var number: UInt64 = 0
    }

    private let request: Request
    private var steps = SlotMap<Owner, Step>(vacant: Step(lock: .nowhere, next: nil))
    private var frontier: [Slot<Owner>] = []
    /// The last reader, and the last contender, of a lock that are still to be examined, where the search has begun with them.
    private var readersLeft = SlotMap<Lock, Slot<Waiter>?>(vacant: nil)
    private var contendersLeft = SlotMap<Lock, Slot<Waiter>?>(vacant: nil)
    private(set) var budget: Int
    /// Whether records may be over that are not removed yet.
    private let isBehind: Bool
    /// The last edge of a circle through another waiting request of the asking owner.
    private var closing: Step?

    init(_ request: Request, budget: Int, isBehind: Bool) {
        self.request = request
        self.isBehind = isBehind
        self.budget = budget
    }

    mutating func search(_ table: borrowing LockTable) -> Finding {
        if let owner = request.owner, isBefore(owner, table) {
            return .circle(Circle(hops: [request.asking]))
        }
        addWaitersForRequest(table)
        if let owner = request.owner { addWaiters(for: owner, as: nil, table) }
        while closing == nil, budget > 0, let owner = frontier.popLast() {
            if isBefore(owner, table) {
                return .circle(circle(from: Step(lock: request.lock, next: owner), table))
            }
            addWaiters(for: owner, as: owner, table)
        }
        if let closing { return .circle(circle(from: closing, table)) }
        return budget > 0 ? .none : .tooFar
    }

    // MARK: - Edges

    /// Whether the new request would wait for this owner.
    private func isBefore(_ owner: Slot<Owner>, _ table: borrowing LockTable) -> Bool {
        // What a reader in the table waits for is an edge as any other.
        guard !request.hasLostPatience else { return false }
        switch request.mode {
        case .write:
            // The grant to upgrade does not block the request.
            let own: UInt32 = owner == request.owner && request.upgrades != nil ? 1 : 0
            if table.held(by: owner, on: request.lock).count > own { return true }
        case .read, .update:
            if table.holdsInConflict(owner, request.lock, request.mode) { return true }
        }
        guard request.upgrades == nil, table.waits[LockTable.key(owner, request.lock)] != nil
        else { return false }
        return table.owners[owner].waiters.contains(in: table.waiters) { waiter in
            let record = table.waiters[waiter]
            // A waiting reader is ahead of no request that conflicts with it, unless it is impatient.
            return record.lock == request.lock && (!request.isFirst || record.upgrades != nil)
                && (record.mode != .read || isImpatient(record, table))
                && record.mode.conflicts(with: request.mode)
        }
    }

    /// Adds the owners of the waiting requests that the new request would pass.
    private mutating func addWaitersForRequest(_ table: borrowing LockTable) {
        let passesContenders = request.upgrades != nil || request.isFirst
        if request.mode == .write {
            addReaders(of: request.lock, behind: passesContenders ? 0 : .max, for: nil, table)
        }
        if passesContenders {
            addContender(table.locks[request.lock].contenders.first, for: nil, table)
        }
    }

    /// Adds the owners that wait for a grant or for a request of this owner.
    private mutating func addWaiters(
        for owner: Slot<Owner>, as next: Slot<Owner>?, _ table: borrowing LockTable
    ) {
        var grants = table.owners[owner].grants.walk()
        while budget > 0, let grant = grants.next(in: table.grants) {
            budget -= 1
            let lock = table.grants[grant].lock
            if table.locks[lock].hasWaiters, !isBehind || !table.isOver(grant) {
                addWaiters(forGrant: grant, on: lock, as: next, table)
            }
        }
        var waiters = table.owners[owner].waiters.walk()
        while budget > 0, let waiter = waiters.next(in: table.waiters) {
            budget -= 1
            if isOver(waiter, table) { continue }
            // Reads fields, because a copy of the record counts references to its strings.
            let lock = table.waiters[waiter].lock
            let mode = table.waiters[waiter].mode
            if mode == .read {
                if isImpatient(table.waiters[waiter], table) {
                    addWriters(of: lock, behind: table.waiters[waiter].place, for: next, table)
                }
                continue
            }
            let isUpgrade = table.waiters[waiter].upgrades != nil
            let behind =
                isUpgrade ? table.locks[lock].contenders.first : table.waiters[waiter].rowLinks.next
            addContender(behind, for: next, table)
            if mode == .write {
                addReaders(
                    of: lock, behind: isUpgrade ? 0 : table.waiters[waiter].place, for: next, table)
            }
        }
    }

    private mutating func addWaiters(
        forGrant grant: Slot<Grant>, on lock: Slot<Lock>, as next: Slot<Owner>?,
        _ table: borrowing LockTable
    ) {
        if let upgrade = table.locks[lock].upgrade, table.waiters[upgrade].upgrades != grant {
            add(upgrade, for: next, table)
        }
        let contenders = table.locks[lock].contenders
        switch table.grants[grant].mode {
        case .read: add(firstWriter(of: contenders, table), for: next, table)
        case .update: addContender(contenders.first, for: next, table)
        case .write:
            addReaders(of: lock, behind: 0, for: next, table)
            addContender(contenders.first, for: next, table)
        }
    }

    private mutating func firstWriter(
        of contenders: LinkedList<Waiter.InRow>, _ table: borrowing LockTable
    ) -> Slot<Waiter>? {
        var left = contenders.first
        while budget > 0, let contender = left {
            if table.waiters[contender].mode == .write, !isOver(contender, table) { return contender }
            budget -= 1
            left = table.waiters[contender].rowLinks.next
        }
        return nil
    }

    /// Adds the owners of the readers that wait behind a place: the patient ones, and the impatient ones with a later place.
    ///
    /// Each reader of a lock is added once: the walk goes backwards, and a later call goes on with it.
    private mutating func addReaders(
        of lock: Slot<Lock>, behind place: UInt64, for next: Slot<Owner>?, _ table: borrowing LockTable
    ) {
        guard !table.locks[lock].readers.isEmpty else { return }
        var left = readersLeft[lock] ?? table.locks[lock].readers.last
        while budget > 0, let reader = left {
            if isImpatient(table.waiters[reader], table), table.waiters[reader].place < place { break }
            if !willSharePlace(table.waiters[reader]) { add(reader, for: next, table) }
            left = table.waiters[reader].rowLinks.previous
        }
        readersLeft.set(lock, to: left)
    }

    /// Whether a reader goes before the writers behind its place.
    ///
    /// A new request finds each reader that has waited for so long to be impatient. A reader that loses patience
    /// finds those so that came before it: none is refused for the circle of a later one.
    private func isImpatient(_ reader: Waiter, _ table: borrowing LockTable) -> Bool {
        if let number = request.reader, reader.number > number { return reader.isImpatient }
        return table.isImpatient(reader)
    }

    /// Whether this reader gets the place of the reader that has lost patience, if that one is not refused.
    private func willSharePlace(_ reader: Waiter) -> Bool {
        request.hasLostPatience && !reader.isImpatient && reader.owner == request.owner
            && reader.lock == request.lock
    }

    /// Adds the owners of the writers that wait behind a place. The first of them is enough, as each of the others waits for
    /// the one before it.
    private mutating func addWriters(
        of lock: Slot<Lock>, behind place: UInt64, for next: Slot<Owner>?, _ table: borrowing LockTable
    ) {
        var left = contendersLeft[lock] ?? table.locks[lock].contenders.last
        var writer: Slot<Waiter>?
        while budget > 0, let contender = left, table.waiters[contender].place > place {
            budget -= 1
            if table.waiters[contender].mode == .write, !isOver(contender, table) { writer = contender }
            left = table.waiters[contender].rowLinks.previous
        }
        contendersLeft.set(lock, to: left)
        add(writer, for: next, table)
    }

    /// Adds a contender, or the first one behind it that is not over.
    private mutating func addContender(
        _ first: Slot<Waiter>?, for next: Slot<Owner>?, _ table: borrowing LockTable
    ) {
        var contender = first
        while budget > 0, let over = contender, isOver(over, table) {
            budget -= 1
            contender = table.waiters[over].rowLinks.next
        }
        add(contender, for: next, table)
    }

    /// Whether a request that is not removed yet waits for nothing any more.
    private func isOver(_ waiter: Slot<Waiter>, _ table: borrowing LockTable) -> Bool {
        isBehind && table.isOver(waiter)
    }

    private mutating func add(_ waiter: Slot<Waiter>?, for next: Slot<Owner>?, _ table: borrowing LockTable) {
        guard let waiter else { return }
        budget -= 1
        if isOver(waiter, table) { return }
        let owner = table.waiters[waiter].owner
        let step = Step(
            lock: table.waiters[waiter].lock, next: next, number: table.waiters[waiter].number)
        if owner == request.owner {
            closing = closing ?? step
        } else if steps[owner] == nil {
            steps.set(owner, to: step)
            frontier.append(owner)
        }
    }

    // MARK: - The fleet

    /// Calls the body with each request of the fleet that waits, over owners of this host, for the asking owner, and with the
    /// requests on the way to it. The asking owner, which is the fleet's for one lock, may wait for itself, also with a request
    /// that it has put off, as it would close this circle.
    mutating func reach(
        _ table: borrowing LockTable, isDeferred: Bool,
        _ body: (Slot<Owner>, [(lock: Slot<Lock>, number: UInt64)]) -> Void
    ) {
        guard let start = request.owner else { return }
        addWaiters(for: start, as: nil, table)
        while budget > 0, let owner = frontier.popLast() {
            if table.isFleet(owner) { body(owner, path(to: steps[owner]?.next)) }
            if isDeferred, isBefore(owner, table) {
                closing = closing ?? Step(lock: request.lock, next: owner)
            }
            addWaiters(for: owner, as: owner, table)
        }
        if let closing { body(start, path(to: closing.next)) }
    }

    /// The requests on the way from an owner to the asking one.
    private func path(to first: Slot<Owner>?) -> [(lock: Slot<Lock>, number: UInt64)] {
        var path: [(lock: Slot<Lock>, number: UInt64)] = []
        var next = first
        while let owner = next, let step = steps[owner] {
            path.append((step.lock, step.number))
            next = step.next
        }
        return path
    }

    // MARK: - The circle

    private func circle(from first: Step, _ table: borrowing LockTable) -> Circle {
        var hops = [
            Circle.Hop(
                session: request.asking.session, owner: request.asking.owner,
                lock: table.name(of: first.lock))
        ]
        var next = first.next
        while let owner = next, let step = steps[owner] {
            hops.append(table.hop(owner, step.lock))
            next = step.next
        }
        return Circle(hops: hops)
    }
}

extension LockTable {
    func circleOfOne(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> Circle {
        Circle(hops: [hop(owner, lock)])
    }

    mutating func searchCircle(
        closedBy request: Acquisition, on lock: Slot<Lock>, upgrading grant: Slot<Grant>?,
        owner: Slot<Owner>?,
        of session: Slot<Session>
    ) -> WaitsFor.Finding {
        if owner == nil, request.mode != .write || locks[lock].readers.isEmpty { return .none }
        // It shares the place of a request of the same owner, and so every edge.
        if let owner, joinsImpatient(request.mode, owner, lock) { return .none }
        let asking = Circle.Hop(session: id(of: session), owner: request.owner, lock: name(of: lock))
        return searchCircle(
            closedBy: WaitsFor.Request(
                owner: owner, asking: asking, lock: lock, mode: request.mode, upgrades: grant))
    }

    mutating func searchCircle(closedBy request: WaitsFor.Request) -> WaitsFor.Finding {
        var search = WaitsFor(request, budget: limits.searchSteps, isBehind: isBehind)
        let finding = search.search(self)
        noteSearched(limits.searchSteps - search.budget)
        return finding
    }

    /// Searches for a circle through the owner of a waiting reader that has just lost patience.
    func searchCircle(around reader: Slot<Waiter>) -> (WaitsFor.Finding, steps: Int) {
        let owner = waiters[reader].owner
        // With no other request, the owner waits only for what the writers behind it wait for as well.
        guard owners[owner].waiters.count > 1 else { return (.none, 0) }
        let lock = waiters[reader].lock
        var search = WaitsFor(
            WaitsFor.Request(
                owner: owner, asking: hop(owner, lock), lock: lock, mode: .read, upgrades: nil,
                reader: waiters[reader].number),
            budget: limits.searchSteps, isBehind: isBehind)
        let finding = search.search(self)
        return (finding, limits.searchSteps - search.budget)
    }

    func hop(_ owner: Slot<Owner>, _ lock: Slot<Lock>) -> Circle.Hop {
        Circle.Hop(session: id(of: owners[owner].session), owner: id(of: owner), lock: name(of: lock))
    }
}
