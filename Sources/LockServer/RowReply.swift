import LockClaims
import LockCore
import LockVocabulary
import LockWire

/// A reply of many rows, written a page at a time.
///
/// Its position is a name, a token or the place of a session, so that it can go on although locks and sessions came and
/// went since the last page.
struct RowReply {
    let tag: Tag?
    private(set) var rest: Rest
    /// How many rows were written.
    private(set) var count = 0

    enum Rest {
        case status(LockName, StatusCursor, StatusRoom)
        /// The hosts that claim a shared name, after the rows of `status`; so many were written.
        case claims(LockName, Int)
        case locks(prefix: String, after: LockName?, atMost: Int)
        /// The search for locks for which requests wait; no row is written before it has ended.
        case ranking(Ranking)
        /// Locks for which requests waited, in the order of their rows.
        case ranked(ArraySlice<LockName>)
        /// Locks that have cost much, in the order of their rows.
        case hot(ArraySlice<LockName>)
        case sessions(after: ConversationIndex?)
        /// Rows that are made in advance, as lines.
        case rows(ArraySlice<[UInt8]>)
    }

    init(_ tag: Tag?, _ rest: Rest, count: Int = 0) {
        self.tag = tag
        self.rest = rest
        self.count = count
    }

    /// The holders of a lock and the requests that wait for it, at most so many of each.
    static func status(of name: LockName, atMost: Int?, _ tag: Tag?) -> RowReply {
        RowReply(tag, .status(name, StatusCursor(), StatusRoom(atMost)))
    }

    /// Locks with a prefix, in the order of their names.
    static func locks(prefix: String, after: LockName?, atMost: Int?, _ tag: Tag?) -> RowReply {
        RowReply(tag, .locks(prefix: prefix, after: after, atMost: atMost ?? .max))
    }

    /// The locks for which most requests wait, or requests have waited longest.
    static func ranking(_ ranking: Ranking, _ tag: Tag?) -> RowReply { RowReply(tag, .ranking(ranking)) }

    /// What locks have cost.
    static func hot(_ names: [LockName], _ tag: Tag?) -> RowReply { RowReply(tag, .hot(names[...])) }

    /// All sessions.
    static func sessions(_ tag: Tag?) -> RowReply { RowReply(tag, .sessions(after: nil)) }

    /// A few rows that are made in advance.
    static func rows(_ rows: [Row], _ tag: Tag?) -> RowReply {
        let lines = rows.map { row in
            var line: [UInt8] = []
            row.encode(into: &line)
            return line
        }
        return RowReply(tag, .rows(lines[...]))
    }

    /// Writes the next page of rows; returns whether the reply is complete.
    mutating func write(
        on page: inout Page, _ table: borrowing LockTable, _ conversations: borrowing Conversations,
        _ fleet: borrowing Fleet?, for reader: ConversationIndex, at now: Instant
    ) -> Bool {
        let rights = conversations[reader].verdict.rights
        defer { count += page.rows }
        switch rest {
        // Rules that come while rows are written hold for those that are left.
        case .status(let name, _, _) where !rights.allow(.look, name): return true
        case .claims(let name, _) where !rights.allow(.look, name): return true
        case .status(let name, var cursor, var room):
            page.examined = table.forEachStatusRow(on: name, from: &cursor, budget: page.most, at: now) {
                let hasRoom = page.write(Self.row($0, of: name, conversations, rights))
                return room.take($0) && hasRoom
            }
            room.passOver(&cursor)
            rest = .status(name, cursor, room)
            guard cursor.isAtEnd, fleet != nil, table.isShared(name) else { return cursor.isAtEnd }
            rest = .claims(name, 0)
            return false
        case .claims(let name, var written):
            let rows = fleet.inspect { Row.claims($0.claims.directive(for: name)) } ?? []
            var hasRoom = true
            while hasRoom, written < rows.count {
                hasRoom = page.write(rows[written])
                written += 1
            }
            page.examined = page.rows
            rest = .claims(name, written)
            return written >= rows.count
        case .locks(let prefix, var last, let most):
            var isComplete = true
            if most > 0 {
                table.forEachLock(prefix: prefix, after: last) { lock in
                    guard page.rows < most else { return false }
                    page.examined += 1 + lock.looked / 8
                    last = lock.name
                    isComplete =
                        rights.allow(.look, lock.name) ? page.write(Self.row(lock, table, fleet)) : true
                    isComplete = isComplete && page.examined < page.most
                    return isComplete
                }
            }
            rest = .locks(prefix: prefix, after: last, atMost: most - page.rows)
            return isComplete
        case .ranking(var ranking):
            let looked = ranking.goOn(table, rights, atMost: page.most, at: now)
            page.examined = looked.rows
            rest = looked.isComplete ? .ranked(ranking.names[...]) : .ranking(ranking)
            return false
        case .ranked(var left):
            var hasRoom = true
            while hasRoom, let name = left.popFirst() {
                page.examined += 1
                // Nothing may wait any longer.
                guard rights.allow(.look, name), let waits = table.contention(of: name, at: now),
                    let lock = table.summary(of: name)
                else { continue }
                page.examined += lock.looked / 8
                hasRoom = page.write(Self.row(lock, waited: waits.waited, table, fleet))
            }
            rest = .ranked(left)
            return left.isEmpty
        case .hot(var left):
            var hasRoom = true
            while hasRoom, let name = left.popFirst() {
                page.examined += 1
                guard rights.allow(.look, name), let costs = table.times.hot[name] else { continue }
                hasRoom = page.write(.hot(Row.Hot(costs, at: now)))
            }
            rest = .hot(left)
            return left.isEmpty
        case .sessions(var last):
            var hasRoom = true
            while hasRoom, let next = conversations.firstOpen(after: last) {
                last = next
                hasRoom = page.write(Self.row(conversations[next], table, rights, now))
            }
            page.examined = page.rows
            rest = .sessions(after: last)
            return hasRoom
        case .rows(var left):
            while let next = left.popFirst(), page.write(next) {}
            page.examined = page.rows
            rest = .rows(left)
            return left.isEmpty
        }
    }

    // MARK: - Rows

    private static func row(
        _ stake: StatusRow, of name: LockName, _ conversations: borrowing Conversations, _ rights: Rights
    ) -> Row {
        func visible(_ note: Note, _ session: SessionID) -> Note {
            let user = conversations.userID(of: session)
            return user.map { rights.showNote(ofUser: $0, name) } ?? false ? note : .none
        }
        switch stake {
        case .holder(let session, let mode, let owner, let token, let age, let lease, let note):
            return .holder(
                Row.Holder(
                    processID: conversations.processID(of: session), mode: mode, owner: owner, token: token,
                    age: age, leaseLeft: lease, note: visible(note, session)))
        case .cached(let session, let mode, let owner, let token, let age, let note):
            return .cached(
                Row.Holder(
                    processID: conversations.processID(of: session), mode: mode, owner: owner, token: token,
                    age: age, leaseLeft: nil, note: visible(note, session)))
        case .waiter(let session, let mode, let owner, let waited, let timeout, let note, let upgrades):
            return .waiter(
                Row.Waiter(
                    processID: conversations.processID(of: session), mode: mode, owner: owner,
                    waited: waited, timeout: TimeLimit(timeout),
                    note: visible(note, session), upgrades: upgrades))
        }
    }

    private static func row(
        _ lock: LockSummary, waited: Duration? = nil, _ table: borrowing LockTable, _ fleet: borrowing Fleet?
    ) -> Row {
        .lock(
            Row.Lock(
                name: lock.name, mode: lock.mode, holders: lock.holders, waiters: lock.waiters,
                ownerDied: lock.mark, cached: lock.cached, claim: Self.claim(on: lock.name, table, fleet),
                waited: waited))
    }

    private static func claim(
        on name: LockName, _ table: borrowing LockTable, _ fleet: borrowing Fleet?
    ) -> Row.Lock.SharedClaim? {
        guard table.isShared(name) else { return nil }
        return fleet.inspect {
            Row.Lock.SharedClaim($0.claims.directive(for: name), from: $0.configuration.host)
        }
    }

    private static func row(
        _ conversation: borrowing Conversation, _ table: borrowing LockTable, _ rights: Rights, _ now: Instant
    ) -> Row {
        let usage = table.usage(of: conversation.session)
        let user = conversation.peer.userID
        return .session(
            Row.Session(
                id: UInt64(conversation.session.serial), processID: conversation.peer.processID,
                userID: user, client: rights.showClient(ofUser: user) ? conversation.client : .none,
                grants: usage.grants, waiters: usage.waiters, age: conversation.since.duration(to: now)))
    }
}

extension RowReply {
    /// Rows that are written together, with a bound on their bytes and a bound on the work for them.
    struct Page {
        private(set) var bytes: [UInt8] = []
        private(set) var rows = 0
        /// How many locks, grants and requests were examined, including those that got no row.
        var examined = 0
        /// How many may be examined.
        let most: Int
        private let room: Int

        init(room: Int, atMost most: Int) {
            self.room = room
            self.most = most
        }

        /// Writes a row; returns whether there is room for another.
        mutating func write(_ row: Row) -> Bool {
            row.encode(into: &bytes)
            return noteRow()
        }

        mutating func write(_ line: [UInt8]) -> Bool {
            bytes += line
            return noteRow()
        }

        private mutating func noteRow() -> Bool {
            rows += 1
            return bytes.count < room && rows < most
        }
    }
}
