public import LockVocabulary

/// One piece of a table's state, from which a table is built again (`LockTable.restore`).
///
/// The facts hold what cannot be derived: no index, no count, no order that follows from numbers. So a fact changes only if the
/// record that it describes does, and few facts change with each command.
public enum Fact: Sendable, Equatable {
    case counters(Counters)
    case session(Session)
    case grant(Grant)
    case waiter(Waiter)
    case mark(Mark)

    public var kind: FactKey.Kind {
        switch self {
        case .counters: .counters
        case .session: .session
        case .grant: .grant
        case .waiter: .waiter
        case .mark: .mark
        }
    }

    /// What belongs to the whole table. Its slot is 0.
    public struct Counters: Sendable, Equatable {
        public var nextToken: Token
        public var nextNumber: UInt64
        public var nextSerial: UInt32
        public var nextMark: UInt64
        /// The end of the grace; nil when it is over.
        public var graceEnd: Instant?
        /// Whether locks are still to be opened after the grace.
        public var isOpening: Bool
        /// What a table with shared names has besides; nil before the first shared lock.
        public var fleet: Fleet?

        /// The fleet's session, which is no fact of its own, and the tokens of shared locks.
        public struct Fleet: Sendable, Equatable {
            public var slot: UInt32
            public var serial: UInt32
            public var nextToken: Token

            public init(slot: UInt32, serial: UInt32, nextToken: Token) {
                self.slot = slot
                self.serial = serial
                self.nextToken = nextToken
            }
        }

        public init(
            nextToken: Token, nextNumber: UInt64, nextSerial: UInt32, nextMark: UInt64, graceEnd: Instant?,
            isOpening: Bool
        ) {
            self.nextToken = nextToken
            self.nextNumber = nextNumber
            self.nextSerial = nextSerial
            self.nextMark = nextMark
            self.graceEnd = graceEnd
            self.isOpening = isOpening
        }
    }

    /// A session, at its slot.
    public struct Session: Sendable, Equatable {
        public var serial: UInt32
        public var account: AccountID
        public var wantsRecall = false
        public var hasReleaseAtEnd = false
        /// Whether it shares memory for cached grants.
        public var hasSlots = false
        public var phase = Phase.open

        public enum Phase: Sendable, Equatable {
            case open
            case ending
            /// Its end is carried out; what is to be reported is nil once all that it had is removed.
            case ended(Report?)
        }

        /// What is to be reported when the session is taken apart.
        public struct Report: Sendable, Equatable {
            public var wasKilled: Bool
            public var isForgotten: Bool
            public var lost: Int
            public var example: Example?

            public init(wasKilled: Bool, isForgotten: Bool, lost: Int, example: Example?) {
                self.wasKilled = wasKilled
                self.isForgotten = isForgotten
                self.lost = lost
                self.example = example
            }
        }

        /// A grant that ended without a release.
        public struct Example: Sendable, Equatable {
            public var name: LockName
            public var mode: LockMode
            public var token: Token

            public init(name: LockName, mode: LockMode, token: Token) {
                self.name = name
                self.mode = mode
                self.token = token
            }
        }

        public init(serial: UInt32, account: AccountID) {
            self.serial = serial
            self.account = account
        }
    }

    /// A grant, at its slot. That of the fleet has the token 0.
    public struct Grant: Sendable, Equatable {
        public var lock: LockName
        /// The slot of its session.
        public var session: UInt32
        public var owner: OwnerID
        public var token: Token
        public var since: Instant
        public var mode: LockMode
        public var lease: TimeLimit
        /// When its lease ends; nil for never.
        public var due: Instant?
        public var note: Note
        public var isRecalled = false
        public var isReleasedAtEnd = false
        /// Its slot in the memory that its session shares.
        public var slot: Slot?

        /// A slot of a session's memory.
        public struct Slot: Sendable, Equatable {
            public var index: UInt8
            /// Whether the grant is cached no more, and the slot is in use until it is released.
            public var isWanted: Bool

            public init(index: UInt8, isWanted: Bool) {
                self.index = index
                self.isWanted = isWanted
            }
        }

        public init(
            lock: LockName, session: UInt32, owner: OwnerID, token: Token, since: Instant, mode: LockMode,
            lease: TimeLimit, due: Instant?, note: Note
        ) {
            self.lock = lock
            self.session = session
            self.owner = owner
            self.token = token
            self.since = since
            self.mode = mode
            self.lease = lease
            self.due = due
            self.note = note
        }
    }

    /// A waiting request, at its slot.
    public struct Waiter: Sendable, Equatable {
        public var lock: LockName
        /// The slot of its session.
        public var session: UInt32
        public var owner: OwnerID
        /// Its number, which says how many requests waited before it.
        public var number: UInt64
        /// Its place in its row.
        public var place: UInt64
        public var since: Instant
        public var timeout: Duration?
        /// When its timeout ends; nil for never.
        public var due: Instant?
        public var mode: LockMode
        public var isImpatient = false
        public var isPatient = false
        /// The token of the grant that it wants to upgrade.
        public var upgrades: Token?
        public var lease: TimeLimit
        public var note: Note
        public var tag: Tag?

        public init(
            lock: LockName, session: UInt32, owner: OwnerID, number: UInt64, place: UInt64, since: Instant,
            timeout: Duration?, due: Instant?, mode: LockMode, lease: TimeLimit, note: Note
        ) {
            self.lock = lock
            self.session = session
            self.owner = owner
            self.number = number
            self.place = place
            self.since = since
            self.timeout = timeout
            self.due = due
            self.mode = mode
            self.lease = lease
            self.note = note
        }
    }

    /// The mark of a lock with a dead writer, at the slot of the lock.
    public struct Mark: Sendable, Equatable {
        public var lock: LockName
        /// Its number among all marks: the lowest is the first to be forgotten.
        public var number: UInt64
        public var mark: LockVocabulary.Mark

        public init(lock: LockName, number: UInt64, mark: LockVocabulary.Mark = .yes) {
            self.lock = lock
            self.number = number
            self.mark = mark
        }
    }
}

/// Which fact: its kind, and the slot of the record that it describes. A key has at most one fact at a time.
public struct FactKey: Hashable, Sendable {
    public enum Kind: UInt8, Sendable, CaseIterable {
        case counters = 1
        case session
        case grant
        case waiter
        case mark
    }

    public let kind: Kind
    public let slot: UInt32

    public init(_ kind: Kind, _ slot: UInt32) {
        self.kind = kind
        self.slot = slot
    }
}

/// The facts that a table has, and which of them changed.
extension LockTable {
    /// Notes that the fact of a record may have changed. Call it wherever a record is added, changed or removed.
    @inline(__always)
    mutating func noteFact(_ kind: FactKey.Kind, _ slot: UInt32) {
        guard keepsFacts else { return }
        let key = FactKey(kind, slot)
        // Lines that come together often change the same record.
        if changedFacts.last != key { changedFacts.append(key) }
    }

    /// Calls the body with each fact that may have changed since the last call, in any order, some more than once: nil if the
    /// record is gone.
    public mutating func forEachChangedFact(_ body: (FactKey, Fact?) -> Void) {
        for key in changedFacts { visit(key, body) }
        while let session = resting.popLast() { rooms[session]?.endRest() }
        changedFacts.removeAll(keepingCapacity: changedFacts.capacity <= 4_096)
        let counters = counters
        guard counters != keptCounters else { return }
        keptCounters = counters
        body(FactKey(.counters, 0), .counters(counters))
    }

    /// Calls the body with all facts.
    public func forEachFact(_ body: (FactKey, Fact) -> Void) {
        func visit<Record>(_ kind: FactKey.Kind, _ slab: borrowing Slab<Record>) {
            for slot in 0..<slab.bound {
                self.visit(FactKey(kind, slot)) { key, fact in
                    if let fact { body(key, fact) }
                }
            }
        }
        body(FactKey(.counters, 0), .counters(counters))
        visit(.session, sessions)
        visit(.grant, grants)
        visit(.waiter, waiters)
        visit(.mark, locks)
    }

    /// The fact with a key; nil if its record is gone.
    public func fact(_ key: FactKey) -> Fact? {
        var found: Fact?
        visit(key) { found = $1 }
        return found
    }

    /// Calls the body with the fact of a key; nil if its record is gone.
    @inline(__always)
    private func visit(_ key: FactKey, _ body: (FactKey, Fact?) -> Void) {
        switch key.kind {
        case .counters: body(key, .counters(counters))
        case .session:
            let slot = Slot<Session>(raw: key.slot)
            guard sessions.reaches(slot), !sessions[slot].isVacant, slot != fleet else {
                return body(key, nil)
            }
            body(key, .session(fact(slot)))
        case .grant:
            let slot = Slot<Grant>(raw: key.slot)
            guard grants.reaches(slot), !grants[slot].isVacant else { return body(key, nil) }
            body(key, .grant(fact(slot)))
        case .waiter:
            let slot = Slot<Waiter>(raw: key.slot)
            guard waiters.reaches(slot), !waiters[slot].isVacant else { return body(key, nil) }
            body(key, .waiter(fact(slot)))
        case .mark:
            let slot = Slot<Lock>(raw: key.slot)
            guard locks.reaches(slot), !locks[slot].isVacant, let mark = locks[slot].mark else {
                return body(key, nil)
            }
            body(key, .mark(Fact.Mark(lock: name(of: slot), number: markNumbers[slot] ?? 0, mark: mark)))
        }
    }

    private var counters: Fact.Counters {
        var counters = Fact.Counters(
            nextToken: nextToken, nextNumber: nextNumber, nextSerial: nextSerial, nextMark: nextMark,
            graceEnd: graceEnd, isOpening: opened != nil)
        if let fleet {
            counters.fleet = Fact.Counters.Fleet(
                slot: fleet.raw, serial: sessions[fleet].serial, nextToken: nextSharedToken)
        }
        return counters
    }

    private func fact(_ slot: Slot<Session>) -> Fact.Session {
        var fact = Fact.Session(serial: sessions[slot].serial, account: sessions[slot].account)
        fact.wantsRecall = sessions[slot].wantsRecall
        fact.hasReleaseAtEnd = sessions[slot].hasReleaseAtEnd
        fact.hasSlots = sessions[slot].hasSlots
        fact.phase =
            switch sessions[slot].phase {
            case .open: .open
            case .ending: .ending
            case .ended: .ended(endings[slot].map(\.report))
            }
        return fact
    }

    private func fact(_ slot: Slot<Grant>) -> Fact.Grant {
        let record = grants[slot]
        let account = account(of: record.owner)
        var fact = Fact.Grant(
            lock: name(of: record.lock), session: owners[record.owner].session.raw,
            owner: id(of: record.owner), token: record.token, since: record.since, mode: record.mode,
            lease: TimeLimit(record.lease.duration), due: record.deadline.map { agenda.due($0, of: account) },
            note: record.note.map { notes[$0] } ?? .none)
        fact.isRecalled = record.isRecalled
        fact.isReleasedAtEnd = record.isReleasedAtEnd
        fact.slot = record.cache.map {
            Fact.Grant.Slot(index: caches[$0].index, isWanted: caches[$0].isWanted)
        }
        return fact
    }

    private func fact(_ slot: Slot<Waiter>) -> Fact.Waiter {
        let record = waiters[slot]
        let account = account(of: record.owner)
        var fact = Fact.Waiter(
            lock: name(of: record.lock), session: owners[record.owner].session.raw,
            owner: id(of: record.owner), number: record.number, place: record.place, since: record.since,
            timeout: record.timeout, due: record.deadline.map { agenda.due($0, of: account) },
            mode: record.mode, lease: TimeLimit(record.lease.duration), note: record.note)
        fact.isImpatient = record.isImpatient
        fact.isPatient = record.isPatient
        fact.upgrades = record.upgrades.map { grants[$0].token }
        fact.tag = record.tag
        return fact
    }
}

extension Ending {
    fileprivate var report: Fact.Session.Report {
        Fact.Session.Report(
            wasKilled: wasKilled, isForgotten: isForgotten, lost: lost,
            example: example.map { Fact.Session.Example(name: $0.name, mode: $0.mode, token: $0.token) })
    }

    init(_ report: Fact.Session.Report) {
        self.init(wasKilled: report.wasKilled)
        isForgotten = report.isForgotten
        lost = report.lost
        example = report.example.map { ($0.name, $0.mode, $0.token) }
    }
}
