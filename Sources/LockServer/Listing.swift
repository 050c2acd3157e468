import LockCore
import LockVocabulary
import LockWire

/// A reply of many rows, and how far it is told. Rows are made when there is room for them.
struct Listing {
    enum Subject {
        case status(LockName, StatusCursor)
        case locks(prefix: String, after: LockName?, left: Int)
        /// From a place in the server's table of conversations on.
        case sessions(from: Int)
        /// Rows that are few and made at once, the next first.
        case rows(ArraySlice<Row>)
    }

    let tag: Tag?
    var subject: Subject
    var told = 0
}

extension Server {
    /// How many rows are looked at before others get their turn.
    private static var rowsInATurn: Int { 128 }
    /// How many bytes of rows are made before the socket has taken some.
    private static var bytesInATurn: Int { 16_384 }

    /// Tells what there is room and time for of a session's lists; returns whether there is more to do at once.
    mutating func tellRows(_ slot: Int, at now: Instant) -> Bool {
        var budget = Self.rowsInATurn
        while var listing = conversations[slot].listings.first {
            let isFull = conversations[slot].unread >= Self.bytesInATurn
            if isFull || budget <= 0 { return !isFull }
            let before = budget
            let isDone = tell(&listing, slot, &budget, now)
            // Rows cost about a quarter of what lines do.
            charge((before - budget) / 4, slot, now)
            if isDone {
                reply(.ok(listing.told), listing.tag, slot)
                conversations[slot].listings.removeFirst()
            } else {
                conversations[slot].listings[0] = listing
            }
        }
        return false
    }

    /// Tells rows until there is no room; returns whether all are told.
    private mutating func tell(
        _ listing: inout Listing, _ slot: Int, _ budget: inout Int, _ now: Instant
    ) -> Bool {
        var rows: [UInt8] = []
        var told = 0
        defer {
            listing.told += told
            conversations[slot].output.append(contentsOf: rows)
        }
        let room = Self.bytesInATurn - conversations[slot].unread
        let most = budget
        func add(_ row: Row) -> Bool {
            row.encode(into: &rows)
            told += 1
            return rows.count < room && told < most
        }
        switch listing.subject {
        case .status(let name, var cursor):
            // Those passed over cost as well.
            budget -= table.forEachStake(on: name, from: &cursor, budget: most, at: now) {
                add(row($0, of: name, for: slot))
            }
            listing.subject = .status(name, cursor)
            return cursor.isAtEnd
        case .locks(let prefix, let after, let left):
            var last = after
            var looked = 0
            var isDone = true
            if left > 0 {
                table.forEachLock(prefix: prefix, after: after) { lock in
                    guard told < left else { return false }
                    looked += 1
                    isDone = may(.look, lock.name, slot) ? add(row(lock)) : true
                    isDone = isDone && looked < most
                    last = lock.name
                    return isDone
                }
            }
            budget -= looked
            listing.subject = .locks(prefix: prefix, after: last, left: left - told)
            return isDone
        case .sessions(let from):
            var place = from
            while place < conversations.count {
                defer { place += 1 }
                guard let row = row(conversations[place], for: slot, now) else { continue }
                if !add(row) { break }
            }
            budget -= told
            listing.subject = .sessions(from: place)
            return place >= conversations.count
        case .rows(var left):
            while let next = left.popFirst(), add(next) {}
            budget -= told
            listing.subject = .rows(left)
            return left.isEmpty
        }
    }

    // MARK: - Rows

    private func row(_ stake: StakeSummary, of name: LockName, for slot: Int) -> Row {
        switch stake {
        case .holder(let session, let mode, let owner, let token, let age, let lease, let note):
            .holder(
                Row.Holder(
                    processID: processID(of: session), mode: mode, owner: owner, token: token, age: age,
                    leaseLeft: lease, note: maySeeNote(of: session, name, slot) ? note : .none))
        case .waiter(let session, let mode, let owner, let waited, let timeout, let note, let upgrades):
            .waiter(
                Row.Waiter(
                    processID: processID(of: session), mode: mode, owner: owner, waited: waited,
                    timeout: timeout.map(TimeLimit.upTo) ?? .forever,
                    note: maySeeNote(of: session, name, slot) ? note : .none, upgrades: upgrades))
        }
    }

    private func row(_ lock: LockSummary) -> Row {
        .lock(
            Row.Lock(
                name: lock.name, mode: lock.mode, holders: lock.holders, waiters: lock.waiters,
                ownerDied: lock.ownerDied))
    }

    private func row(_ conversation: Conversation, for slot: Int, _ now: Instant) -> Row? {
        guard conversation.phase == .open else { return nil }
        let stakes = table.stakes(of: conversation.session)
        return .session(
            Row.Session(
                id: UInt64(conversation.session.serial), processID: conversation.peer.processID,
                userID: conversation.peer.userID,
                client: maySeeClient(conversation, slot) ? conversation.client : .none, grants: stakes.grants,
                waiters: stakes.waiters, age: conversation.since.duration(to: now)))
    }
}
