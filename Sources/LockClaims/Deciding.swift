import LockVocabulary

/// What this host does next about one name: a function of its record, the living hosts and the time.
///
/// `settle` is called after each change of any of them. It remembers nothing of former steps, except what the record names.
extension Claims {
    /// How long a reading probe of another host waits for the readers of this host to be alone on the lock.
    static var probePatience: Duration { .milliseconds(5) }
    /// How long a local request that must not wait waits for the store. The rules have the same limit.
    static var probeLimit: Duration { .milliseconds(500) }

    mutating func settle(_ name: LockName) {
        guard var record = records[name] else { return }
        noteHeld(&record, name)
        let recall = recall(&record)
        noteProbe(&record)
        let directive = directive(name, record, recall)
        let permits = record.situation.fleet.permits
        let isShort = directive.allowed != nil && weaker(directive.allowed, permits) != directive.allowed
        // Also if the rules have not done it, or have taken back by themselves what they may let sessions have.
        if directive != record.directive || isShort {
            recalls += (directive.recall == .none ? 0 : 1) - (record.directive.recall == .none ? 0 : 1)
            record.directive = directive
            if !record.isChanged { changed.append(name) }
            record.isChanged = true
        }
        setDeadline(&record, name)
        if !record.isReady, needsStep(name, record, recall) {
            ready.append(name)
            record.isReady = true
        }
        if isForgettable(record) {
            forget(name)
        } else {
            records[name] = record
        }
    }

    /// The claim of this host. A restored session goes on with what its rules have in use until the register is read.
    private func claim(_ record: Record) -> ClaimMode? {
        guard let session else { return nil }
        return switch record.content {
        case .unknown: record.situation.fleet.permits
        case .register(let register): register.claim(of: session)
        case .damaged: nil
        }
    }

    /// Notes what was gained or lost since the last time.
    private mutating func noteHeld(_ record: inout Record, _ name: LockName) {
        let held = claim(record)
        if held == .write, record.situation.fleet == .nothing { record.isMarkLocal = true }
        if held != record.held {
            if let held, record.held.map({ $0 < held }) ?? true {
                record.gainedAt = now
                record.hasReachedRules = false
                record.isMarkLocal = held == .write && record.situation.fleet == .nothing
                storedState.totalClaims += 1
                floorEpoch = max(floorEpoch, record.modified + offset)
            } else {
                if session != nil { storedState.totalHandovers += 1 }
                record.isMarkDoubtful = false
            }
            if record.held == nil { storedState.claims += 1 }
            if held == nil {
                storedState.claims -= 1
                setEvicted(&record, false)
            }
            record.held = held
        }
        if let held, let permits = record.situation.fleet.permits, permits >= held {
            record.hasReachedRules = true
        }
        noteIdle(&record, name)
    }

    private mutating func noteIdle(_ record: inout Record, _ name: LockName) {
        let isIdle = record.held != nil && !record.situation.isUsed
        if record.situation.isUsed { setEvicted(&record, false) }
        guard isIdle != record.isIdle else { return }
        record.isIdle = isIdle
        idleCount += isIdle ? 1 : -1
        guard isIdle else { return }
        lastIdle += 1
        record.idleNumber = lastIdle
        idle.append((name, lastIdle))
    }

    /// Gives up the longest idle claims beyond the limit.
    mutating func evictIdle() {
        while idleCount - evicted > configuration.idleClaims, let (name, number) = idle.popFirst() {
            guard var record = records[name], record.isIdle, record.idleNumber == number, !record.isEvicted
            else { continue }
            setEvicted(&record, true)
            records[name] = record
            settle(name)
        }
        // Most entries are those of claims that are in use again: each name keeps its newest.
        guard idle.count > 2 * idleCount + 1_000 else { return }
        var kept = Fifo<(LockName, UInt64)>()
        while let (name, number) = idle.popFirst() {
            if records[name].map({ $0.isIdle && $0.idleNumber == number }) ?? false {
                kept.append((name, number))
            }
        }
        idle = kept
    }

    private mutating func setEvicted(_ record: inout Record, _ isEvicted: Bool) {
        guard isEvicted != record.isEvicted else { return }
        record.isEvicted = isEvicted
        evicted += isEvicted ? 1 : -1
    }

    // MARK: - Recall

    /// What the rules' fleet session is to request, as other hosts wait or the claim is to end.
    private func recall(_ record: inout Record) -> (kind: Recall, isFirst: Bool, removesProbe: Bool) {
        guard let session, let held = record.held, let register = record.register else {
            record.blockedSince = nil
            return (.none, false, false)
        }
        let blocked = register.blocked(by: session).filter { !isDead($0.session) }
        guard let first = blocked.first else {
            (record.blockedSince, record.probedSince) = (nil, nil)
            return (isLeaving || record.isEvicted ? .all : .none, false, false)
        }
        let since = record.blockedSince ?? now
        record.blockedSince = since
        if isLeaving { return (.all, now >= since.advanced(by: configuration.maximumTurn), false) }
        // What was gained for local requests reaches them first, or two hosts would pass it to and fro unused.
        guard record.hasReachedRules || record.situation.demand == .none else { return (.none, false, false) }
        let kind = first.mode == .read && held == .write ? Recall.share : .all
        if first.isProbe {
            guard record.situation.isUsed else { return (kind, false, false) }
            // Sessions hold or wait. They may all be readers, beside which the other host may read; the rules know.
            let probed = record.probedSince ?? now
            record.probedSince = probed
            let canShare = kind == .share && now < probed.advanced(by: Self.probePatience)
            let isShared = kind == .share && record.situation.fleet != .nothing
            return canShare || isShared ? (.share, false, false) : (.none, false, true)
        }
        record.probedSince = nil
        let turn = record.gainedAt.advanced(by: configuration.minimumTurn)
        guard now >= turn || !record.situation.isUsed else { return (.none, false, false) }
        return (kind, now >= since.advanced(by: configuration.maximumTurn), false)
    }

    // MARK: - Probes

    /// Finds out whether local requests that must not wait are to be refused.
    private func noteProbe(_ record: inout Record) {
        guard record.situation.isProbe, record.situation.demand != .none, !isSatisfied(record) else {
            (record.probeSince, record.isProbeAsked, record.isProbeRefused) = (nil, false, false)
            return
        }
        let since = record.probeSince ?? now
        record.probeSince = since
        let isWaiting = session.flatMap { record.register?.waiter(of: $0) } != nil
        // A holder has removed the entry: that is its answer.
        if record.isProbeAsked, !isWaiting { record.isProbeRefused = true }
        if isWaiting { record.isProbeAsked = true }
        if now >= since.advanced(by: Self.probeLimit) { record.isProbeRefused = true }
    }

    /// Whether the claim is what local requests wait for.
    private func isSatisfied(_ record: Record) -> Bool {
        switch record.situation.demand {
        case .none: true
        case .read: record.held != nil
        case .write, .upgrade: record.held == .write
        }
    }

    // MARK: - Directive

    private func directive(
        _ name: LockName, _ record: Record, _ recall: (kind: Recall, isFirst: Bool, removesProbe: Bool)
    ) -> Directive {
        var directive = Directive()
        directive.allowed = record.held
        if let doubt = record.doubt, doubt.modified == record.modified {
            directive.allowed = weaker(directive.allowed, doubt.remains)
        }
        // What the rules have given back stays so, until the swap is answered or no host waits any more. But a session that
        // waits to upgrade goes before all others: the fleet's session could not get the rest beside it.
        if recall.kind != .none, record.situation.demand != .upgrade {
            directive.allowed = weaker(directive.allowed, record.situation.fleet.permits)
        }
        directive.recall = recall.kind
        directive.recallsFirst = recall.isFirst
        // Until a restored session has read the register, the rules keep what they have, such as a mark.
        directive.isClaimed = record.held != nil || record.content == .unknown && restoredUpTo > 0
        if let register = record.register {
            directive.mark = mark(record)
            directive.holders = register.holders.map { HostClaim(host: $0.session.host, mode: $0.mode) }
            directive.waiters = register.waiters.map { HostClaim(host: $0.session.host, mode: $0.mode) }
        }
        directive.refusal = refusal(name, record, directive)
        return directive
    }

    /// The mark of a name under this host's claim.
    private func mark(_ record: Record) -> ClaimMark? {
        if record.isMarkLocal { return record.situation.mark }
        guard record.held == .write, record.isMarkDoubtful else { return record.register?.mark }
        // A former process may have had the claim in use. The rules have kept a mark, but not that a writer has removed one.
        return record.situation.mark ?? record.register?.mark.map { _ in .maybe }
    }

    private func refusal(_ name: LockName, _ record: Record, _ directive: Directive) -> ClaimRefusal {
        guard record.situation.demand != .none, !isSatisfied(record) else { return .none }
        if record.content == .damaged {
            let key = String(decoding: keys.register(name), as: UTF8.self)
            return .damaged("the key \(key) is not one of a prwlockd, and must be removed")
        }
        if let fault = record.fault, record.pausedUntil.map({ $0 > now }) ?? false {
            return .unavailable(fault)
        }
        if record.isProbeRefused {
            let others = directive.holders.contains { $0.host != configuration.host }
            let waits = directive.waiters.contains { $0.host != configuration.host }
            return others || waits ? .busy : .unavailable("no answer from the cluster in time")
        }
        if record.situation.demand == .upgrade, let other = foreignUpgrade(record) { return .deadlock(other) }
        return .none
    }

    /// The living host of another reader that waits to upgrade.
    private func foreignUpgrade(_ record: Record) -> HostName? {
        guard let first = record.register?.waiters.first, first.isUpgrade, first.session != session,
            !isDead(first.session)
        else { return nil }
        return first.session.host
    }

    // MARK: - The next swap

    enum Step {
        case lookup
        case swap(Swap)
    }

    private func needsStep(
        _ name: LockName, _ record: Record, _ recall: (kind: Recall, isFirst: Bool, removesProbe: Bool)
    ) -> Bool {
        step(name, record, recall) != nil
    }

    /// The next step for a name that has its turn; nil for none.
    mutating func takeStep(_ name: LockName) -> Step? {
        guard var record = records[name] else { return nil }
        let recall = recall(&record)
        guard let step = step(name, record, recall) else { return nil }
        return step
    }

    private func step(
        _ name: LockName, _ record: Record, _ recall: (kind: Recall, isFirst: Bool, removesProbe: Bool)
    ) -> Step? {
        guard let session, !record.isInFlight, record.pausedUntil.map({ $0 <= now }) ?? true else {
            return nil
        }
        if record.needsLookup { return .lookup }
        // A restored session reads all registers first.
        if record.content == .unknown, record.held != nil { return nil }
        guard record.content != .damaged else { return nil }
        let register = record.register ?? Register()
        let isNamed = register.sessions.contains { $0.host == configuration.host }
        let swept = register.sessions.filter { isDead($0) }
        guard isNamed || record.situation.demand != .none || isOldest && !swept.isEmpty else { return nil }

        var swap = Swap(name: name, modified: record.modified, next: register)
        swap.swept = swept
        swap.isQuiet = record.situation.demand == .none && record.blockedSince == nil
        sweep(&swap, record)
        giveUp(&swap, record, recall.kind, session)
        if recall.removesProbe, let probe = swap.next.waiters.first, probe.isProbe {
            swap.next.setWaiter(nil, of: probe.session)
        }
        let wish = wish(record, swap.next.claim(of: session), swap.next, session)
        swap.next.setWaiter(wish, of: session)
        swap.promoted = swap.next.promote()
        if swap.next != register {
            noteMark(&swap, record, session)
            return .swap(swap)
        }
        return proof(swap, record, wish)
    }

    /// Removes dead sessions. The mark of a claim that this process had in a former session is known; others' is not.
    private func sweep(_ swap: inout Swap, _ record: Record) {
        let own = swap.swept.first { $0.host == configuration.host && swap.next.claim(of: $0) == .write }
        swap.next.sweep(swap.swept)
        if let own, let left = record.left, left.session == own { swap.next.mark = left.mark }
    }

    /// What this host leaves behind on a name when its session ends at once.
    func left(_ record: Record, by session: HostSession) -> (session: HostSession, mark: ClaimMark?)? {
        guard record.held == .write else { return nil }
        if record.situation.fleet == .nothing { return (session, .maybe) }
        return (session, mark(record))
    }

    private func giveUp(_ swap: inout Swap, _ record: Record, _ recall: Recall, _ session: HostSession) {
        guard recall != .none, let held = swap.next.claim(of: session) else { return }
        let mark = mark(record)
        let canShare =
            record.situation.fleet == .read
            || record.situation.fleet == .all && record.situation.demand <= .read
        if recall == .share, held == .write, canShare {
            swap.next.share(session, mark: mark)
            swap.givesUp = .some(.read)
        } else if record.situation.fleet == .all {
            swap.next.yield(session, mark: mark)
            swap.givesUp = .some(nil)
        }
    }

    /// This host's place in the queue, as its local requests need it.
    private func wish(
        _ record: Record, _ held: ClaimMode?, _ register: Register, _ session: HostSession
    ) -> Register.Waiter? {
        guard !isLeaving, !record.isProbeRefused else { return nil }
        var wish = Register.Waiter(mode: .write, session: session, isProbe: record.situation.isProbe)
        switch record.situation.demand {
        case .none: return nil
        case .read:
            guard held == nil else { return nil }
            wish.mode = .read
        case .write: guard held != .write else { return nil }
        case .upgrade:
            guard held != .write else { return nil }
            if held == .read {
                let isTaken = register.waiters.first.map { $0.isUpgrade && $0.session != session } ?? false
                if isTaken { return nil }
                wish.isUpgrade = true
            }
        }
        return wish
    }

    /// A swap that changes no word: it takes away a doubt, or proves that a probe is refused.
    private func proof(_ swap: Swap, _ record: Record, _ wish: Register.Waiter?) -> Step? {
        var swap = swap
        if let session { noteMark(&swap, record, session) }
        if let doubt = record.doubt, doubt.modified == record.modified, record.situation.demand != .none {
            return .swap(swap)
        }
        guard let wish, wish.isProbe, swap.next.waiter(of: wish.session) == nil,
            swap.next.claim(of: wish.session) != wish.mode
        else { return nil }
        swap.isProof = true
        return .swap(swap)
    }

    /// A writer's host says what it knows of the mark whenever it writes the register for another reason.
    private func noteMark(_ swap: inout Swap, _ record: Record, _ session: HostSession) {
        if record.held == .write, swap.next.claim(of: session) == .write { swap.next.mark = mark(record) }
    }

    // MARK: - Time and end of a record

    private mutating func setDeadline(_ record: inout Record, _ name: LockName) {
        var deadline = record.pausedUntil.flatMap { $0 > now ? $0 : nil }
        func consider(_ instant: Instant?) {
            guard let instant, instant > now else { return }
            deadline = Instant.earliest(deadline, instant)
        }
        if let since = record.blockedSince {
            consider(record.gainedAt.advanced(by: configuration.minimumTurn))
            consider(since.advanced(by: configuration.maximumTurn))
        }
        consider(record.probedSince?.advanced(by: Self.probePatience))
        if !record.isProbeRefused { consider(record.probeSince?.advanced(by: Self.probeLimit)) }
        guard deadline != record.deadline else { return }
        record.deadline = deadline
        if let deadline { deadlines.add(name, at: deadline) }
    }

    /// What pauses has a step left, such as a sweep that a full store has refused.
    private func isForgettable(_ record: Record) -> Bool {
        guard session != nil, !record.isInFlight, !record.isReady, !record.needsLookup,
            record.situation.isIdle, record.pausedUntil.map({ $0 <= now }) ?? true
        else { return false }
        return !(record.register?.sessions.contains { $0.host == configuration.host } ?? false)
    }
}

extension Situation {
    /// Whether no session of this host has to do with the name, and the rules keep no mark for it.
    var isIdle: Bool { demand == .none && !isUsed && fleet == .all && mark == nil }
}
