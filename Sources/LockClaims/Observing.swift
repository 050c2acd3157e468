import LockVocabulary

/// A listing of all keys, page after page.
struct Listing {
    var after: [UInt8]?
    /// The revision of the first page, from which on the watch shows all changes; 0 before it.
    var first: Revision = 0
}

/// What is known of a host's key.
struct HostKnowledge {
    /// When it was created: the number of the session that lives; nil without one.
    var number: Revision?
    var asOf: Revision
}

/// What the store has: learnt from answers, listings and the watch, which overtake each other. Each piece of evidence says as
/// of which revision it is, and an older one never replaces a newer one.
extension Claims {
    mutating func beginListing() {
        prepareListing()
        outbox.append(.list(listingNumber))
    }

    mutating func prepareListing() {
        listAt = nil
        listing = Listing()
        listingNumber &+= 1
    }

    mutating func takePage(_ pairs: [KeyValue], of number: UInt32, _ revision: Revision) {
        guard var listing, number == listingNumber else { return }
        if listing.first == 0 {
            listing.first = revision
            outbox.append(.watch(from: revision + 1))
        }
        for pair in pairs where session != nil { observe(pair, asOf: revision, listing: listingNumber) }
        guard session != nil else { return }
        if Int64(pairs.count) == Self.pageSize, let last = pairs.last {
            listing.after = last.key
            self.listing = listing
            return outbox.append(.list(listingNumber))
        }
        self.listing = nil
        endListing(from: listing.first)
    }

    /// What no page has shown was absent at the first page's revision; what came later is the watch's to tell.
    private mutating func endListing(from first: Revision) {
        if restoredUpTo == .max { restoredUpTo = first }
        watchedTo = max(watchedTo, first)
        noteWatched()
        let gone = known.filter {
            $0.value.listing != listingNumber && $0.value.asOf <= first && !$0.value.text.isEmpty
        }
        for name in gone.keys.sorted() { note(name, text: [], modified: 0, asOf: first) }
        for name in names where records[name]?.content == .unknown {
            note(name, text: [], modified: 0, asOf: first)
        }
        for (host, knowledge) in hosts where knowledge.number != nil && knowledge.asOf < first {
            hosts[host] = HostKnowledge(number: nil, asOf: first)
        }
        hostsKnownTo = max(hostsKnownTo, first, watchedTo - 1)
        waits.endListing(from: first, of: configuration.host, at: now)
        dropAbsent()
        noteHosts(mayHaveEnded: true)
    }

    mutating func observe(_ event: StoreEvent) {
        switch event {
        case .changes(let changes, let revision):
            guard session != nil else { return }
            see(revision)
            for change in changes where session != nil {
                switch change {
                case .put(let pair): observe(pair, asOf: pair.modified, listing: listingNumber)
                case .deleted(let key, let revision): observeDeletion(of: key, at: revision)
                }
            }
            guard session != nil else { return }
            watchedTo = max(watchedTo, revision)
            noteWatched()
            dropAbsent()
            // A revision may come in several parts.
            if listing == nil { hostsKnownTo = max(hostsKnownTo, revision - 1) }
        case .watchLost(let reason):
            lastTrouble = reason
            guard session != nil else { return }
            listing = nil
            listAt = now.advanced(by: .milliseconds(100))
        case .connected:
            // The store may have been restored from a backup, or the lease revoked.
            if session != nil { outbox.append(.check) }
        case .disconnected(let reason): lastTrouble = reason
        }
    }

    private mutating func observe(_ pair: KeyValue, asOf revision: Revision, listing: UInt32) {
        switch keys.subject(of: pair.key) {
        case .fleet: noteSettings(pair.modified, asOf: revision)
        case .host(let host): noteHost(host, pair.created, asOf: revision)
        case .waits(let host): noteWaits(pair.value, of: host, asOf: revision)
        case .register(let name):
            note(name, text: pair.value, modified: pair.modified, asOf: revision, listing: listing)
        case .foreign: break
        }
    }

    private mutating func observeDeletion(of key: [UInt8], at revision: Revision) {
        switch keys.subject(of: key) {
        case .host(let host): noteHost(host, nil, asOf: revision)
        case .waits(let host): noteWaits(nil, of: host, asOf: revision)
        case .register(let name):
            note(name, text: [], modified: 0, asOf: revision)
        case .fleet: noteSettings(nil, asOf: revision)
        case .foreign: break
        }
    }

    private mutating func noteWaits(_ value: [UInt8]?, of host: HostName, asOf revision: Revision) {
        if host == configuration.host {
            waits.noteOwn(value, of: host, asOf: revision, at: now)
        } else {
            waits.note(value, of: host, asOf: revision)
        }
    }

    /// Takes evidence about the settings of the fleet. If they are not those of this session, it ends: another host has found
    /// the store restored and has raised the offset, or an administrator has changed or deleted them.
    ///
    /// What tells of a register says this too, and is looked at first. So a claim that was gained at a revision counts only
    /// with the offset that the fleet had at this revision.
    mutating func noteSettings(_ modified: Revision?, asOf revision: Revision) {
        guard let session, revision >= session.number, modified ?? 0 != settingsModified else { return }
        endSession("the settings of the fleet have changed")
    }

    // MARK: - Revisions

    /// Notes that the store had this revision, while the session was valid if there is one.
    mutating func see(_ revision: Revision) {
        newestRevision = max(newestRevision, revision)
        guard session != nil else { return }
        gateRevision = max(gateRevision, revision)
        highestEpoch = max(highestEpoch, gateRevision + offset)
    }

    // MARK: - Hosts

    mutating func noteHost(_ host: HostName, _ number: Revision?, asOf revision: Revision) {
        if let former = hosts[host], former.asOf > revision { return }
        let former = hosts[host]?.number
        hosts[host] = HostKnowledge(number: number, asOf: revision)
        if let session, host == session.host, revision >= session.number, number != session.number {
            return endSession("the key of this host in the store is gone")
        }
        guard former != number else { return }
        noteHosts(mayHaveEnded: former != nil)
    }

    /// Whether a session has ended. One that is not known yet may live.
    func isDead(_ session: HostSession) -> Bool {
        if let own = self.session, session.host == own.host { return session.number < own.number }
        let knowledge = hosts[session.host]
        guard knowledge?.number != session.number else { return false }
        return session.number <= max(hostsKnownTo, knowledge?.asOf ?? 0)
    }

    /// Looks at all registers again after a host has come or gone. The oldest session removes dead ones from names that it
    /// does not use itself, so that one host does so, and another one if that host ends too.
    private mutating func noteHosts(mayHaveEnded: Bool) {
        guard let session, listing == nil else { return }
        let wasOldest = isOldest
        isOldest = hosts.values.allSatisfy { $0.number.map { $0 >= session.number } ?? true }
        guard mayHaveEnded || isOldest && !wasOldest else { return }
        for name in names where namesDeadSession(records[name]?.register) { settle(name) }
        sweeps = Fifo()
        guard isOldest else { return }
        for name in known.keys.sorted() where records[name] == nil { sweeps.append(name) }
    }

    private var isSweeping: Bool { session != nil && !isLeaving && ready.isEmpty && !sweeps.isEmpty }

    /// Looks at some of the registers that may name dead sessions, unless other names wait for their turn. A host may have left
    /// a hundred thousand: all of them in one call would hold up the sessions of this host, and its keep-alives.
    mutating func sweepSome() {
        guard isSweeping else { return }
        for _ in 0..<Self.batchLimit {
            guard let name = sweeps.popFirst() else { return }
            guard records[name] == nil, namesDeadSession(known[name].flatMap { Register(text: $0.text) })
            else { continue }
            records[name] = newRecord(name)
            settle(name)
        }
    }

    /// When to go on with it: as soon as the caller has done all else.
    var nextSweep: Instant? { isSweeping ? now : nil }

    private func namesDeadSession(_ register: Register?) -> Bool {
        guard let register else { return false }
        return register.holders.contains { isDead($0.session) }
            || register.waiters.contains { isDead($0.session) }
    }

    /// The names of all records, in one order: what follows from a history must not depend on how a table is laid out.
    var names: [LockName] { records.keys.sorted() }

    // MARK: - Registers

    mutating func newRecord(_ name: LockName) -> Record {
        var record = Record()
        if let knowledge = known[name] {
            learn(&record, knowledge, name)
        } else if restoredUpTo != .max {
            record.content = .register(Register())
        }
        return record
    }

    /// Takes evidence about a register.
    mutating func note(
        _ name: LockName, text: [UInt8], modified: Revision, asOf revision: Revision, listing: UInt32? = nil
    ) {
        var knowledge = Knowledge(
            text: text, modified: modified, asOf: revision, listing: listing ?? listingNumber)
        if let former = known[name] {
            guard former.asOf <= revision else {
                known[name]?.listing = knowledge.listing
                return
            }
            if former.modified == modified, former.text == text, records[name]?.content != .unknown {
                known[name] = knowledge
                return
            }
        }
        if records[name] == nil {
            guard !text.isEmpty || known[name] != nil else { return }
            if known[name] == nil, known.count >= configuration.rememberedRegisters, !namesThisHost(text) {
                hasForgotten = true
                return
            }
        }
        knowledge.listing = listingNumber
        known[name] = knowledge
        if records[name] == nil {
            guard namesThisHost(text) else { return bury(name) }
            records[name] = Record()
        }
        guard var record = records[name] else { return }
        learn(&record, knowledge, name)
        records[name] = record
        settle(name)
    }

    private func namesThisHost(_ text: [UInt8]) -> Bool {
        Register(text: text)?.sessions.contains { $0.host == configuration.host } ?? false
    }

    private mutating func learn(_ record: inout Record, _ knowledge: Knowledge, _ name: LockName) {
        let former = record
        record.modified = knowledge.modified
        if knowledge.text.isEmpty {
            record.content = .register(Register())
        } else if let register = Register(text: knowledge.text) {
            record.content = .register(register)
        } else {
            if record.content != .damaged { events.append(.damagedRegister(name)) }
            record.content = .damaged
        }
        noteReturn(&record, former)
        // What a former process has sent may yet be carried out: only what its rules have in use is surely not given up.
        guard let session, restoredUpTo > 0, knowledge.modified <= restoredUpTo,
            let claim = record.register?.claim(of: session)
        else { return }
        if claim == .write { record.isMarkDoubtful = true }
        let used = record.situation.fleet.permits
        if weaker(claim, used) != claim {
            record.doubt = Doubt(modified: knowledge.modified, remains: weaker(claim, used))
        }
    }

    /// Notes that a claim may have been given up and gained again, by a swap without an answer and others that were not seen:
    /// in between, another host may have given tokens, and left or removed a mark.
    private mutating func noteReturn(_ record: inout Record, _ former: Record) {
        guard let doubt = former.doubt, doubt.modified == former.modified, doubt.modified != record.modified,
            let session, let register = record.register, let claim = register.claim(of: session)
        else { return }
        floorEpoch = max(floorEpoch, record.modified + offset)
        guard doubt.isUnanswered, claim == .write, former.held == .write else { return }
        // Only a host with the write claim changes a mark. If it is as before, it may also be that nothing was carried out.
        record.isMarkLocal = false
        if register.mark == former.register?.mark { record.isMarkDoubtful = true }
    }

    /// Drops a record. Knowledge of an absent key stays until the watch is past it, or an older event would bring a claim back.
    mutating func forget(_ name: LockName) {
        records[name] = nil
        bury(name)
    }

    private mutating func bury(_ name: LockName) {
        guard let knowledge = known[name], knowledge.text.isEmpty else { return }
        if listing == nil, watchedTo >= knowledge.asOf {
            known[name] = nil
        } else {
            absent.append((name, knowledge.asOf))
        }
    }

    private mutating func dropAbsent() {
        guard listing == nil else { return }
        while let (name, revision) = absent.first, revision <= watchedTo {
            _ = absent.popFirst()
            guard records[name] == nil, let knowledge = known[name], knowledge.text.isEmpty else { continue }
            if knowledge.asOf <= watchedTo { known[name] = nil }
        }
    }
}
