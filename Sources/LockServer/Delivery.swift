import LockCore
import LockVocabulary
import LockWire

/// Delivers the effects of the rules to the sessions that they concern, and holds these sessions to their bounds.
extension Server {
    /// Delivers all effects, including those of sessions that a delivery cuts off.
    @inline(__always)
    mutating func deliverEffects() {
        if !table.effects.isEmpty { deliverAllEffects() }
    }

    private mutating func deliverAllEffects() {
        while !table.effects.isEmpty {
            swap(&table.effects, &spareEffects)
            if carriedOut != nil { noteDecisions() }
            for index in spareEffects.indices { deliver(spareEffects[index]) }
            spareEffects.removeAll(keepingCapacity: true)
        }
    }

    private mutating func noteDecisions() {
        for effect in spareEffects {
            switch effect {
            case .granted(let session, let tag?, _, _), .refused(let session, let tag?, _, _, _):
                carriedOut?.append(.decision(session, tag))
            default: break
            }
        }
    }

    private mutating func deliver(_ effect: Effect) {
        switch effect {
        case .granted(let session, let tag, let name, let granted):
            guard let client = conversations.openIndex(of: session) else { return }
            conversations[client].write(reply(granted, name, client), tag)
            noteAnswer(to: client)
        case .refused(let session, let tag, let name, let mode, let refusal):
            guard let client = conversations.openIndex(of: session) else { return }
            conversations[client].write(reply(refusal, name, mode, client, hasWaited: true), tag)
            noteAnswer(to: client)
        case .expired(let session, let name, let token, _):
            #if DEBUG
                plantedFaults?.strike(leaseOn: name)
            #endif
            statistics.expired += 1
            send(.expired(name, token), to: session)
            note(.leaseExpired(token), name, by: conversations.index(of: session))
        case .revoked(let session, let name, let token): send(.revoked(name, token), to: session)
        case .recalled(let session, let name, let token): send(.recall(name, token), to: session)
        case .diedHolding(let session, let name, let token, let grants):
            statistics.diedHolding += 1
            note(.diedHolding(grants: grants), name, by: conversations.index(of: session), token)
        case .ended(let session):
            if let client = conversations.index(of: session) { forget(client) }
        case .markForgotten(let name): note(.markForgotten, name, by: nil)
        case .changed(let change): sendWatchers(change)
        }
    }

    /// Holds a session to its bounds after an answer. It may be the last one that the end of the session waits for.
    private mutating func noteAnswer(to client: ConversationIndex) {
        if conversations[client].ending != nil { queue(client) }
        enforceBounds(on: client)
    }

    /// Sends a notice, unless the session has ended: `BYE` and `limit-buffers` are the last lines that a client reads.
    ///
    /// An effect can come after the session's end: a lease expires in the same instant, or an earlier effect cut the
    /// session off.
    private mutating func send(_ notice: Notice, to session: SessionID) {
        guard let client = conversations.openIndex(of: session) else { return }
        conversations[client].write(notice)
        enforceBounds(on: client)
    }

    private mutating func sendWatchers(_ change: Change) {
        let notice = Notice.changed(
            Notice.Changed(
                name: change.name, change: change.kind,
                processID: conversations.processID(of: change.session), mode: change.mode,
                token: change.token, owner: change.owner, tag: change.tag, request: change.request,
                upgrades: change.upgrades))
        for session in watchers.sessions(watching: change.name) {
            // The notice to an earlier watcher may have cut this one off.
            guard let client = conversations.openIndex(of: session),
                conversations[client].verdict.rights.follow(change.name)
            else { continue }
            conversations[client].offer(notice, within: limits.unread)
            accounts.chargeNotice(to: conversations[client].account)
            enforceBounds(on: client)
        }
    }

    // MARK: - Bounds

    /// Cuts off a session that leaves too much unread, and the hungriest session while all together keep too much (G12).
    ///
    /// The hungriest session goes, and not the one that writes next: no session suffers for output that others do not read.
    mutating func enforceBounds(on client: ConversationIndex) {
        if conversations[client].unread > limits.unreadAtMost { cutOff(client) }
        while conversations.buffered > max(bufferLimit, 0), let hungriest = conversations.hungriest {
            cutOff(hungriest)
        }
    }

    private mutating func cutOff(_ client: ConversationIndex) {
        guard conversations[client].phase != .cutOff else { return }
        note(.limitHit(ErrorCode.limitBuffers.rawValue), by: client)
        conversations[client].write(.error(WireError(.limitBuffers)), nil)
        // One delivery may cut off many sessions.
        end(client, as: .cutOff, isLater: true, table.now)
    }
}
