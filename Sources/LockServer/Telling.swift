import LockCore
import LockVocabulary
import LockWire

/// From an effect to the lines for those it concerns.
extension Server {
    mutating func tell(_ effect: Effect) {
        switch effect {
        case .granted(let session, let tag, let name, let granted):
            guard let slot = openPlace(of: session) else { return }
            statistics.grants += 1
            reply(.granted(name, granted.mode, granted.token, ownerDied: granted.ownerDied), tag, slot)
            settle(slot)
        case .refused(let session, let tag, let name, let mode, let refusal):
            guard let slot = openPlace(of: session) else { return }
            refuse(refusal, name, mode, tag, slot)
            settle(slot)
        case .expired(let session, let name, let token, _):
            statistics.expired += 1
            tell(.expired(name, token), to: session)
            note(.leaseExpired(token), name, place(of: session))
        case .revoked(let session, let name, let token): tell(.revoked(name, token), to: session)
        case .recalled(let session, let name, let token): tell(.recall(name, token), to: session)
        case .diedHolding(let session, let name, let token, let grants):
            statistics.diedHolding += 1
            note(.diedHolding(grants: grants), name, place(of: session), token)
        case .markForgotten(let name): note(.markForgotten, name, nil)
        case .changed(let change): tellWatchers(of: change)
        }
    }

    private mutating func tell(_ notice: Notice, to session: SessionID) {
        guard let slot = openPlace(of: session) else { return }
        notify(notice, slot)
        settle(slot)
    }

    /// The place of a session that is to be told of what happened; nil where it has ended.
    ///
    /// What was due before a session's end may be told after it: a lease that ended in the same instant, or what comes behind
    /// the effect that cut the session off. But `BYE` and `limit-buffers` are the last that a client reads.
    private func openPlace(of session: SessionID) -> Int? {
        place(of: session).flatMap { conversations[$0].phase == .open ? $0 : nil }
    }

    mutating func notify(_ notice: Notice, _ slot: Int) {
        notice.encode(into: &conversations[slot].output)
    }

    // MARK: - Watching

    mutating func watch(_ prefix: String, _ tag: Tag?, _ slot: Int) {
        if conversations[slot].watched == nil {
            let account = conversations[slot].account
            guard accounts[account].watchers < conversations[slot].allowance.watchers ?? .max else {
                note(.limitHit(ErrorCode.limitWatchers.rawValue), nil, slot)
                reply(.error(WireError(.limitWatchers)), tag, slot)
                return
            }
            accounts[account].watchers += 1
            watchers.append(conversations[slot].session)
        }
        reply(.ok(0), tag, slot)
        conversations[slot].watched = prefix
        table.isObserved = true
    }

    mutating func stopWatching(_ slot: Int) {
        guard conversations[slot].watched != nil else { return }
        conversations[slot].watched = nil
        accounts[conversations[slot].account].watchers -= 1
        let session = conversations[slot].session
        watchers.removeAll { $0 == session }
        table.isObserved = !watchers.isEmpty
    }

    /// Changes are only told where there is room; what is left out is counted, and told when there is room again.
    private mutating func tellWatchers(of change: Change) {
        let notice = Notice.changed(
            Notice.Changed(
                name: change.name, change: change.kind, processID: processID(of: change.session),
                mode: change.mode, token: change.token, owner: change.owner, tag: change.tag,
                request: change.request, upgrades: change.upgrades))
        for index in watchers.indices {
            guard index < watchers.count, let slot = place(of: watchers[index]),
                let prefix = conversations[slot].watched,
                change.name.text.utf8.starts(with: prefix.utf8), may(.watch, change.name, slot)
            else { continue }
            if conversations[slot].unread > limits.unread {
                conversations[slot].missed += 1
                continue
            }
            tellMissed(slot)
            notify(notice, slot)
            settle(slot)
        }
    }

    /// Tells how many notices were left out, if any were.
    mutating func tellMissed(_ slot: Int) {
        guard conversations[slot].phase == .open, conversations[slot].missed > 0,
            conversations[slot].unread <= limits.unread
        else { return }
        notify(.missed(conversations[slot].missed), slot)
        conversations[slot].missed = 0
    }
}
