import LockCore
public import LockVocabulary
import LockWire

/// A step that was carried out for a session. A simulation compares the steps, in their order, with a model.
public enum CarriedOut: Sendable, Equatable {
    case line(SessionID)
    /// A waiting request with this tag was granted or refused.
    case decision(SessionID, Tag)
    /// The line that was carried out last was refused for a limit: because its search for a circle took too many steps, or
    /// if `isLate`, perhaps because what is over counts until it is taken apart, or what is cached until it is taken back.
    case limited(isLate: Bool)
    /// The waiting requests of the session were dropped, before its end.
    case withdrawal(SessionID)
    case end(SessionID)
}

/// The answer to a request: the reply, its order with regard to the effects, and the cost of the request.
///
/// What is frequent is small, and the rest is `indirect`: otherwise each request would move more than a hundred bytes.
enum Answer {
    /// The reply, and then the effects.
    indirect case reply(Reply, cost: Cost = .line)
    /// The reply is written. The effects follow.
    case written(cost: Cost = .line)
    /// The effects, and then the reply: a client that has read the reply to `CANCEL` has already read the reply to the
    /// cancelled request.
    indirect case effectsFirst(Reply, cost: Cost = .line)
    /// The request waits; its reply is a later effect.
    case later(cost: Cost = .line)
    /// The effects, and then rows.
    indirect case rows(RowReply)
    /// The reply to `QUIT`, the session's end, and then the effects.
    case bye
}

/// What a simulation checks beside replies.
extension Server {
    /// Whether something is due that is not done: what has ended, can be granted, or is to be told.
    public var hasDueWork: Bool { table.hasWork }

    /// How many grants have a slot.
    public var cachedCount: Int { table.cachedCount }

    /// When the rules have something to do at the earliest.
    public var nextDueWork: Instant? { table.nextDeadline }

    /// Whether readers have waited for so long, and have not lost patience yet.
    public var hasLateReaders: Bool { table.hasLateReaders }

    /// Whether a session has lines or rows left that wait for a turn.
    public func isQueued(_ session: SessionID) -> Bool { accounts.isQueued(session) }

    /// All work that was done, in the units of README.md, and the notices to watchers among it.
    public var workDone: (all: Int, notices: Int) { (accounts.workDone, accounts.noticesSent) }

    /// All work that was charged to each user, since a caller that checks the order of service first set this.
    public var workOfUsers: [UInt32: Int]? {
        get { accounts.workOfUsers }
        set { accounts.workOfUsers = newValue }
    }
}

/// Carries out lines: parses a request, checks the right to it, gives the command to the rules, and writes the answer.
extension Server {
    mutating func carryOut(
        _ line: LineReader.Line, _ client: ConversationIndex, _ now: Instant
    ) -> Cost? {
        switch line {
        case .tooLong(let beginning):
            noteLine(of: client)
            let tag = Request.tag(ofBeginning: beginning)
            conversations[client].write(.error(WireError(.lineTooLong)), tag)
            return .line
        case .text(let text):
            table.advance(to: now)
            if !table.isBehind, let brief = Request.Brief(text) {
                #if DEBUG
                    plantedFaults?.strike(line: text)
                #endif
                noteLine(of: client)
                return give(answer(to: brief, client, now), to: nil, client, now)
            }
            switch Request.parseInFull(text) {
            case .fault(let tag, let error):
                noteLine(of: client)
                conversations[client].write(.error(error), tag)
                return .line
            case .request(let request):
                if table.isBehind, !settle(request, client) { return nil }
                #if DEBUG
                    plantedFaults?.strike(line: text)
                #endif
                noteLine(of: client)
                return give(answer(to: request, client, now), to: request.tag, client, now)
            }
        }
    }

    private mutating func noteLine(of client: ConversationIndex) {
        statistics.lines += 1
        carriedOut?.append(.line(conversations[client].session))
    }

    /// Does what is due on the locks that a request is about. Returns false if it cannot be decided yet.
    private mutating func settle(_ request: Request, _ client: ConversationIndex) -> Bool {
        let session = conversations[client].session
        defer { deliverEffects() }
        switch request.verb {
        case .acquire(let asked):
            // What is over would count against the limits.
            return !table.isBehind(session) && table.settle(asked.name, for: session)
        case .upgrade(let name, _, _):
            return !table.isBehind(session) && table.settle(name, for: session)
        case .release(let name, _), .releaseAtEnd(let name, _), .downgrade(let name, _, _),
            .renew(let name, _, _), .cancel(let name, _), .revoke(let name, _), .validate(let name, _),
            .status(let name, _):
            return table.settle(name, for: session)
        case .cancelTagged(let tag): return table.settle(tag, of: session)
        case .releaseAll(let owner): return table.settle(owner, of: session)
        case .list, .hot, .sessions, .stats, .help, .watch, .hello, .ping, .quit: return true
        }
    }

    private mutating func give(
        _ answer: consuming Answer, to tag: Tag?, _ client: ConversationIndex, _ now: Instant
    ) -> Cost {
        switch answer {
        case .reply(let reply, let cost):
            conversations[client].write(reply, tag)
            deliverEffects()
            return cost
        case .written(let cost):
            deliverEffects()
            return cost
        case .effectsFirst(let reply, let cost):
            deliverEffects()
            conversations[client].write(reply, tag)
            return cost
        case .later(let cost):
            deliverEffects()
            return cost
        case .rows(let reply):
            deliverEffects()
            begin(reply, client, at: now)
            return .line
        case .bye:
            conversations[client].write(.bye, tag)
            end(client, as: .ending, now)
            deliverEffects()
            return .line
        }
    }

    @inline(__always)
    private mutating func answer(
        to brief: borrowing Request.Brief, _ client: ConversationIndex, _ now: Instant
    ) -> Answer {
        guard let mode = brief.mode else { return release(brief.name, .only, nil, client, now) }
        return acquire(
            brief.name, mode, owner: .session, wait: brief.wait, lease: brief.lease, note: .none,
            mayCache: true, nil, client, now)
    }

    @inline(__always)
    private mutating func answer(
        to request: Request, _ client: ConversationIndex, _ now: Instant
    ) -> Answer {
        let session = conversations[client].session
        let tag = request.tag
        if let tag, table.isOpen(tag, in: session) { return .reply(.error(WireError(.tagInUse))) }
        switch request.verb {
        case .acquire(let asked):
            return acquire(
                asked.name, asked.mode, owner: asked.owner, wait: asked.wait, lease: asked.lease,
                note: asked.note, mayCache: asked.mayCache, tag, client, now)
        case .release(let name, let choice): return release(name, choice, tag, client, now)
        case .releaseAtEnd(let name, let choice):
            return answer(table.releaseAtEnd(name, choice, by: session, at: now)) { _ in .ok }
        case .releaseAll(let owner):
            let released = table.releaseAll(of: owner, by: session, at: now)
            return .effectsFirst(
                .releasedAll(grants: released.grants, waiters: released.waiters),
                cost: .line(extraWork: max(0, released.grants + released.waiters - 1)))
        case .upgrade(let name, let choice, let wait):
            guard allow(.write, name, client) else { return denied("write", name, client) }
            let decision = table.upgrade(name, choice, wait: wait, tag: tag, by: session, at: now)
            return answer(decision, name, .write, tag, client)
        case .downgrade(let name, let choice, let mode):
            let decision = table.downgrade(name, choice, to: mode, by: session, at: now)
            return answer(decision, name, mode, tag, client)
        case .renew(let name, let choice, let lease):
            return answer(table.renew(name, choice, lease: lease, by: session, at: now)) {
                .renewed(name, $0.token, TimeLimit($0.lease))
            }
        case .cancel(let name, let owner):
            return answer(table.cancel(name, owner: owner, by: session, at: now), effectsFirst: true) {
                .cancelled(name, $0)
            }
        case .cancelTagged(let cancelled):
            return answer(table.cancel(cancelled, by: session, at: now), effectsFirst: true) {
                .cancelled($0.name, $0.mode)
            }
        case .revoke(let name, let token): return revoke(name, token, client, now)
        case .validate(let name, let token):
            guard allow(.look, name, client) else { return denied("look", name, client) }
            return .reply(validate(name, token, now))
        case .status(let name, let limit):
            guard allow(.look, name, client) else { return denied("look", name, client) }
            table.advance(to: now)
            return .rows(.status(of: name, atMost: limit, tag))
        case .list(let prefix, let after, let limit, let rank):
            table.advance(to: now)
            if let rank {
                let ranking = Ranking(prefix: prefix, by: rank, atMost: limit ?? Self.usualRows)
                return .rows(.ranking(ranking, tag))
            }
            return .rows(.locks(prefix: prefix, after: after, atMost: limit, tag))
        case .hot(let prefix, let rank, let limit):
            return hot(prefix, by: rank ?? .waited, atMost: limit ?? Self.usualRows, tag, client, now)
        case .sessions: return .rows(.sessions(tag))
        case .stats: return .rows(.rows(statisticsRows(), tag))
        case .help: return .rows(.rows(Help.rows, tag))
        case .watch(let prefix): return watch(prefix, client)
        case .hello(let name, let recall, let cache): return hello(name, recall, cache ?? false, client)
        case .ping: return .reply(.pong)
        case .quit: return .bye
        }
    }

    // MARK: - Requests

    private mutating func revoke(
        _ name: LockName, _ token: Token, _ client: ConversationIndex, _ now: Instant
    ) -> Answer {
        guard allow(.revoke, name, client) else { return denied("revoke", name, client) }
        let result = table.revoke(name, token, at: now)
        if case .success = result {
            note(.revoked(token, by: conversations[client].peer), name, by: client)
        }
        return answer(result) { .revoked(name, token) }
    }

    private mutating func watch(_ prefix: String, _ client: ConversationIndex) -> Answer {
        let isWatching = watchers.watch(
            prefix, by: conversations[client].session, of: conversations[client].account,
            atMost: conversations[client].verdict.allowance.watchers ?? .max)
        guard isWatching else {
            note(.limitHit(ErrorCode.limitWatchers.rawValue), by: client)
            return .reply(.error(WireError(.limitWatchers)))
        }
        // A watcher sees each change from now on, so no grant that it watches changes without the daemon.
        let looked = table.cachedCount > 0 ? table.cachedBound : 0
        let taken = table.cachedCount > 0 ? table.stopCaching(prefix: prefix, at: table.now) : 0
        table.isObserved = true
        conversations[client].hasNewStanding = true
        return .reply(.ok, cost: .line(extraWork: looked / 8 + taken))
    }

    private mutating func hello(
        _ name: Note?, _ recall: Bool?, _ wantsSlots: Bool, _ client: ConversationIndex
    ) -> Answer {
        let session = conversations[client].session
        if let name { conversations[client].client = name }
        if let recall { table.setRecall(recall, of: session) }
        let limits = SessionLimits(
            line: limits.line, grants: limits.rules.sessionGrants, waiters: limits.rules.sessionWaiters)
        let cost = wantsSlots && !table.hasSlots(session) ? Cost.slots : .line
        return .reply(
            .hello(
                version: Reply.protocolVersion, server: program, session: UInt64(session.serial),
                limits: limits, slots: wantsSlots ? slotCount(of: session) : nil), cost: cost)
    }

    /// Gives a session slots, unless it has some. Returns how many it has.
    private mutating func slotCount(of session: SessionID) -> Int {
        if table.hasSlots(session) { return SlotMemory.slotCount }
        guard !isFull, table.mayHaveSlots(session), let slotMaker else { return 0 }
        hasCalledSlotMaker = true
        guard let memory = slotMaker(session) else { return 0 }
        cachePolicy.begin()
        table.setSlots(memory, of: session)
        return SlotMemory.slotCount
    }

    // MARK: - Rights

    @inline(__always)
    func allow(_ right: Policy.Right, _ name: LockName, _ client: ConversationIndex) -> Bool {
        conversations[client].verdict.rights.allow(right, name)
    }

    mutating func denied(
        _ what: String, _ name: LockName, _ client: ConversationIndex
    ) -> Answer {
        statistics.denied += 1
        note(.denied(what), name, by: client)
        return .reply(.denied(name, what: what, reason: "not-permitted"))
    }

    // MARK: - Results

    @inline(__always)
    mutating func answer(
        _ decision: Decision, _ name: LockName, _ mode: LockMode, _ tag: Tag?,
        _ client: ConversationIndex, _ slot: GrantedSlot? = nil, cost: Cost = .line
    ) -> Answer {
        switch decision {
        case .granted(let granted):
            statistics.grants += 1
            conversations[client].writeGranted(
                name, granted.mode, granted.token, ownerDied: granted.mark, slot,
                until(name), tag)
            return .written(cost: cost)
        case .waiting: return .later(cost: cost)
        case .refused(let refusal):
            if carriedOut != nil { noteLimit(refusal) }
            return .reply(reply(refusal, name, mode, client, hasWaited: false), cost: cost)
        }
    }

    private mutating func noteLimit(_ refusal: Refusal) {
        guard case .limit(let limit) = refusal else { return }
        if limit == .waits || table.hasWork || cachePolicy.isOn {
            carriedOut?.append(.limited(isLate: limit != .waits))
        }
    }

    private func answer<Value>(
        _ result: Result<Value, Refusal>, effectsFirst: Bool = false, _ success: (Value) -> Reply
    ) -> Answer {
        let reply: Reply
        switch result {
        case .success(let value): reply = success(value)
        case .failure(let refusal): reply = .error(error(refusal))
        }
        return effectsFirst ? .effectsFirst(reply) : .reply(reply)
    }
}
