import LockVocabulary
import LockWire

extension Session {
    /// The grants of one session.
    ///
    /// A grant is held or lost until its holder lets it go. A lost grant keeps its record, so that its holder learns how it
    /// was lost whenever it asks.
    struct Grants {
        private struct Record {
            var terms: Terms
            var loss: LockLost?
            /// Whether its release was asked for.
            var isReleased = false
            var renewal: Renewal?
        }

        /// The renewals of a lease. The next one begins after the daemon's answer, so a silent daemon gets one line.
        private struct Renewal {
            var interval: Duration
            /// When the next one is due; nil while one is not answered.
            var due: Instant?
        }

        private var records: [GrantID: Record] = [:]
        /// The grants by the tokens that notices name.
        private var ids: [Token: GrantID] = [:]

        /// The cached grants by their slots.
        private var cached: [Int: GrantID] = [:]

        /// Until when the grants on shared locks count: the latest moment that the daemon has stated.
        private var latestUntil: Instant?
        /// The number of those grants that are held.
        private var heldShared = 0

        /// Until when the grants on shared locks count; nil while none is held.
        var until: Instant? { heldShared > 0 ? latestUntil : nil }

        /// Notes until when the grants on shared locks count.
        mutating func extend(to end: Instant) { latestUntil = max(end, latestUntil ?? end) }

        /// The grants on shared locks that are held, oldest first.
        var shared: [GrantID] {
            records.filter { $0.value.terms.isShared && $0.value.loss == nil }.keys.sorted()
        }

        /// Whether the daemon may still count the grant, although this session may have given it up by its own clock.
        func mayBeHeld(_ grant: GrantID) -> Bool {
            guard let record = records[grant] else { return false }
            return record.loss == nil || record.loss?.cause == .unconfirmed
        }

        /// Whether no grant is held. Those with a slot are, if the slot says so.
        func areAllLost(besides isHeld: (GrantedSlot) -> Bool) -> Bool {
            records.values.allSatisfy { record in
                record.loss != nil || record.terms.slot.map { !isHeld($0) } ?? false
            }
        }

        /// All grants that were not let go, oldest first.
        var all: [GrantID] { records.keys.sorted() }

        /// The terms of a grant, also of a lost one; nil once it was let go.
        func terms(of grant: GrantID) -> Terms? { records[grant]?.terms }

        func loss(of grant: GrantID) -> LockLost? { records[grant]?.loss }

        subscript(token: Token) -> GrantID? { ids[token] }

        /// Whether a grant is held that a line could name by its lock and owner; the session's own owner names any.
        func contains(_ name: LockName, of owner: OwnerID) -> Bool {
            records.values.contains {
                $0.loss == nil && $0.terms.name == name && (owner.isSession || $0.terms.owner == owner)
            }
        }

        mutating func add(_ grant: GrantID, _ terms: Terms) {
            records[grant] = Record(terms: terms)
            if terms.isShared { heldShared += 1 }
            ids[terms.token] = grant
            guard let slot = terms.slot else { return }
            // The daemon has taken the former grant. A holder that lost it still has its record.
            if let former = cached[slot.index] { forgetTaken(former) }
            cached[slot.index] = grant
        }

        /// Forgets a cached grant that the daemon took while it was not held.
        mutating func forgetTaken(_ grant: GrantID) {
            guard let record = records[grant], let slot = record.terms.slot else { return }
            if cached[slot.index] == grant { cached[slot.index] = nil }
            if record.loss == nil, !record.isReleased { letGo(grant) }
        }

        /// A change of the grant ends its caching. It goes on as any other.
        mutating func endCaching(of grant: GrantID) {
            guard let slot = records[grant]?.terms.slot else { return }
            if cached[slot.index] == grant { cached[slot.index] = nil }
            records[grant]?.terms.slot = nil
        }

        mutating func change(_ grant: GrantID, _ mode: LockMode, _ token: Token, ownerDied: Mark?) {
            guard let former = records[grant]?.terms else { return }
            records[grant]?.terms.mode = mode
            records[grant]?.terms.token = token
            records[grant]?.terms.ownerDied = ownerDied
            ids[former.token] = nil
            ids[token] = grant
        }

        /// Marks a grant as lost; returns the loss, or nil if the grant was not held.
        mutating func lose(_ grant: GrantID, _ cause: LockLost.Cause) -> LockLost? {
            guard let record = records[grant], record.loss == nil else { return nil }
            let loss = LockLost(lock: record.terms.name, token: record.terms.token, cause: cause)
            records[grant]?.loss = loss
            if record.terms.isShared { heldShared -= 1 }
            return loss
        }

        /// Notes that the release of a grant is asked for; false if it was already.
        mutating func beginRelease(of grant: GrantID) -> Bool {
            guard let record = records[grant], !record.isReleased else { return false }
            records[grant]?.isReleased = true
            return true
        }

        /// Begins renewals of a lease; returns when the first one is due.
        mutating func beginRenewals(of grant: GrantID, every interval: Duration, at now: Instant) -> Instant {
            // A lease counts milliseconds, so more renewals than that do no good.
            let interval = max(interval, .milliseconds(1))
            let due = now.advanced(by: interval)
            records[grant]?.renewal = Renewal(interval: interval, due: due)
            return due
        }

        /// Notes that a lease was renewed, with a new length unless nil; returns when the next renewal is due.
        mutating func renewed(_ grant: GrantID, for lease: Duration?, at now: Instant) -> Instant? {
            guard let renewal = records[grant]?.renewal else { return nil }
            return beginRenewals(of: grant, every: lease.map { $0 / 3 } ?? renewal.interval, at: now)
        }

        /// The grants with a lease to renew now, oldest first, and when the next other renewal is due.
        mutating func takeDueRenewals(at now: Instant) -> (due: [GrantID], next: Instant?) {
            var (grants, next): ([GrantID], Instant?) = ([], nil)
            for (grant, record) in records where record.loss == nil && !record.isReleased {
                guard let due = record.renewal?.due else { continue }
                if due <= now {
                    grants.append(grant)
                    records[grant]?.renewal?.due = nil
                } else {
                    next = min(due, next ?? due)
                }
            }
            return (grants.sorted(), next)
        }

        mutating func letGo(_ grant: GrantID) {
            guard let record = records.removeValue(forKey: grant) else { return }
            ids[record.terms.token] = nil
            if record.terms.isShared, record.loss == nil { heldShared -= 1 }
            if let slot = record.terms.slot, cached[slot.index] == grant { cached[slot.index] = nil }
        }
    }
}
