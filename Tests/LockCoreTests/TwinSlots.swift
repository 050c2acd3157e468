import LockCore
import LockModel
import LockVocabulary
import SlotSupport

/// A cached grant as its client knows it.
struct TwinSlot: Hashable {
    let session: Int
    let lock: String
    let owner: String
    let mode: LockMode
    let token: Token
    let index: Int
    let generation: UInt64
}

/// The steps of clients on their slots, between any two commands.
///
/// The model knows no cached grant: a step that takes the lock is a request that it must grant at once, under the same token, and
/// a step that gives it up is a release.
extension Twin {
    /// The last grant, if nothing came after it: the server has it cached together with its reply.
    var canCache: Bool { lastGranted != nil }

    /// What the clients know, in the order of the tokens.
    var knownSlots: [TwinSlot] { slots.values.sorted { $0.token < $1.token } }

    func holds(_ slot: TwinSlot) -> Int { clientSlots[slot.session].holds(slot.index, slot.generation) }

    func isIdle(_ slot: TwinSlot) -> Bool { clientSlots[slot.session].isIdle(slot.index, slot.generation) }

    func isOver(_ slot: TwinSlot) -> Bool { clientSlots[slot.session].isOver(slot.index, slot.generation) }

    var idleSlots: [TwinSlot] { slots.values.filter { isIdle($0) } }

    mutating func cacheLastGrant() {
        guard let last = lastGranted else { return }
        let given = table.cache(last.token, on: name(last.lock), of: sessions[last.session])
        guard let given else { return }
        slots[last.token] = TwinSlot(
            session: last.session, lock: last.lock, owner: last.owner, mode: last.mode, token: last.token,
            index: given.index, generation: given.generation)
        counts.cached += 1
    }

    mutating func enter(_ token: Token) throws {
        guard let slot = slots[token] else { return }
        let wasIdle = isIdle(slot)
        let isEntered = clientSlots[slot.session].enter(
            slot.index, slot.generation, isRead: slot.mode == .read)
        guard isEntered else {
            if wasIdle { throw Disagreement(description: "\(slot) is idle and cannot be entered") }
            // A writer that holds has only made a mistake.
            if holds(slot) == 0 { slots[token] = nil }
            counts.refusedEnters += 1
            return
        }
        counts.enters += 1
        let request = Command.acquire(slot.lock, slot.mode, owner: slot.owner, wait: .upTo(.zero))
        var copy = model
        // What is cached is within the limits already.
        copy.limits = Model.Limits()
        copy.shares = [:]
        asked += 1
        askers[asked] = slot.session
        let isKnown = model.grants.contains { $0.id == ids[token] }
        let answers = copy.carryOut(request, of: slot.session, as: asked, ids)
        // A grant that was revoked is held until its client finds out.
        guard wasIdle || isKnown else { return }
        guard answers == [.granted(slot.mode, ownerDied: false)] else {
            throw Disagreement(description: "\(slot) was entered, and the model says \(answers)")
        }
        // Holds under one grant are one.
        guard wasIdle else { return }
        (copy.limits, copy.shares) = (model.limits, model.shares)
        model = copy
        tokens[asked] = token
        ids[token] = asked
    }

    mutating func leave(_ token: Token) throws -> Model.Answer {
        guard let slot = slots[token], holds(slot) > 0 else { return .notHeld }
        let release = Command.release(slot.lock, GrantChoice(token: token))
        let isLast = holds(slot) == 1
        guard clientSlots[slot.session].leave(slot.index, slot.generation) else {
            slots[token] = nil
            counts.refusedLeaves += 1
            return try carryOut(release, of: slot.session)
        }
        counts.leaves += 1
        guard isLast else { return .done }
        asked += 1
        let answers = model.carryOut(release, of: slot.session, as: asked, ids)
        guard answers == [.done] else {
            throw Disagreement(description: "\(slot) was left, and the model says \(answers)")
        }
        return .done
    }

    private func idle(_ lock: String, _ token: Token?) -> TwinSlot? {
        guard let token, let slot = slots[token], slot.lock == lock, isIdle(slot) else { return nil }
        return slot
    }

    /// The answer to a command about a grant that is cached and not held, which the model does not know.
    func answerAboutIdle(_ command: Command, of session: Int) -> Set<Model.Answer>? {
        switch command {
        case .release(let lock, let choice):
            guard let slot = idle(lock, choice.token), slot.session == session,
                choice.owner.map({ "\($0)" == slot.owner }) ?? true
            else { return nil }
            return [.done]
        case .validate(let lock, let token): return idle(lock, token) == nil ? nil : [.valid]
        case .revoke(let lock, let token): return idle(lock, token) == nil ? nil : [.done]
        default: return nil
        }
    }

    /// A client forgets the slots that its own command has ended.
    mutating func forgetSlots(after command: Command, of session: Int) {
        switch command {
        case .acquire(let lock, _, _, _, _), .upgrade(let lock, _, _), .downgrade(let lock, _, _),
            .release(let lock, _), .releaseAtEnd(let lock, _), .renew(let lock, _, _):
            for slot in slots.values where slot.session == session && slot.lock == lock && isOver(slot) {
                slots[slot.token] = nil
            }
        case .releaseAll(let owner):
            for slot in slots.values where slot.session == session && slot.owner == owner {
                slots[slot.token] = nil
            }
        case .cancel, .cancelTagged, .validate, .revoke, .setRecall: break
        }
    }

    /// What is cached and not held, as the rules show it, must be what the clients can enter.
    func compareIdle(_ lock: String, _ shown: Set<Token>) throws {
        let known = Set(slots.values.filter { $0.lock == lock && isIdle($0) }.map(\.token))
        guard shown == known else {
            throw Disagreement(description: "\(lock) shows \(shown) as cached instead of \(known)")
        }
    }
}
