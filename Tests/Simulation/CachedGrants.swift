import LockCore
import LockModel
import LockServer
import LockVocabulary
import Seeded
import SlotSupport

/// A cached grant as its client knows it.
struct KnownSlot {
    let lock: String
    let owner: String
    let mode: LockMode
    let token: Token
    let index: Int
    let generation: UInt64
}

/// The memory that the server has made for slots. It outlives the server, as the file of the daemon does.
final class SlotStore {
    private var made: [SessionID: ClientSlots] = [:]

    /// Memory for a session, instead of any that a process made which died before its commit.
    func make(for session: SessionID) -> SlotMemory {
        let slots = ClientSlots()
        made[session] = slots
        return slots.memory
    }

    func slots(of session: SessionID) -> ClientSlots? { made[session] }
    func forget(_ session: SessionID) { made[session] = nil }
}

/// Clients that use cached grants: they make their steps on the slots between any two steps of the server.
extension Simulation {
    /// Has a client ask for slots.
    mutating func askForSlots(_ index: Int) {
        speak(.hello, "HELLO cache=1 client=of-\(clients[index].userID)", index)
    }

    private mutating func speak(_ meaning: Line.Meaning, _ text: String, _ index: Int) {
        let line = composer.line(meaning, text)
        clients[index].outbox += line.bytes
        clients[index].said.append(line)
        count("lines")
        trace.add(now, clients[index].session, "sends", line.bytes)
    }

    private mutating func speak(_ command: Command, _ index: Int) {
        speak(.command(command), command.text(by: clients[index].userID), index)
    }

    /// Has a client take the same lock again and again, so that it is cached.
    mutating func repeatItself(_ index: Int) {
        let lock = generator.pick(Composer.locks)
        let owner = generator.pick(["-", "t1"])
        let mode = generator.pick([LockMode.read, .write])
        let acquire = Command.acquire(lock, mode, owner: owner, wait: .upTo(.zero))
        speak(acquire, index)
        speak(.release(lock, GrantChoice(owner: OwnerID(owner))), index)
        speak(acquire, index)
    }

    /// Takes note of what a reply says about slots.
    mutating func hearSlots(_ words: [Substring], _ id: Int?, _ token: Token?, _ index: Int) throws {
        if words.first == "HELLO", words.contains("slots=64") {
            clients[index].slots = slotStore.slots(of: clients[index].session)
        }
        guard let slot = Self.number("slot", words), let generation = Self.number("gen", words) else {
            return
        }
        guard words.first == "GRANTED", !words.contains("ownerdied=1"), clients[index].slots != nil,
            slot < 64,
            let token, token.rawValue & 0xFFFF_FFFF_FFFF == generation
        else { throw Violation("session \(clients[index].number) gets a slot: \(words)") }
        count("slots given")
        referee.cached(token)
        // It may have been released in the same batch.
        guard let grant = referee.model.grants.first(where: { $0.id == id }) else { return }
        clients[index].known[token] = KnownSlot(
            lock: grant.lock, owner: grant.party.owner, mode: grant.mode, token: token, index: Int(slot),
            generation: generation)
    }

    private static func number(_ key: String, _ words: [Substring]) -> UInt64? {
        words.first { $0.hasPrefix(key + "=") }.flatMap { UInt64($0.dropFirst(key.count + 1)) }
    }

    /// Some clients make some steps.
    mutating func useSlots() throws {
        while generator.happens(70) {
            let able = clients.indices.filter {
                !clients[$0].known.isEmpty && !clients[$0].isDead && !clients[$0].isEnded
            }
            guard let index = able.randomElement(using: &generator), let slots = clients[index].slots,
                let slot = clients[index].known.values.sorted(by: { $0.token < $1.token })
                    .randomElement(using: &generator)
            else { return }
            if slots.holds(slot.index, slot.generation) == 0 || generator.happens(20) {
                try enter(slot, slots, index)
            } else {
                try leave(slot, slots, index)
            }
        }
    }

    private mutating func enter(_ slot: KnownSlot, _ slots: ClientSlots, _ index: Int) throws {
        let wasIdle = slots.isIdle(slot.index, slot.generation)
        guard slots.enter(slot.index, slot.generation, isRead: slot.mode == .read) else {
            if wasIdle { throw Violation("\(slot) is idle and cannot be entered") }
            if slots.holds(slot.index, slot.generation) == 0 {
                clients[index].known[slot.token] = nil
                count("steps on slots: enter, taken")
            }
            return
        }
        count(wasIdle ? "steps on slots: enter" : "steps on slots: enter again")
        trace.add(now, clients[index].session, "enters", Array("\(slot.lock) \(slot.token)".utf8))
        let id = composer.number()
        try referee.entered(slot, as: id, of: clients[index].number, wasIdle: wasIdle)
    }

    private mutating func leave(_ slot: KnownSlot, _ slots: ClientSlots, _ index: Int) throws {
        let isLast = slots.holds(slot.index, slot.generation) == 1
        let session = clients[index].session
        guard slots.leave(slot.index, slot.generation) else {
            clients[index].known[slot.token] = nil
            count("steps on slots: leave, wanted")
            trace.add(now, session, "cannot leave", Array("\(slot.lock) \(slot.token)".utf8))
            if !clients[index].isDone { speak(.release(slot.lock, GrantChoice(token: slot.token)), index) }
            return
        }
        count(isLast ? "steps on slots: leave" : "steps on slots: leave once")
        trace.add(now, session, "leaves", Array("\(slot.lock) \(slot.token)".utf8))
        let id = composer.number()
        if isLast { try referee.left(slot, as: id, of: clients[index].number, &clients) }
    }

    /// Counts what a client that dies has in its slots. It makes no more steps.
    mutating func countSlots(ofDead index: Int) {
        clients[index].isDead = true
        guard let slots = clients[index].slots else { return }
        for slot in clients[index].known.values {
            if slots.isIdle(slot.index, slot.generation) {
                count("deaths with a cached grant")
            } else if slots.holds(slot.index, slot.generation) > 0 {
                count("deaths with a slot that is held")
            }
        }
    }

    /// How many locks the server has only because they are cached.
    func checkLocks() throws {
        let more = server.lockCount - referee.model.locks.count
        guard more >= 0, more <= server.cachedCount else {
            throw Violation(
                "the server has \(more) locks of its own, and \(server.cachedCount) cached grants")
        }
        guard !hasLostBatch else { return }
        let idle = clients.filter { !$0.isEnded }.flatMap { client in
            client.known.values.filter { client.slots?.isIdle($0.index, $0.generation) == true }.map(\.lock)
        }
        let own = Set(idle).subtracting(referee.model.locks)
        guard more == own.count else {
            throw Violation("the server has \(more) locks of its own, and clients can enter \(own)")
        }
    }
}

extension Referee {
    /// Takes note that a client has taken the lock under its cached grant: the model must grant that at once.
    mutating func entered(
        _ slot: KnownSlot, as id: Int, of session: Int, wasIdle: Bool
    ) throws(Violation) {
        let former = ids[slot.token]
        let isKnown = model.grants.contains { $0.id == former }
        let isBusy = model.requests.contains { $0.upgrades == former }
        // A grant that was revoked is held until its client finds out, and no owner asks while it waits.
        guard wasIdle || isKnown && !isBusy else { return }
        var copy = model
        // What is cached is within the limits already. A drain takes it, and not what is held.
        copy.limits = Model.Limits()
        copy.shares = [:]
        copy.isDraining = copy.isDraining && wasIdle
        let request = Command.acquire(slot.lock, slot.mode, owner: slot.owner, wait: .upTo(.zero))
        let answers = copy.carryOut(request, of: session, as: id, ids)
        guard answers == [.granted(slot.mode, ownerDied: false)] else {
            throw Violation("\(slot) was entered, and the model says \(answers); \(model.state)")
        }
        guard wasIdle else { return }
        (copy.limits, copy.shares) = (model.limits, model.shares)
        enter(copy, as: id, of: session, slot.token)
    }

    /// Takes note that a client has given up its cached grant: a release.
    mutating func left(
        _ slot: KnownSlot, as id: Int, of session: Int, _ clients: inout [Client]
    ) throws(Violation) {
        let release = Command.release(slot.lock, GrantChoice(token: slot.token))
        guard carryOutRelease(release, as: id, of: session, &clients) else {
            throw Violation("\(slot) was left, and the model does not have it; \(model.state)")
        }
    }

    /// The answers that are right as well if the token belongs to a grant that is cached and not held.
    func answersAboutIdle(_ command: Command) -> Set<Model.Answer> {
        func mayBeIdle(_ token: Token?) -> Bool {
            guard let token, cachedTokens.contains(token) else { return false }
            return !model.grants.contains { $0.id == ids[token] }
        }
        return switch command {
        case .release(_, let choice) where mayBeIdle(choice.token): [.done]
        case .validate(_, let token) where mayBeIdle(token): [.valid]
        case .revoke(_, let token) where mayBeIdle(token): [.done]
        default: []
        }
    }
}
