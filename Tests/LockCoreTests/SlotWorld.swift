import CSlot

/// Two clients and the daemon, with one slot for each client and two locks, of which every state is visited.
///
/// Each step is one atomic operation on a word, or a message that is sent or received. A client may be killed between any two
/// steps; a client that is stopped is one that makes none while others do. The daemon may die between any two of its steps,
/// and the next one begins again with its last commit (G14), or there is no next one, and the locks are given to others.
struct SlotWorld: Hashable {
    enum Phase: Hashable {
        case resting
        /// Is about to swap the word that it has seen.
        case entering(lock: Int, seen: UInt64)
        /// Has entered, and is about to look whether a process serves.
        case checking(lock: Int)
        /// Gives back what it has entered while no process served.
        case undoing(lock: Int, seen: UInt64)
        case waiting
        case holding
        /// Is about to swap the word that it has seen, in the last release.
        case leaving(seen: UInt64)
        case waitingForRelease
        /// Enters once more while it holds for reading.
        case recursing(seen: UInt64)
        case holdingTwice
        /// Leaves once of two times.
        case leavingOnce(seen: UInt64)
        /// Has found that its session has ended.
        case lost
        case dead
    }

    struct Client: Hashable {
        var phase = Phase.resting
        var rounds: Int
        /// The slot's grant on each lock, as the client knows it.
        var known: [Known?] = [nil, nil]
        /// What it holds, or was asking to release.
        var held: Held?
        var inbox: [SlotReply] = []
        /// What it held under its slot as it was killed.
        var diedHolding: UInt64?
    }

    struct Known: Hashable {
        let isRead: Bool
        let token: UInt64
    }

    struct Held: Hashable {
        let lock: Int
        let isRead: Bool
        let token: UInt64
        let isBySlot: Bool
    }

    /// What may happen in a search.
    struct Setting {
        var rounds = [2, 2]
        var requests: [[(lock: Int, isRead: Bool)]] = [[(0, false)], [(0, false)]]
        var kills = 0
        var deaths = 0
        var revokes = 0
        var endsForGood = false
        /// Whether readers hold twice (G4).
        var recurses = false
        /// How many messages the daemon may carry out before it commits.
        var batch = 1
        var fault: SlotFault?
        /// Whether a client's step is a whole function of the header.
        var usesFunctions = false
        /// Whether a client's step is a whole function of `prwlock_cached.h`. Such a client never holds twice.
        var usesEntries = false
    }

    var clients: [Client]
    var words: [UInt64] = [0, 0]
    /// The messages of the clients and of an administrator.
    var sent: [[SlotMessage]] = [[], [], []]
    var committed = SlotDaemon()
    var working = SlotDaemon()
    /// The client that sent the message that the daemon carries out, and what it has found in the slots so far.
    var current: Int?
    var found: [Bool] = []
    var inBatch = 0
    var isServed = true
    var isOver = false
    var kills: Int
    var deaths: Int
    /// Whether a reader could not enter once more, although its grant was not revoked.
    var hasWaitedForItself = false

    init(_ setting: Setting) {
        clients = setting.rounds.map { Client(rounds: $0) }
        (kills, deaths) = (setting.kills, setting.deaths)
        sent[2] = Array(repeating: .revoke, count: setting.revokes)
    }

    /// All steps that are possible, each with its name and the state after it. Kills and deaths need not happen.
    func steps(_ setting: Setting) -> (must: [(String, SlotWorld)], may: [(String, SlotWorld)]) {
        var (must, may): ([(String, SlotWorld)], [(String, SlotWorld)]) = ([], [])
        for client in clients.indices {
            must += clientSteps(client, setting)
            if kills > 0, clients[client].phase != .dead, clients[client].phase != .lost {
                may.append(("kill \(client)", killed(client)))
            }
        }
        guard !isOver else { return (must, may) }
        if isServed {
            must += daemonSteps(setting)
            if deaths > 0 { may.append(("the daemon dies", died())) }
            if setting.endsForGood { may.append(("the daemon ends", ended())) }
        } else {
            must.append(("the next one serves", with { $0.isServed = true }))
        }
        return (must, may)
    }

    private func with(_ change: (inout SlotWorld) -> Void) -> SlotWorld {
        var copy = self
        change(&copy)
        return copy
    }

    // MARK: - The daemon

    private func daemonSteps(_ setting: Setting) -> [(String, SlotWorld)] {
        if let current { return carryOut(current, setting) }
        var steps: [(String, SlotWorld)] = []
        if inBatch < setting.batch {
            for client in sent.indices where working.done[client] < sent[client].count {
                steps += carryOut(client, setting)
            }
        }
        if inBatch > 0 { steps.append(("commit", with { $0.commit(setting.fault) })) }
        return steps
    }

    /// The next step on a slot for a message, for each choice of the policy.
    private func carryOut(_ client: Int, _ setting: Setting) -> [(String, SlotWorld)] {
        var steps: [(String, SlotWorld)] = []
        guard let message = sent[client].dropFirst(working.done[client]).first else { return [] }
        for choice in [false, true] {
            let slots = SlotSteps(
                words, found: found, choice: choice, fault: setting.fault,
                usesFunctions: setting.usesFunctions)
            var next = self
            do throws(SlotSteps.Pause) {
                try next.working.carryOut(message, of: client, slots)
                (next.current, next.found) = (nil, [])
                next.inBatch += 1
            } catch {
                next.working = working
                (next.current, next.found) = (client, slots.found)
            }
            next.words = slots.words
            steps.append(("the daemon: \(message) of \(client)\(choice ? ", cached" : "")", next))
            if !slots.hasChosen { break }
        }
        return steps
    }

    private mutating func commit(_ fault: SlotFault?) {
        for client in clients.indices {
            clients[client].inbox += working.out[client]
            working.out[client] = []
        }
        for (token, slot) in working.late {
            prwlock_slot_give(&words[slot], SlotWord.generation(token, fault))
        }
        committed = working
        inBatch = 0
    }

    private func died() -> SlotWorld {
        with {
            $0.working = committed
            ($0.current, $0.found, $0.inBatch) = (nil, [], 0)
            $0.isServed = false
            $0.deaths -= 1
        }
    }

    private func ended() -> SlotWorld {
        with {
            $0.isServed = false
            $0.isOver = true
        }
    }

    private func killed(_ client: Int) -> SlotWorld {
        with {
            $0.kills -= 1
            $0.clients[client].diedHolding = slotHold(of: client)
            $0.clients[client].phase = .dead
            $0.sent[client].append(.end)
        }
    }

    /// The write grant that a client holds under its slot, or has taken back only in part.
    private func slotHold(of client: Int) -> UInt64? {
        switch clients[client].phase {
        case .checking(let lock), .undoing(let lock, _): return clients[client].known[lock]?.token
        case .holding, .leaving, .recursing, .holdingTwice, .leavingOnce:
            guard let held = clients[client].held, held.isBySlot else { return nil }
            return held.token
        case .resting, .entering, .waiting, .waitingForRelease, .lost, .dead: return nil
        }
    }

    // MARK: - What must be true

    /// What is wrong in this state; nil if nothing is.
    func fault(hasSteps: Bool, planted: SlotFault?) -> String? {
        if let two = holders.count == 2 ? (holders[0], holders[1]) : nil,
            two.0.lock == two.1.lock, !two.0.isRead || !two.1.isRead
        {
            return "a writer holds beside another holder"
        }
        if hasWaitedForItself { return "G4: a reader that holds could not enter again" }
        for client in clients.indices {
            for (token, isMarked) in committed.marks where clients[client].phase == .dead {
                let isOwn = clients[client].known.contains { $0?.token == token }
                if isOwn, isMarked != (clients[client].diedHolding == token) {
                    return "grant \(token) of a dead client left the wrong mark"
                }
            }
        }
        if !isOver, current == nil, inBatch == 0, isServed, let fault = faultAtRest(planted) { return fault }
        guard !hasSteps else { return nil }
        if !isOver, !committed.waiters.isEmpty { return "a request waits for ever" }
        for client in clients where client.phase == .waiting || client.phase == .waitingForRelease {
            return "\(client) waits for ever"
        }
        for grant in isOver ? [] : committed.grants where !isIdle(grant, planted) {
            return "\(grant) counts as held for ever"
        }
        return nil
    }

    /// What clients believe to hold, but for what was revoked.
    private var holders: [Held] {
        guard !isOver else { return [] }
        return clients.compactMap { client in
            switch client.phase {
            case .holding, .leaving, .recursing, .holdingTwice, .leavingOnce:
                client.held.flatMap { committed.revoked.contains($0.token) ? nil : $0 }
            case .resting, .entering, .checking, .undoing, .waiting, .waitingForRelease, .lost, .dead: nil
            }
        }
    }

    private func isIdle(_ grant: SlotDaemon.Grant, _ planted: SlotFault?) -> Bool {
        var word = words[grant.client]
        let isHeld = prwlock_slot_is_held(&word, SlotWord.generation(grant.token, planted))
        return grant.caching == .cached && !isHeld
    }

    /// Between two batches: a request waits only for what is held.
    private func faultAtRest(_ planted: SlotFault?) -> String? {
        for waiter in committed.waiters {
            let blockers = committed.grants.filter {
                $0.lock == waiter.lock && (!$0.isRead || !waiter.isRead)
            }
            let ahead = committed.waiters.prefix { $0 != waiter }.contains { $0.lock == waiter.lock }
            if blockers.isEmpty, !ahead { return "\(waiter) waits for nothing" }
            if let idle = blockers.first(where: { isIdle($0, planted) }) {
                return "\(waiter) waits for \(idle), which is idle"
            }
            for grant in blockers where grant.caching == .wanted {
                guard words[grant.client] & SlotWord.holds == 0, clients[grant.client].phase != .dead
                else { continue }
                return "\(waiter) waits for \(grant), which was left"
            }
        }
        return nil
    }
}
