public import LockVocabulary

/// How far the making of a session is.
enum SessionStep: Equatable {
    /// Nothing is asked until `pauseEnd`.
    case pausing
    /// The fleet's settings and this host's key are read.
    case looking
    /// A former lease of this daemon is revoked.
    case revoking
    case granting
    case registering
    case live
    /// The lease is revoked at the orderly end.
    case ending
    case ended
}

/// The session of this host: a lease, and a key that lives as long as the lease.
///
///     pausing → looking → granting → registering → live
///                  ↓ ↑                   ↓
///               revoking              looking
///
/// A claim counts until `validUntil`: the sending of the last keep-alive that was answered, and the lease's time, less a
/// margin. The store counts from a later instant, so it ends the lease later, whatever the network does.
extension Claims {
    public mutating func advance(to instant: Instant) {
        now = max(now, instant)
        if let validUntil, now >= validUntil {
            // So late only if the process was stopped, or the host: the store could not answer, and has its time from now on.
            if now >= validUntil.advanced(by: .milliseconds(100)) { lastAnswer = now }
            endSession("no keep-alive was answered in time")
        }
        if let end = pauseEnd, now >= end {
            pauseEnd = nil
            look()
        }
        if let at = listAt, now >= at { beginListing() }
        if let end = gatePauseEnd, now >= end { gatePauseEnd = nil }
        lookAtWatch()
        noteReachability()
        while let name = deadlines.pop(until: now) {
            guard let deadline = records[name]?.deadline, deadline <= now else { continue }
            records[name]?.deadline = nil
            settle(name)
        }
        sweepSome()
        if session != nil { waits.advance(to: now, isRecalling: recalls > 0) }
        if isLeaving { goOnLeaving() }
    }

    /// The next instant at which something happens; `advance` then, and take what there is to take.
    public var nextDeadline: Instant? {
        var next = Instant.earliest(validUntil, pauseEnd)
        next = Instant.earliest(next, listAt)
        next = Instant.earliest(next, deadlines.next)
        if session != nil {
            next = Instant.earliest(next, gatePauseEnd)
            if !isKeepingAlive { next = Instant.earliest(next, nextKeepAlive) }
            next = Instant.earliest(next, nextWatchDeadline)
            next = Instant.earliest(next, nextSweep)
            next = Instant.earliest(next, waits.nextDeadline(isRecalling: recalls > 0))
        } else if storedState.isReachable, step != .ended, let lastAnswer {
            next = Instant.earliest(next, lastAnswer.advanced(by: .seconds(configuration.leaseSeconds)))
        }
        return next
    }

    private mutating func noteReachability() {
        guard session == nil, storedState.isReachable, let lastAnswer, step != .ended,
            now >= lastAnswer.advanced(by: .seconds(configuration.leaseSeconds))
        else { return }
        storedState.isReachable = false
        storedState.unavailable = "the cluster does not answer: \(lastTrouble)"
        events.append(.unreachable(lastTrouble))
    }

    // MARK: - The way to a session

    private mutating func look() {
        step = .looking
        outbox.append(.look)
    }

    mutating func pause(_ duration: Duration) {
        step = .pausing
        pauseEnd = now.advanced(by: duration)
    }

    /// The settings and the host's key, as they are now.
    mutating func takeLook(_ reads: [[KeyValue]], _ revision: Revision) {
        guard reads.count == 2 else { return pause(.seconds(1)) }
        guard let settings = settings(reads[0].first) else { return }
        settingsModified = reads[0].first?.modified ?? 0
        self.settings = settings
        isSettingsNews = settingsModified == 0
        newestRevision = max(newestRevision, revision)
        raiseOffset(revision)
        guard let key = reads[1].first else {
            takenSince = nil
            // A lease that was asked for just now serves; an older one has lost a part of its time.
            if let sentAt = leaseSentAt, now < sentAt.advanced(by: .seconds(configuration.leaseSeconds) / 3) {
                step = .registering
                return outbox.append(.register)
            }
            step = .granting
            return outbox.append(.grantLease)
        }
        guard key.lease != 0, let record = HostRecord(text: key.value) else {
            return fail(.damagedKey(String(decoding: key.key, as: UTF8.self)))
        }
        guard record.instance == configuration.instance else { return waitFor(record) }
        // That was this daemon: now, if an answer was lost, or in a former life, which has ended.
        if key.lease == lease, leaseSentAt != nil, !isSettingsNews { return begin(key.created) }
        step = .revoking
        outbox.append(.revoke(key.lease))
    }

    /// The settings of the fleet, or those that this daemon is to write; nil after a failure.
    private mutating func settings(_ pair: KeyValue?) -> FleetSettings? {
        guard let pair else { return FleetSettings(prefixes: configuration.namePrefixes, offset: offset) }
        guard let settings = FleetSettings(text: pair.value) else {
            fail(.damagedKey(String(decoding: pair.key, as: UTF8.self)))
            return nil
        }
        guard settings.prefixes == configuration.namePrefixes else {
            fail(.otherPrefixes(settings.prefixes))
            return nil
        }
        return settings
    }

    /// Raises the offset above all that this host has seen, if the store's revision has fallen. Other hosts may have seen
    /// more, so the offset gets a reserve.
    private mutating func raiseOffset(_ revision: Revision) {
        guard revision + offset < highestEpoch else { return }
        events.append(.backupRestored(seen: highestEpoch, now: revision + offset))
        settings?.offset = highestEpoch - revision + 1 << 24
        isSettingsNews = true
    }

    /// Another daemon has the host name: it may have ended a moment ago.
    private mutating func waitFor(_ other: HostRecord) {
        let since = takenSince ?? now
        takenSince = since
        if now >= since.advanced(by: .seconds(other.leaseSeconds) + .seconds(5)) {
            return fail(.hostNameTaken(configuration.host))
        }
        pause(.seconds(1))
    }

    mutating func fail(_ fault: FleetFault) {
        if storedState.phase != .failed(fault) { events.append(.failed(fault)) }
        storedState.phase = .failed(fault)
        storedState.unavailable = fault.description
        pause(.seconds(2))
    }

    mutating func takeLease(_ id: LeaseID, _ seconds: Int64, sentAt: Instant) {
        guard step == .granting else { return outbox.append(.revoke(id)) }
        (lease, leaseSeconds, leaseSentAt) = (id, seconds, sentAt)
        step = .registering
        outbox.append(.register)
    }

    /// The session begins, with its key created at this revision.
    mutating func begin(_ number: Revision) {
        guard let sentAt = leaseSentAt else { return pause(.zero) }
        leaseSentAt = nil
        if isSettingsNews { (isSettingsNews, settingsModified) = (false, number) }
        generation += 1
        let end = validity(from: sentAt, seconds: leaseSeconds)
        guard now < end else { return pause(.zero) }
        let session = HostSession(host: configuration.host, number: number)
        self.session = session
        validUntil = end
        gateRevision = number
        floorEpoch = max(floorEpoch, number + offset)
        see(number)
        step = .live
        nextKeepAlive = sentAt.advanced(by: interval)
        if !isLeaving { storedState.phase = .live }
        storedState.unavailable = nil
        events.append(.sessionBegan(session, lease: lease, seconds: leaseSeconds))
        hosts[session.host] = HostKnowledge(number: number, asOf: number)
        beginListing()
        for name in names { settle(name) }
    }

    private func validity(from sentAt: Instant, seconds: Int64) -> Instant {
        let lease = Duration.seconds(seconds)
        return sentAt.advanced(by: lease - configuration.margin(of: lease))
    }

    /// The time between keep-alives.
    private var interval: Duration { .milliseconds(leaseSeconds * 333) }

    // MARK: - Its life

    mutating func takeKeepAlive(_ answer: StoreAnswer, sentAt: Instant) {
        isKeepingAlive = false
        if isListingDue {
            isListingDue = false
            outbox.append(.list(listingNumber))
        }
        switch answer {
        case .alive(let seconds) where seconds > 0:
            storedState.totalKeepAlives += 1
            leaseSeconds = seconds
            let end = validity(from: sentAt, seconds: seconds)
            validUntil = max(validUntil ?? end, end)
            nextKeepAlive = max(now, sentAt.advanced(by: interval))
        case .alive, .refused(.leaseNotFound): endSession("the cluster has ended the lease")
        default: nextKeepAlive = now.advanced(by: max(.milliseconds(100), interval / 10))
        }
    }

    /// What a transaction of this host read when its session was not as expected.
    mutating func takeCheck(_ reads: [[KeyValue]], _ revision: Revision) {
        guard let session, reads.count == 2 else { return }
        noteSettings(reads[0].first?.modified, asOf: revision)
        guard self.session != nil else { return }
        noteHost(session.host, reads[1].first?.created, asOf: revision)
    }

    /// All claims end at once.
    mutating func endSession(_ reason: String) {
        guard let session else { return }
        events.append(.leaseLost(reason))
        storedState.totalLostLeases += 1
        if !isLeaving { storedState.phase = .beginning }
        isSeized = true
        for name in names {
            if let record = records[name], let left = left(record, by: session) { records[name]?.left = left }
            records[name]?.doubt = nil
        }
        leaveSession()
        for name in names { settle(name) }
        pause(.zero)
    }

    private mutating func leaveSession() {
        session = nil
        validUntil = nil
        generation += 1
        listing = nil
        isListingDue = false
        listAt = nil
        hostsKnownTo = 0
        watchedTo = 0
        care = WatchCare()
        restoredUpTo = 0
        isOldest = false
        sweeps = Fifo()
        isKeepingAlive = false
        isRaisingGate = false
        gatePauseEnd = nil
        hosts = [:]
        waits.reset()
        outbox = Fifo()
        forgetRegisters()
    }

    /// What was read under a former session says nothing in the next one: if the store was restored from a backup in between,
    /// the same revision may stand for another state.
    private mutating func forgetRegisters() {
        known = [:]
        hasForgotten = false
        absent = Fifo()
        for name in names {
            records[name]?.content = .register(Register())
            records[name]?.modified = 0
            records[name]?.needsLookup = false
        }
    }

    /// The store's revision has fallen: nothing of what is known counts.
    mutating func noteRestoredBackup(_ revision: Revision) {
        endSession("the cluster was restored from a backup")
        era += 1
        newestRevision = revision
        settingsModified = 0
    }

    mutating func resume(_ facts: FleetFacts) {
        session = facts.session
        (lease, leaseSeconds, validUntil) = (facts.lease, facts.leaseSeconds, facts.validUntil)
        settings = FleetSettings(prefixes: configuration.namePrefixes, offset: facts.offset)
        settingsModified = facts.settingsModified
        newestRevision = facts.newestRevision
        gateRevision = facts.newestRevision
        floorEpoch = facts.session.number + facts.offset
        highestEpoch = max(highestEpoch, facts.highestEpoch)
        generation = 1
        step = .live
        storedState.phase = .live
        pauseEnd = nil
        nextKeepAlive = .zero
        hosts[facts.session.host] = HostKnowledge(number: facts.session.number, asOf: facts.session.number)
        restoredUpTo = .max
        // A listing may be long. The former process may have been killed, as this one may be soon, so the lease comes first.
        prepareListing()
        isListingDue = true
    }

    // MARK: - Its orderly end

    /// Begins the orderly end: recalls all claims, gives them up, and revokes the lease. `state.phase` is `.left` then. Claims
    /// in use stay until their sessions have ended.
    public mutating func leave(at now: Instant) {
        guard !isLeaving else { return }
        isLeaving = true
        storedState.phase = .leaving
        for name in names { settle(name) }
        advance(to: now)
    }

    private mutating func goOnLeaving() {
        switch step {
        case .live:
            guard storedState.claims == 0, swapsInFlight == 0, listing == nil, ready.isEmpty else { return }
            endQuietly()
            outbox.append(.revoke(lease))
            step = .ending
        case .ending, .ended, .granting, .registering, .revoking, .looking: break
        case .pausing:
            pauseEnd = nil
            end()
        }
    }

    /// No claim is left that could be seized.
    private mutating func endQuietly() {
        leaveSession()
        for name in names { settle(name) }
    }

    mutating func end() {
        step = .ended
        storedState.phase = .left
    }
}

extension FleetFault: CustomStringConvertible {
    /// What is wrong, in words.
    public var description: String {
        switch self {
        case .hostNameTaken(let host): "another daemon uses the host name \(host)"
        case .otherPrefixes(let prefixes):
            "the fleet shares other names: its prefixes are \(prefixes.map { "\"\($0)\"" }.joined(separator: ", "))"
        case .damagedKey(let key): "the key \(key) in the cluster is not one of prwlock's"
        case .notPermitted(let text): "the cluster does not permit it: \(text)"
        case .other(let text): "the cluster refuses: \(text)"
        }
    }
}
