import LockCore
import LockVocabulary
import LockWire

/// The two most frequent requests: for a lock, and for the release of one. Their parameters are the parts of a `Request.Brief`.
extension Server {
    @inline(__always)
    mutating func acquire(
        _ name: LockName, _ mode: LockMode, owner: OwnerID, wait: TimeLimit, lease: TimeLimit, note: Note,
        mayCache: Bool, _ tag: Tag?, _ client: ConversationIndex, _ now: Instant
    ) -> Answer {
        guard allow(mode == .read ? .read : .write, name, client) else {
            return denied("\(mode)", name, client)
        }
        var cost = Cost.line
        // Checked first, because few hosts have an order of locks.
        if !policy.order.isEmpty {
            let asked = Acquire(name: name, mode: mode, wait: wait, lease: lease, owner: owner, note: note)
            if let search = searchOrder(asked, client) {
                cost = .line(extraWork: search.examined / 8)
                if let breach = search.breach, let refusal = reply(breach, asked, client) {
                    return .reply(refusal, cost: cost)
                }
            }
        }
        let decision = table.acquire(
            name, mode, owner: owner, wait: wait, lease: lease, note: note, tag: tag,
            by: conversations[client].session, at: now)
        var slot: GrantedSlot?
        if cachePolicy.isOn { slot = cache(decision, name, mode, owner, mayCache, client) }
        return answer(decision, name, mode, tag, client, slot, cost: cost)
    }

    @inline(__always)
    mutating func release(
        _ name: LockName, _ choice: GrantChoice, _ tag: Tag?, _ client: ConversationIndex, _ now: Instant
    ) -> Answer {
        switch table.release(name, choice, by: conversations[client].session, at: now) {
        case .success(let token):
            conversations[client].writeReleased(name, token, tag)
            return .written()
        case .failure(let refusal): return .reply(.error(error(refusal)))
        }
    }

    /// The slot of a grant that is cached from now on; nil for any other decision.
    private mutating func cache(
        _ decision: Decision, _ name: LockName, _ mode: LockMode, _ owner: OwnerID, _ mayCache: Bool,
        _ client: ConversationIndex
    ) -> GrantedSlot? {
        let session = conversations[client].session
        guard case .granted(let granted) = decision else {
            _ = cachePolicy.note(name, mode, by: session, owner, isGranted: false)
            return nil
        }
        let isWorthwhile = cachePolicy.note(name, mode, by: session, owner, isGranted: true)
        // The order of locks is checked at each request, and a client does not look whether a claim has ended when it enters a slot.
        guard isWorthwhile, mayCache, table.hasSlots(session), policy.order.isEmpty,
            fleet == nil || !table.isShared(name),
            watchers.isEmpty || watchers.sessions(watching: name).isEmpty,
            let slot = table.cache(granted.token, on: name, of: session)
        else { return nil }
        return GrantedSlot(index: slot.index, generation: slot.generation)
    }

    /// Searches the owner's grants for a breach of the order of locks.
    private func searchOrder(_ asked: borrowing Acquire, _ client: ConversationIndex) -> LockOrder.Search? {
        // A request that does not wait closes no cycle.
        guard asked.wait != .upTo(.zero), var search = LockOrder.Search(policy.order, asking: asked.name)
        else { return nil }
        table.forEachGrant(of: asked.owner, in: conversations[client].session) { held, note in
            search.examine(held, note)
            return search.needsMore
        }
        return search
    }

    /// Counts and notes a breach. Returns the reply if the request is refused for it.
    private mutating func reply(
        _ breach: LockOrder.Breach, _ asked: borrowing Acquire, _ client: ConversationIndex
    ) -> Reply? {
        let isRefused = breach.measure == .refuse
        statistics.orderBroken += 1
        note(
            .orderBroken(
                holding: breach.held, heldNote: breach.note, note: asked.note, isRefused: isRefused),
            asked.name, by: client)
        guard isRefused else { return nil }
        statistics.denied += 1
        return .denied(asked.name, what: "\(asked.mode)", reason: "lock-order:\(breach.held)")
    }
}
