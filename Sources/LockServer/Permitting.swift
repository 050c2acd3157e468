import LockCore
import LockVocabulary
import LockWire

/// Holding requests against the policy.
extension Server {
    /// Applies the policy to a session anew.
    mutating func judge(_ slot: Int) {
        let peer = conversations[slot].peer
        let verdict = verdicts.verdict(on: peer)
        conversations[slot].permissions = verdict.permissions
        conversations[slot].allowance = allowance(verdict, peer)
        if conversations[slot].phase == .open {
            table.setShare(conversations[slot].allowance.share, of: conversations[slot].session)
        }
    }

    /// What a user may have: what the policy says; where it says nothing, no more than a quarter, unless he is trusted.
    func allowance(_ verdict: Verdicts.Verdict, _ peer: Peer) -> Policy.Allowance {
        isTrusted(peer) ? verdict.allowance : verdict.allowance.over(.quarter(of: limits))
    }

    /// Root, and whose daemon it is.
    private func isTrusted(_ peer: Peer) -> Bool { peer.userID == 0 || peer.userID == ownUserID }

    @inline(__always)
    func may(_ right: Policy.Right, _ name: LockName, _ slot: Int) -> Bool {
        if !conversations[slot].permissions.isEmpty,
            let said = conversations[slot].permissions.allow(right, name)
        {
            return said
        }
        return switch right {
        case .read, .write, .look, .watch: true
        case .notes, .revoke: isTrusted(conversations[slot].peer)
        }
    }

    /// Whether a session may see what another said of itself with a lock: its own user's always.
    func maySeeNote(of session: SessionID, _ name: LockName, _ slot: Int) -> Bool {
        guard let other = place(of: session) else { return false }
        return conversations[other].peer.userID == conversations[slot].peer.userID
            || may(.notes, name, slot)
    }

    /// Whether a session may see what another calls itself: as with notes, where that is said of all names.
    func maySeeClient(_ other: Conversation, _ slot: Int) -> Bool {
        if other.peer.userID == conversations[slot].peer.userID { return true }
        let said = conversations[slot].permissions.first { $0.rights.contains(.notes) && $0.prefix.isEmpty }
        return said?.allows ?? isTrusted(conversations[slot].peer)
    }

    /// Whether a request is permitted; if not, it is answered.
    @inline(__always)
    mutating func permit(
        _ right: Policy.Right, _ what: @autoclosure () -> String, _ name: LockName, _ tag: Tag?, _ slot: Int
    ) -> Bool {
        if may(right, name, slot) { return true }
        deny(what(), "not-permitted", name, tag, slot)
        note(.denied(what()), name, slot)
        return false
    }

    private mutating func deny(
        _ what: String, _ reason: String, _ name: LockName, _ tag: Tag?, _ slot: Int
    ) {
        statistics.denied += 1
        reply(.denied(name, what: what, reason: reason), tag, slot)
    }

    /// Whether a request keeps to the order of locks, or may break it; if not, it is answered.
    ///
    /// One that does not wait can close no circle, and neither can one for what the owner has.
    mutating func keepsOrder(_ asked: borrowing Acquire, _ tag: Tag?, _ slot: Int) -> Bool {
        // Seen at once where there is no order, which is mostly so.
        policy.order.isEmpty || isInOrder(asked, tag, slot)
    }

    private mutating func isInOrder(
        _ asked: borrowing Acquire, _ tag: Tag?, _ slot: Int
    ) -> Bool {
        let order = policy.order
        guard asked.wait != .upTo(.zero), let wanted = order.classOf(asked.name) else { return true }
        let name = asked.name
        var found: (held: LockName, note: Note, measure: LockOrder.Measure)?
        var looked = 0
        table.forEachGrant(of: asked.owner, in: conversations[slot].session) { held, note in
            looked += 1
            if held == name {
                found = nil
                return false
            }
            if found?.measure != .refuse, let other = order.classOf(held),
                let measure = order.measure(asking: wanted, holding: other)
            {
                if found == nil || measure == .refuse { found = (held, note, measure) }
            }
            return looked < Self.mostGrantsInOrder
        }
        surcharge = looked / 8
        guard let found else { return true }
        statistics.orderBroken += 1
        let isRefused = found.measure == .refuse
        let kind = ServerEvent.Kind.orderBroken(
            holding: found.held, heldNote: found.note, note: asked.note, isRefused: isRefused)
        note(kind, name, slot)
        if isRefused { deny("\(asked.mode)", "lock-order:\(found.held)", name, tag, slot) }
        return !isRefused
    }

    /// So many of an owner's grants are looked at, the newest: who holds more than these is not held to the order by all.
    private static var mostGrantsInOrder: Int { 256 }
}
