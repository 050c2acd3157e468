public import LockVocabulary

/// A lock in a list.
public struct LockSummary: Sendable, Equatable {
    public let name: LockName
    /// The strongest mode of the holders; nil without holders.
    public let mode: LockMode?
    public let holders: Int
    public let waiters: Int
    /// The mark of a dead writer (G11).
    public let mark: Mark?
    /// How many grants are cached and not held. They are not among the holders.
    public let cached: Int
    /// How many slots were looked at for that.
    public var looked = 0

    public var ownerDied: Bool { mark != nil }
}

/// A grant in an answer to its session.
public struct GrantSummary: Sendable, Equatable {
    public let mode: LockMode
    public let token: Token
    /// The mark of a dead writer on the lock (G11).
    public let mark: Mark?

    public var ownerDied: Bool { mark != nil }
}

/// One row of a lock's status.
public enum StatusRow: Sendable, Equatable {
    /// A grant, with its age and what is left of its lease.
    case holder(SessionID, LockMode, OwnerID, Token, age: Duration, lease: Duration?, Note)
    /// A grant that is cached and not held, with the time since it was granted.
    case cached(SessionID, LockMode, OwnerID, Token, age: Duration, Note)
    /// A waiting request, with its time so far, its timeout, and the grant that it wants to upgrade.
    case waiter(SessionID, LockMode, OwnerID, waited: Duration, timeout: Duration?, Note, upgrades: Token?)
}

/// The position in a lock's status. A list goes on from it, whatever changed in between.
public struct StatusCursor: Sendable {
    /// The last request of a row that was listed.
    struct InRow: Sendable {
        var after: Waiter.Order?
        var at: Slot<Waiter>?
    }

    /// The last grant that was listed, or the last request of each row that was.
    enum Place: Sendable {
        case holders(after: Token, at: Slot<Grant>?)
        case upgrade
        case waiters(contenders: InRow, readers: InRow)
        case end
    }

    var place = Place.holders(after: Token(rawValue: 0), at: nil)

    public init() {}

    /// The place and the number of a request that was listed last.
    public struct Passed: Sendable, Equatable {
        public var place: UInt64
        public var number: UInt64

        public init(place: UInt64, number: UInt64) {
            self.place = place
            self.number = number
        }
    }

    /// The cursor without the slots that make it fast.
    public enum Position: Sendable, Equatable {
        case holders(after: Token)
        case upgrade
        case waiters(contenders: Passed?, readers: Passed?)
        case end
    }

    public init(at position: Position) {
        func row(_ passed: Passed?) -> InRow {
            InRow(after: passed.map { Waiter.Order(place: $0.place, number: $0.number) })
        }
        place =
            switch position {
            case .holders(let token): .holders(after: token, at: nil)
            case .upgrade: .upgrade
            case .waiters(let contenders, let readers):
                .waiters(contenders: row(contenders), readers: row(readers))
            case .end: .end
            }
    }

    public var position: Position {
        func passed(_ row: InRow) -> Passed? {
            row.after.map { Passed(place: $0.place, number: $0.number) }
        }
        return switch place {
        case .holders(let token, _): .holders(after: token)
        case .upgrade: .upgrade
        case .waiters(let contenders, let readers):
            .waiters(contenders: passed(contenders), readers: passed(readers))
        case .end: .end
        }
    }

    /// Goes to the waiting requests, if the walk is still among the holders.
    public mutating func passHolders() { if case .holders = place { place = .upgrade } }

    /// Goes to the end.
    public mutating func finish() { place = .end }

    public var isAtEnd: Bool {
        if case .end = place { return true }
        return false
    }
}

/// Queries, which change nothing.
extension LockTable {
    /// The lock with this name; nil if it is unused.
    public func summary(of name: LockName) -> LockSummary? {
        guard let lock = names.look(for: name) else { return nil }
        return summary(lock)
    }

    /// Calls the body with the locks that have a name with this prefix after `after`, in the order of the names' bytes, until
    /// it returns false.
    public func forEachLock(prefix: String = "", after: LockName? = nil, _ body: (LockSummary) -> Bool) {
        names.forEach(prefix: prefix, after: after) { body(summary($0)) }
    }

    private func summary(_ lock: Slot<Lock>) -> LockSummary {
        let cached = locks[lock].hasCached ? idleCount(on: lock) : 0
        let holders = Int(locks[lock].holders.count - locks[lock].fleetHolders) - cached
        // Beside what the fleet holds, sessions only read.
        let mode = locks[lock].sharing.contains(.holds) ? .read : locks[lock].exclusiveMode
        return LockSummary(
            name: name(of: lock), mode: holders == 0 ? nil : mode, holders: holders,
            waiters: sessionWaiters(of: lock), mark: locks[lock].mark, cached: cached,
            looked: locks[lock].hasCached ? Int(cachedOn[lock]?.count ?? 0) : 0)
    }

    /// Calls the body with the grants that an owner holds, the newest first, until it returns false.
    public func forEachGrant(
        of owner: OwnerID, in session: SessionID, _ body: (LockName, Note) -> Bool
    ) {
        guard let owner = findOwner(owner, of: slot(of: session)) else { return }
        var held = owners[owner].grants.walk()
        while let grant = held.next(in: grants) {
            guard isHeld(grant) else { continue }
            guard body(name(of: grants[grant].lock), note(of: grants[grant])) else { return }
        }
    }

    private func note(of grant: Grant) -> Note { grant.note.map { notes[$0] } ?? .none }

    /// Calls the body with the next holders of a lock, in the order of their grants, and then with its waiting requests, in
    /// the order of service, until it returns false or `budget` records are examined.
    ///
    /// Returns the number of records examined. If the record at the cursor has gone, the walk passes over the records
    /// before it again, within the same budget.
    @discardableResult
    public func forEachStatusRow(
        on name: LockName, from cursor: inout StatusCursor, budget: Int, at now: Instant,
        _ body: (StatusRow) -> Bool
    ) -> Int {
        guard let lock = names.look(for: name) else {
            cursor.place = .end
            return 0
        }
        var looked = 0
        while looked < budget {
            looked += 1
            switch cursor.place {
            case .end: return looked
            case .holders(let after, let at):
                guard let grant = nextHolder(of: lock, after: after, at: at) else {
                    cursor.place = .upgrade
                    continue
                }
                let record = grants[grant]
                cursor.place = .holders(after: max(after, record.token), at: grant)
                if record.token > after, !body(row(of: grant, record, at: now)) { return looked }
            case .upgrade:
                cursor.place = .waiters(contenders: StatusCursor.InRow(), readers: StatusCursor.InRow())
                if let upgrade = locks[lock].upgrade, !isFleet(upgrade),
                    !body(waiting(waiters[upgrade], at: now))
                {
                    return looked
                }
            case .waiters(var contenders, var readers):
                let contender = next(after: contenders, isReader: false, of: lock)
                let reader = next(after: readers, isReader: true, of: lock)
                let row: StatusRow?
                if let reader, isNext(reader, before: contender, contenders) {
                    row = pass(reader, &readers, at: now)
                } else if let contender {
                    row = pass(contender, &contenders, at: now)
                } else {
                    cursor.place = .end
                    return looked
                }
                cursor.place = .waiters(contenders: contenders, readers: readers)
                if let row, !body(row) { return looked }
            }
        }
        return looked
    }

    /// The holder after the one at the cursor, or the first holder if that one has gone.
    private func nextHolder(of lock: Slot<Lock>, after: Token, at: Slot<Grant>?) -> Slot<Grant>? {
        guard let at, grants.reaches(at), grants[at].lock == lock, grants[at].token <= after
        else { return locks[lock].holders.first }
        return grants[at].lockLinks.next
    }

    /// The request after the one at a cursor, or the first of its row if that one has gone.
    private func next(
        after cursor: StatusCursor.InRow, isReader: Bool, of lock: Slot<Lock>
    ) -> Slot<Waiter>? {
        guard let after = cursor.after, let at = cursor.at, waiters.reaches(at), waiters[at].lock == lock,
            waiters[at].upgrades == nil, (waiters[at].mode == .read) == isReader, waiters[at].order <= after
        else { return isReader ? locks[lock].readers.first : locks[lock].contenders.first }
        return waiters[at].rowLinks.next
    }

    /// Whether the next reader is served before the next contender.
    private func isNext(
        _ reader: Slot<Waiter>, before contender: Slot<Waiter>?, _ contenders: StatusCursor.InRow
    ) -> Bool {
        guard let contender else { return true }
        // First pass over a contender that was listed.
        if let after = contenders.after, waiters[contender].order <= after { return false }
        return waiters[reader].goesBefore(waiters[contender])
    }

    /// Passes over a request. Returns its row unless it was listed before.
    private func pass(
        _ waiter: Slot<Waiter>, _ cursor: inout StatusCursor.InRow, at now: Instant
    ) -> StatusRow? {
        let record = waiters[waiter]
        cursor.at = waiter
        if let after = cursor.after, record.order <= after { return nil }
        cursor.after = record.order
        guard !isFleet(waiter) else { return nil }
        return waiting(record, at: now)
    }

    private func row(of grant: Slot<Grant>, _ record: Grant, at now: Instant) -> StatusRow {
        guard isHeld(grant) else {
            return .cached(
                id(of: owners[record.owner].session), record.mode, id(of: record.owner), record.token,
                age: record.since.duration(to: now), note(of: record))
        }
        return .holder(
            id(of: owners[record.owner].session), record.mode, id(of: record.owner), record.token,
            age: record.since.duration(to: now),
            lease: record.deadline.map { now.duration(to: agenda.due($0, of: account(of: record.owner))) },
            note(of: record))
    }

    private func waiting(_ record: Waiter, at now: Instant) -> StatusRow {
        .waiter(
            id(of: owners[record.owner].session), record.mode, id(of: record.owner),
            waited: record.since.duration(to: now), timeout: record.timeout, record.note,
            upgrades: record.upgrades.map { grants[$0].token })
    }
}
