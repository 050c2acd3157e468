import CSlot

/// What a client sends to the daemon in `SlotWorld`.
enum SlotMessage: Hashable {
    case acquire(lock: Int, isRead: Bool)
    case release(UInt64)
    case revoke
    /// The connection has ended.
    case end
}

/// What the daemon sends to a client.
enum SlotReply: Hashable {
    case granted(lock: Int, isRead: Bool, token: UInt64, isCached: Bool)
    case released, notHeld
}

/// A fault that is planted in one of the two sides, for the search to find.
enum SlotFault: CaseIterable {
    /// The daemon looks whether the grant is held before it sets the bit.
    case looksBeforeItWants
    /// The client swaps whatever generation is in the slot.
    case comparesNoGeneration
    /// The client makes the last release although the bit is set.
    case leavesWhileWanted
    /// The client enters an idle grant that was taken.
    case entersWhileWanted
    /// All grants have one generation.
    case reusesGenerations
    /// The client does not check whether a process serves.
    case ignoresWhoServes
    /// The daemon takes each cached grant of a dead process for held.
    case marksWithoutLooking
    /// The daemon writes the word of a new grant after the reply is sent.
    case givesTooLate
    /// The daemon takes what is held as well.
    case takesWhatIsHeld
    /// The client uses a slot again after `RELEASE`: a reader takes the hold that is in the word for its own.
    case remembersWhatItReleased
}

/// The daemon's rules about two locks and their slots, in few lines: each client has one slot.
struct SlotDaemon: Hashable {
    enum Caching: Hashable { case none, cached, wanted }

    struct Grant: Hashable {
        let client: Int
        let lock: Int
        let isRead: Bool
        let token: UInt64
        var caching = Caching.none
    }

    struct Waiter: Hashable {
        let client: Int
        let lock: Int
        let isRead: Bool
    }

    var grants: [Grant] = []
    var waiters: [Waiter] = []
    var nextToken: UInt64 = 1
    var revoked: Set<UInt64> = []
    /// For each write grant with a slot that ended with its client: whether that left a mark.
    var marks: [UInt64: Bool] = [:]
    /// How many messages of each client were carried out.
    var done = [0, 0, 0]
    /// Replies since the last commit.
    var out: [[SlotReply]] = [[], []]
    /// Grants that are not written into their slots yet (`givesTooLate`).
    var late: [UInt64: Int] = [:]

    /// Carries out a message of a client. Each step on a slot may be the last before other steps in the world.
    mutating func carryOut(
        _ message: SlotMessage, of client: Int, _ slots: SlotSteps
    ) throws(SlotSteps.Pause) {
        done[client] += 1
        switch message {
        case .acquire(let lock, let isRead): try acquire(lock, isRead, client, slots)
        case .release(let token):
            guard let grant = grants.first(where: { $0.token == token && $0.client == client }) else {
                return out[client].append(.notHeld)
            }
            try remove(grant, slots)
            out[client].append(.released)
            serve(grant.lock)
        case .revoke:
            guard let grant = grants.first(where: { $0.caching == .cached }) else { return }
            if try stopCaching(grant, slots), let held = grants.first(where: { $0.token == grant.token }) {
                try remove(held, slots)
                revoked.insert(grant.token)
            }
            serve(grant.lock)
        case .end:
            waiters.removeAll { $0.client == client }
            for grant in grants where grant.client == client {
                let isHeld = try stopCaching(grant, slots)
                if !grant.isRead, grant.caching != .none { marks[grant.token] = isHeld }
                grants.removeAll { $0.token == grant.token }
            }
            for lock in 0..<2 { serve(lock) }
        }
    }

    private mutating func acquire(
        _ lock: Int, _ isRead: Bool, _ client: Int, _ slots: SlotSteps
    ) throws(SlotSteps.Pause) {
        for grant in grants where grant.lock == lock && grant.caching == .cached {
            guard !isRead || !grant.isRead || grant.client == client else { continue }
            _ = try stopCaching(grant, slots)
        }
        let isFree = grants.allSatisfy { $0.lock != lock || (isRead && $0.isRead) }
        guard isFree, !waiters.contains(where: { $0.lock == lock }) else {
            for grant in grants where grant.lock == lock && grant.caching == .cached {
                _ = try stopCaching(grant, slots)
            }
            return waiters.append(Waiter(client: client, lock: lock, isRead: isRead))
        }
        var grant = Grant(client: client, lock: lock, isRead: isRead, token: nextToken)
        nextToken += 1
        if slots.chooses(), try freeSlot(of: client, slots) {
            if slots.fault == .givesTooLate {
                late[grant.token] = client
            } else {
                try slots.give(client, grant.token)
            }
            grant.caching = .cached
        }
        grants.append(grant)
        reply(grant)
    }

    private mutating func reply(_ grant: Grant) {
        out[grant.client].append(
            .granted(
                lock: grant.lock, isRead: grant.isRead, token: grant.token, isCached: grant.caching == .cached
            ))
    }

    /// Whether the slot of a client is free, or was taken back.
    private mutating func freeSlot(of client: Int, _ slots: SlotSteps) throws(SlotSteps.Pause) -> Bool {
        guard let user = grants.first(where: { $0.client == client && $0.caching != .none }) else {
            return true
        }
        guard user.caching == .cached, try !slots.looks(client, user.token) else { return false }
        return try !stopCaching(user, slots)
    }

    /// As `LockTable.stopCaching`: returns whether the grant is held, and goes on as a plain one.
    private mutating func stopCaching(_ grant: Grant, _ slots: SlotSteps) throws(SlotSteps.Pause) -> Bool {
        guard grant.caching == .cached else { return true }
        if slots.fault == .marksWithoutLooking { return true }
        let isHeld = try slots.wants(grant.client, grant.token) && slots.fault != .takesWhatIsHeld
        if isHeld {
            for index in grants.indices where grants[index].token == grant.token {
                grants[index].caching = .wanted
            }
        } else {
            grants.removeAll { $0.token == grant.token }
        }
        return isHeld
    }

    private mutating func remove(_ grant: Grant, _ slots: SlotSteps) throws(SlotSteps.Pause) {
        if grant.caching != .none { _ = try slots.wants(grant.client, grant.token) }
        grants.removeAll { $0.token == grant.token }
    }

    private mutating func serve(_ lock: Int) {
        while let next = waiters.first(where: { $0.lock == lock }),
            grants.allSatisfy({ $0.lock != lock || (next.isRead && $0.isRead) })
        {
            waiters.removeAll { $0 == next }
            let grant = Grant(client: next.client, lock: lock, isRead: next.isRead, token: nextToken)
            nextToken += 1
            grants.append(grant)
            reply(grant)
        }
    }
}

/// The daemon's steps on slots while it carries out one message, each of them one atomic operation.
///
/// A message is carried out again from its beginning for each step: what the earlier steps found is replayed, one more step
/// is made, and before the step after that `Pause` is thrown. So all other steps in the world may come between any two.
final class SlotSteps {
    struct Pause: Error {}

    private(set) var words: [UInt64]
    /// What the steps so far have found.
    private(set) var found: [Bool]
    private var place = 0
    private var hasStepped = false
    private let choice: Bool
    private(set) var hasChosen = false
    let fault: SlotFault?
    /// Whether a want is the function of the header, in one step.
    private let usesFunctions: Bool

    init(_ words: [UInt64], found: [Bool], choice: Bool, fault: SlotFault?, usesFunctions: Bool) {
        (self.words, self.found, self.choice) = (words, found, choice)
        (self.fault, self.usesFunctions) = (fault, usesFunctions)
    }

    /// A decision that the rules leave to their policy, which forgets all when a process dies.
    func chooses() -> Bool {
        defer { place += 1 }
        if place < found.count { return found[place] }
        found.append(choice)
        hasChosen = true
        return choice
    }

    func give(_ slot: Int, _ token: UInt64) throws(Pause) {
        _ = try step { words in
            prwlock_slot_give(&words[slot], generation(token))
            return true
        }
    }

    func looks(_ slot: Int, _ token: UInt64) throws(Pause) -> Bool {
        try step { words in prwlock_slot_is_held(&words[slot], generation(token)) }
    }

    func wants(_ slot: Int, _ token: UInt64) throws(Pause) -> Bool {
        if usesFunctions {
            return try step { words in prwlock_slot_want(&words[slot], generation(token)) }
        }
        if fault == .looksBeforeItWants {
            let isHeld = try looks(slot, token)
            try setBit(slot)
            return isHeld
        }
        try setBit(slot)
        return try looks(slot, token)
    }

    private func setBit(_ slot: Int) throws(Pause) {
        _ = try step { words in
            words[slot] |= SlotWord.wanted
            return true
        }
    }

    private func generation(_ token: UInt64) -> UInt64 { SlotWord.generation(token, fault) }

    private func step(_ body: (inout [UInt64]) -> Bool) throws(Pause) -> Bool {
        defer { place += 1 }
        if place < found.count { return found[place] }
        if hasStepped { throw Pause() }
        hasStepped = true
        let result = body(&words)
        found.append(result)
        return result
    }
}

enum SlotWord {
    static let wanted = UInt64(1) << 15
    static let holds = wanted - 1

    static func generation(_ token: UInt64, _ fault: SlotFault?) -> UInt64 {
        fault == .reusesGenerations ? 1 : prwlock_slot_generation(token)
    }
}
