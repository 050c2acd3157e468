public import LockVocabulary

/// A lock in a list.
public struct LockSummary: Sendable, Equatable {
    public let name: LockName
    /// The strongest mode of the holders; nil without holders.
    public let mode: LockMode?
    public let holders: Int
    public let waiters: Int
    public let ownerDied: Bool
}

/// A grant in an answer to its session.
public struct GrantSummary: Sendable, Equatable {
    public let mode: LockMode
    public let token: Token
    /// Whether the lock has the mark of a dead writer (G11).
    public let ownerDied: Bool
}

/// One row of a lock's status.
public enum StatusRow: Sendable, Equatable {
    /// A grant, with its age and what is left of its lease.
    case holder(SessionID, LockMode, OwnerID, Token, age: Duration, lease: Duration?, Note)
    /// A waiting request, with its time so far, its timeout, and the grant that it wants to upgrade.
    case waiter(SessionID, LockMode, OwnerID, waited: Duration, timeout: Duration?, Note, upgrades: Token?)
}

/// The position in a lock's status. A list goes on from it, whatever changed in between.
public struct StatusCursor: Sendable {
    enum Row: Sendable {
        case upgrade
        case contenders
        case readers
    }

    /// The last grant that was listed, or the row and the number of the last request that was.
    enum Place: Sendable {
        case holders(after: Token, at: Slot<Grant>?)
        case waiters(Row, after: UInt64?, at: Slot<Waiter>?)
        case end
    }

    var place = Place.holders(after: Token(rawValue: 0), at: nil)

    public init() {}

    public var isAtEnd: Bool {
        if case .end = place { return true }
        return false
    }
}

/// Queries, which change nothing.
extension LockTable {
    /// The lock with this name; nil if it is unused.
    public func summary(of name: LockName) -> LockSummary? {
        guard let lock = names.find(name) else { return nil }
        return summary(lock)
    }

    /// Calls the body with the locks that have a name with this prefix after `after`, in the order of the names' bytes, until
    /// it returns false.
    public func forEachLock(prefix: String = "", after: LockName? = nil, _ body: (LockSummary) -> Bool) {
        names.forEach(prefix: prefix, after: after) { body(summary($0)) }
    }

    private func summary(_ lock: Slot<Lock>) -> LockSummary {
        LockSummary(
            name: name(of: lock), mode: locks[lock].mode, holders: Int(locks[lock].holders.count),
            waiters: locks[lock].waiters, ownerDied: locks[lock].ownerDied)
    }

    /// Calls the body with the grants of an owner, the newest first, until it returns false.
    public func forEachGrant(
        of owner: OwnerID, in session: SessionID, _ body: (LockName, Note) -> Bool
    ) {
        guard let owner = findOwner(owner, of: slot(of: session)) else { return }
        var held = owners[owner].grants.walk()
        while let grant = held.next(in: grants) {
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
        guard let lock = names.find(name) else {
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
                    cursor.place = .waiters(.upgrade, after: nil, at: nil)
                    continue
                }
                let record = grants[grant]
                cursor.place = .holders(after: max(after, record.token), at: grant)
                if record.token > after, !body(holder(record, at: now)) { return looked }
            case .waiters(let row, let after, let at):
                guard let waiter = nextWaiter(of: lock, in: row, after: after, at: at) else {
                    cursor.place = Self.rowBehind(row).map { .waiters($0, after: nil, at: nil) } ?? .end
                    continue
                }
                let record = waiters[waiter]
                let isNew = after.map { record.number > $0 } ?? true
                cursor.place = .waiters(row, after: isNew ? record.number : after, at: waiter)
                if isNew, !body(waiting(record, at: now)) { return looked }
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

    private func nextWaiter(
        of lock: Slot<Lock>, in row: StatusCursor.Row, after: UInt64?, at: Slot<Waiter>?
    ) -> Slot<Waiter>? {
        let first: Slot<Waiter>?
        switch row {
        case .upgrade:
            guard let upgrade = locks[lock].upgrade, after.map({ waiters[upgrade].number > $0 }) ?? true
            else { return nil }
            return upgrade
        case .contenders: first = locks[lock].contenders.first
        case .readers: first = locks[lock].readers.first
        }
        guard let after, let at, waiters.reaches(at), waiters[at].lock == lock, waiters[at].upgrades == nil,
            (waiters[at].mode == .read) == (row == .readers), waiters[at].number <= after
        else { return first }
        return waiters[at].rowLinks.next
    }

    private static func rowBehind(_ row: StatusCursor.Row) -> StatusCursor.Row? {
        switch row {
        case .upgrade: .contenders
        case .contenders: .readers
        case .readers: nil
        }
    }

    private func holder(_ record: Grant, at now: Instant) -> StatusRow {
        .holder(
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
