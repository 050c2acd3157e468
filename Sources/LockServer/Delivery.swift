import LockCore
import LockVocabulary
import LockWire

/// From an effect of the rules to lines for the sessions that it concerns, within their bounds.
extension Server {
    /// Delivers what happened in the rules to the sessions that it concerns.
    ///
    /// A delivery may cut a session off, and this has effects in turn.
    @inline(__always)
    mutating func deliverEffects() {
        if !table.effects.isEmpty { deliverAllEffects() }
    }

    private mutating func deliverAllEffects() {
        while !table.effects.isEmpty {
            swap(&table.effects, &spareEffects)
            for index in spareEffects.indices { deliver(spareEffects[index]) }
            spareEffects.removeAll(keepingCapacity: true)
        }
    }

    private mutating func deliver(_ effect: Effect) {
        switch effect {
        case .granted(let session, let tag, let name, let granted):
            guard let client = conversations.openIndex(of: session) else { return }
            conversations[client].write(reply(granted, name), tag)
            enforceBounds(on: client)
        case .refused(let session, let tag, let name, let mode, let refusal):
            guard let client = conversations.openIndex(of: session) else { return }
            conversations[client].write(reply(refusal, name, mode, client), tag)
            enforceBounds(on: client)
        case .expired(let session, let name, let token, _):
            statistics.expired += 1
            send(.expired(name, token), to: session)
            note(.leaseExpired(token), name, by: conversations.index(of: session))
        case .revoked(let session, let name, let token): send(.revoked(name, token), to: session)
        case .recalled(let session, let name, let token): send(.recall(name, token), to: session)
        case .diedHolding(let session, let name, let token, let grants):
            statistics.diedHolding += 1
            note(.diedHolding(grants: grants), name, by: conversations.index(of: session), token)
        case .markForgotten(let name): note(.markForgotten, name, by: nil)
        case .changed(let change): sendWatchers(change)
        }
    }

    /// Sends a notice, unless the session has ended: `BYE` and `limit-buffers` are the last lines that a client reads.
    ///
    /// An effect may follow the session's end: a lease that ended in the same instant, or an effect behind the one that
    /// cut the session off.
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
            // An earlier watcher's bounds may have cut this one off.
            guard let client = conversations.openIndex(of: session),
                conversations[client].verdict.rights.allow(.watch, change.name)
            else { continue }
            conversations[client].offer(notice, within: limits.unread)
            enforceBounds(on: client)
        }
    }

    // MARK: - Bounds

    /// Cuts off a session that left too much unread, and the hungriest sessions while all together keep too much (G12).
    ///
    /// The hungriest and not the next one to come: so no session suffers for what others do not read.
    mutating func enforceBounds(on client: ConversationIndex) {
        if conversations[client].unread > limits.unreadAtMost { cutOff(client) }
        while conversations.buffered > max(limits.buffers, 0), let hungriest = conversations.hungriest {
            cutOff(hungriest)
        }
    }

    private mutating func cutOff(_ client: ConversationIndex) {
        guard conversations[client].phase != .cutOff else { return }
        note(.limitHit(ErrorCode.limitBuffers.rawValue), by: client)
        conversations[client].write(.error(WireError(.limitBuffers)), nil)
        end(client, as: .cutOff, table.now)
    }
}
