import LockCore
public import LockVocabulary
import LockWire

/// What was done for a session: so a simulation knows what to hold against the guarantees, and when.
public enum CarriedOut: Sendable, Equatable {
    case line(SessionID)
    /// What it waited for was dropped, before its end.
    case withdrawal(SessionID)
    case end(SessionID)
}

/// From a line to a command, and from its answer to a reply.
extension Server {
    mutating func carryOut(_ line: LineReader.Line, _ slot: Int, _ now: Instant) {
        statistics.lines += 1
        carriedOut?.append(.line(conversations[slot].session))
        switch line {
        case .tooLong(let beginning):
            reply(.error(WireError(.lineTooLong)), Request.tag(ofBeginning: beginning), slot)
        case .text(let text):
            switch Request.parse(text) {
            case .fault(let tag, let error): reply(.error(error), tag, slot)
            case .request(let request): carryOut(request, slot, now)
            }
        }
    }

    @inline(__always)
    private mutating func carryOut(_ request: consuming Request, _ slot: Int, _ now: Instant) {
        let session = conversations[slot].session
        let tag = request.tag
        if let tag, table.isOpen(tag, in: session) {
            reply(.error(WireError(.tagInUse)), tag, slot)
            return
        }
        switch request.verb {
        case .acquire(let asked):
            let right: Policy.Right = asked.mode == .read ? .read : .write
            guard permit(right, "\(asked.mode)", asked.name, tag, slot), keepsOrder(asked, tag, slot)
            else { return }
            let acquisition = Acquisition(
                asked.name, asked.mode, owner: asked.owner, wait: asked.wait, lease: asked.lease,
                note: asked.note, tag: tag)
            answer(table.acquire(acquisition, by: session, at: now), asked.name, asked.mode, tag, slot)
        case .release(let name, let choice):
            answer(table.release(name, choice, by: session, at: now), tag, slot) {
                .released(name, $0)
            }
        case .releaseAtEnd(let name, let choice):
            let result = table.releaseAtEnd(name, choice, by: session, at: now)
            answer(result, tag, slot) { _ in .ok(0) }
        case .releaseAll(let owner):
            let released = table.releaseAll(of: owner, by: session, at: now)
            surcharge = max(0, released.grants + released.waiters - 1)
            // The requests are answered first, so that a client that has read the second answer finds all decided.
            tellEffects()
            reply(.releasedAll(grants: released.grants, waiters: released.waiters), tag, slot)
        case .upgrade(let name, let choice, let wait):
            guard permit(.write, "write", name, tag, slot) else { return }
            let decision = table.upgrade(
                name, choice, wait: wait, tag: tag, by: session, at: now)
            answer(decision, name, .write, tag, slot)
        case .downgrade(let name, let choice, let mode):
            let decision = table.downgrade(name, choice, to: mode, by: session, at: now)
            answer(decision, name, mode, tag, slot)
        case .renew(let name, let choice, let lease):
            answer(table.renew(name, choice, lease: lease, by: session, at: now), tag, slot) {
                .renewed(name, $0.token, $0.lease.map(TimeLimit.upTo) ?? .forever)
            }
        case .cancel(let name, let owner):
            let result = table.cancel(name, owner: owner, by: session, at: now)
            // The request itself is answered first, so that a client that has read the second answer finds it decided.
            tellEffects()
            answer(result, tag, slot) { .cancelled(name, $0) }
        case .cancelTagged(let cancelled):
            let result = table.cancel(cancelled, by: session, at: now)
            tellEffects()
            answer(result, tag, slot) { .cancelled($0.name, $0.mode) }
        case .revoke(let name, let token): revoke(name, token, tag, slot, now)
        case .validate(let name, let token):
            guard permit(.look, "look", name, tag, slot) else { return }
            reply(table.validate(name, token, at: now) ? .valid(name, token) : .stale(name, token), tag, slot)
        case .status(let name):
            guard permit(.look, "look", name, tag, slot) else { return }
            table.advance(to: now)
            tellEffects()
            begin(.status(name, StatusCursor()), tag, slot, now)
        case .list(let prefix, let after, let limit):
            table.advance(to: now)
            tellEffects()
            begin(.locks(prefix: prefix, after: after, left: limit ?? .max), tag, slot, now)
        case .sessions: begin(.sessions(from: 0), tag, slot, now)
        case .stats: begin(.rows(statisticsRows()[...]), tag, slot, now)
        case .help: begin(.rows(Help.rows[...]), tag, slot, now)
        case .watch(let prefix):
            watch(prefix, tag, slot)
        case .hello(let client, let recall): hello(client, recall, tag, slot)
        case .ping: reply(.pong, tag, slot)
        case .quit:
            reply(.bye, tag, slot)
            end(slot, as: .ending, now)
        }
        if !table.effects.isEmpty { tellEffects() }
    }

    private mutating func hello(_ client: Note?, _ recall: Bool?, _ tag: Tag?, _ slot: Int) {
        let session = conversations[slot].session
        if let client { conversations[slot].client = client }
        if let recall { table.setRecall(recall, of: session) }
        let limits = SessionLimits(
            line: limits.line, grants: limits.rules.sessionGrants, waiters: limits.rules.sessionWaiters)
        reply(
            .hello(
                version: Reply.protocolVersion, server: program, session: UInt64(session.serial),
                limits: limits),
            tag, slot)
    }

    private mutating func revoke(
        _ name: LockName, _ token: Token, _ tag: Tag?, _ slot: Int, _ now: Instant
    ) {
        guard permit(.revoke, "revoke", name, tag, slot) else { return }
        let result = table.revoke(name, token, at: now)
        if case .success = result {
            note(.revoked(token, by: conversations[slot].peer), name, slot)
        }
        answer(result, tag, slot) { .revoked(name, token) }
    }

    // MARK: - Answers

    private mutating func answer(
        _ decision: Decision, _ name: LockName, _ mode: LockMode, _ tag: Tag?, _ slot: Int
    ) {
        switch decision {
        case .granted(let granted):
            statistics.grants += 1
            reply(.granted(name, granted.mode, granted.token, ownerDied: granted.ownerDied), tag, slot)
        case .waiting: break
        case .refused(let refusal): refuse(refusal, name, mode, tag, slot)
        }
    }

    private mutating func answer<Value>(
        _ result: Result<Value, RefusedCommand>, _ tag: Tag?, _ slot: Int, _ success: (Value) -> Reply
    ) {
        switch result {
        case .success(let value): reply(success(value), tag, slot)
        case .failure(let refused): reply(.error(error(for: refused.refusal)), tag, slot)
        }
    }

    /// Answers a request for a lock, now or after it waited, with the reason why it is not granted.
    mutating func refuse(
        _ refusal: Refusal, _ name: LockName, _ mode: LockMode, _ tag: Tag?, _ slot: Int
    ) {
        switch refusal {
        case .busy(let holders):
            statistics.busy += 1
            reply(.busy(name, mode, heldBy(holders)), tag, slot)
        case .timeout(let waited, let holders):
            statistics.timeouts += 1
            reply(.timeout(name, mode, waited: waited, heldBy(holders)), tag, slot)
        case .deadlock(let circle):
            statistics.deadlocks += 1
            let cycle = cycle(circle)
            note(.deadlockRefused(circle: spell(cycle)), name, slot)
            reply(.deadlock(name, mode, cycle), tag, slot)
        case .cancelled: reply(.cancelled(name, mode), tag, slot)
        default:
            var error = error(for: refusal)
            error.subject = WireError.Subject(name, mode)
            if case .limit = refusal { note(.limitHit(error.code.rawValue), name, slot) }
            if refusal == .noToken { note(.noToken, name, slot) }
            reply(.error(error), tag, slot)
        }
    }

    private func error(for refusal: Refusal) -> WireError {
        switch refusal {
        case .limit(.grants): WireError(.limitGrants)
        case .limit(.waiters): WireError(.limitWaiters)
        case .limit(.locks): WireError(.limitLocks)
        case .limit(.waits): WireError(.limitWaits)
        case .noToken: WireError(.noToken)
        case .draining: WireError(.draining)
        case .notHeld: WireError(.notHeld)
        case .notWaiting: WireError(.notWaiting)
        case .ambiguous: WireError(.ambiguous)
        case .wrongMode: WireError(.wrongMode)
        case .noLease: WireError(.missingArgument, "the grant has no lease to repeat; say lease=")
        case .busy, .timeout, .deadlock, .cancelled:
            preconditionFailure("a refusal with a reply of its own")
        }
    }

    private func heldBy(_ holders: Holders) -> HeldBy {
        var heldBy = HeldBy()
        for holder in holders.first {
            heldBy.add(HeldBy.Holder(processID: processID(of: holder.session), mode: holder.mode))
        }
        heldBy.addUnnamed(holders.more)
        return heldBy
    }

    private func cycle(_ circle: Circle) -> Cycle {
        var cycle = Cycle([])
        for hop in circle.hops {
            cycle.add(Cycle.Hop(processID: processID(of: hop.session), owner: hop.owner, lock: hop.lock))
        }
        return cycle
    }

    private func spell(_ cycle: Cycle) -> String {
        let hops = cycle.named.map { hop in
            let process = hop.processID.map(String.init) ?? "?"
            return hop.owner.isSession ? "\(process):\(hop.lock)" : "\(process)/\(hop.owner):\(hop.lock)"
        }
        return hops.joined(separator: ">") + (cycle.more > 0 ? ">+\(cycle.more)" : "")
    }

    @inline(__always)
    mutating func reply(_ reply: Reply, _ tag: Tag?, _ slot: Int) {
        reply.encode(tag: tag, into: &conversations[slot].output)
    }
}
