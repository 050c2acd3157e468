import CSlot

/// The steps of a client in `SlotWorld`: those of `prwlock_slot.h`, written out so that other steps may come between a look and
/// a swap, or the functions themselves; or the functions of `prwlock_cached.h`, which are one swap each; and the client's rules of `protocol.md`.
extension SlotWorld {
    func clientSteps(_ client: Int, _ setting: Setting) -> [(String, SlotWorld)] {
        func step(_ name: String, _ change: (inout SlotWorld) -> Void) -> [(String, SlotWorld)] {
            var next = self
            change(&next)
            return [("\(client) \(name)", next)]
        }
        let me = clients[client]
        switch me.phase {
        case .dead, .lost: return []
        case .resting:
            guard me.rounds > 0 else { return [] }
            return setting.requests[client].flatMap { request in
                step("begins with \(request)") {
                    $0.begin(client, request.lock, request.isRead, setting.fault)
                }
            }
        case .entering(let lock, let seen):
            return step("swaps to enter") { $0.enter(client, lock, seen, setting) }
        case .checking(let lock):
            return step("looks who serves") { $0.check(client, lock, setting.fault) }
        case .undoing(let lock, let seen):
            return step("swaps to undo") { $0.undo(client, lock, seen, setting) }
        case .holding:
            let leaves = step("begins to leave") { $0.beginLeave(client, setting.fault) }
            guard setting.recurses, let held = me.held, held.isBySlot, held.isRead else { return leaves }
            return leaves
                + step("begins to recurse") {
                    $0.clients[client].phase = .recursing(seen: $0.firstWord(held.token, 0, setting))
                }
        case .recursing(let seen):
            return step("swaps to recurse") { $0.recurse(client, seen, setting) }
        case .holdingTwice:
            return step("begins to leave once") {
                let token = me.held?.token ?? 0
                $0.clients[client].phase = .leavingOnce(seen: $0.firstWord(token, 1, setting))
            }
        case .leavingOnce(let seen):
            return step("swaps to leave once") { $0.leave(client, seen, setting) }
        case .leaving(let seen):
            return step("swaps to leave") { $0.leave(client, seen, setting) }
        case .waiting, .waitingForRelease:
            if isOver { return step("finds its session ended") { $0.clients[client].phase = .lost } }
            guard !me.inbox.isEmpty else { return [] }
            return step("receives \(me.inbox[0])") { $0.receive(client) }
        }
    }

    private mutating func begin(_ client: Int, _ lock: Int, _ isRead: Bool, _ fault: SlotFault?) {
        clients[client].rounds -= 1
        if let known = clients[client].known[lock], known.isRead == isRead {
            clients[client].phase = .entering(lock: lock, seen: SlotWord.generation(known.token, fault) << 16)
        } else {
            clients[client].known[lock] = nil
            ask(client, lock, isRead)
        }
    }

    private mutating func ask(_ client: Int, _ lock: Int, _ isRead: Bool) {
        send(.acquire(lock: lock, isRead: isRead), client)
        clients[client].phase = .waiting
    }

    private mutating func send(_ message: SlotMessage, _ client: Int) { sent[client].append(message) }

    // MARK: - One atomic operation each

    /// A swap of the word that was seen. Returns nil if it succeeds, and otherwise the word that is there.
    private mutating func swap(_ client: Int, _ seen: UInt64, to new: UInt64) -> UInt64? {
        let word = words[client]
        guard word == seen else { return word }
        words[client] = new
        return nil
    }

    /// A step of `prwlock_cached.h` on the client's word, in pages as a client maps them.
    private mutating func entryStep(
        _ client: Int, _ generation: UInt64, _ body: (UnsafeMutableRawPointer, UInt64) -> Bool
    ) -> Bool {
        let entry = prwlock_entry_of(generation, UInt32(client))
        return withUnsafeTemporaryAllocation(byteCount: 3 * 4096, alignment: 64) { pages in
            guard let base = pages.baseAddress, let word = prwlock_entry_word(base, entry) else {
                return false
            }
            base.storeBytes(of: 1, as: UInt32.self)
            word.initialize(to: words[client])
            defer { words[client] = word.pointee }
            return body(base, entry)
        }
    }

    private mutating func enter(_ client: Int, _ lock: Int, _ seen: UInt64, _ setting: Setting) {
        guard let known = clients[client].known[lock] else { return }
        let generation = SlotWord.generation(known.token, setting.fault)
        if setting.usesFunctions || setting.usesEntries {
            let isEntered =
                setting.usesEntries
                ? entryStep(client, generation) { prwlock_entry_enter($0, $1) }
                : prwlock_slot_enter(&words[client], generation, known.isRead)
            guard isEntered else { return giveUp(client, lock, known.isRead) }
            clients[client].phase = .checking(lock: lock)
            return
        }
        guard let now = swap(client, seen, to: seen + 1) else {
            clients[client].phase = .checking(lock: lock)
            return
        }
        let isOwn = now >> 16 == generation || setting.fault == .comparesNoGeneration
        let isTaken = now & SlotWord.holds == 0 && now & SlotWord.wanted != 0
        let isFull = now & SlotWord.holds == SlotWord.holds
        let mayGoOn = known.isRead && !isFull || setting.fault != nil && now & SlotWord.holds == 0
        if isOwn, mayGoOn, !isTaken || setting.fault == .entersWhileWanted {
            clients[client].phase = .entering(lock: lock, seen: now)
        } else {
            giveUp(client, lock, known.isRead)
        }
    }

    private func firstWord(_ token: UInt64, _ holds: UInt64, _ setting: Setting) -> UInt64 {
        SlotWord.generation(token, setting.fault) << 16 + holds
    }

    /// A reader that holds never waits for the request that waits for it (G4). The header's loop goes on for as long as another
    /// one changes the word.
    private mutating func recurse(_ client: Int, _ seen: UInt64, _ setting: Setting) {
        guard let held = clients[client].held else { return }
        let generation = SlotWord.generation(held.token, setting.fault)
        if setting.usesFunctions {
            let isEntered = prwlock_slot_enter(&words[client], generation, true)
            clients[client].phase = isEntered ? .holdingTwice : .holding
            return
        }
        guard let now = swap(client, seen, to: seen + 1) else {
            clients[client].phase = .holdingTwice
            return
        }
        // It fails only if the grant was revoked, and its slot given to another.
        let goesOn = now >> 16 == generation && now & SlotWord.holds != 0
        clients[client].phase = goesOn ? .recursing(seen: now) : .holding
        if !goesOn, !committed.revoked.contains(held.token) { hasWaitedForItself = true }
    }

    private mutating func giveUp(_ client: Int, _ lock: Int, _ isRead: Bool) {
        clients[client].known[lock] = nil
        ask(client, lock, isRead)
    }

    private mutating func check(_ client: Int, _ lock: Int, _ fault: SlotFault?) {
        guard let known = clients[client].known[lock] else { return }
        if isServed || fault == .ignoresWhoServes {
            clients[client].held = Held(
                lock: lock, isRead: known.isRead, token: known.token, isBySlot: true)
            clients[client].phase = .holding
        } else {
            let word = SlotWord.generation(known.token, fault) << 16 + 1
            clients[client].phase = .undoing(lock: lock, seen: word)
        }
    }

    /// A release in the slot: nil while it goes on, and otherwise whether it is done.
    private mutating func release(
        _ client: Int, _ token: UInt64, _ seen: inout UInt64, _ setting: Setting
    ) -> Bool? {
        let generation = SlotWord.generation(token, setting.fault)
        if setting.usesFunctions { return prwlock_slot_leave(&words[client], generation) }
        // `prwlock_entry_leave` looks who serves before this swap: that is a step of its own, in `beginLeave`.
        if setting.usesEntries { return entryStep(client, generation) { prwlock_entry_step_back($0, $1) } }
        guard let now = swap(client, seen, to: seen - 1) else { return true }
        seen = now
        let isOwn = now >> 16 == generation || setting.fault == .comparesNoGeneration
        let holds = now & SlotWord.holds
        let isWanted = now & SlotWord.wanted != 0 && setting.fault != .leavesWhileWanted
        return !isOwn || holds == 0 || holds == 1 && isWanted ? false : nil
    }

    private mutating func undo(_ client: Int, _ lock: Int, _ seen: UInt64, _ setting: Setting) {
        guard let known = clients[client].known[lock] else { return }
        var seen = seen
        guard let isDone = release(client, known.token, &seen, setting) else {
            clients[client].phase = .undoing(lock: lock, seen: seen)
            return
        }
        clients[client].known[lock] = nil
        if !isDone { send(.release(known.token), client) }
        ask(client, lock, known.isRead)
    }

    private mutating func leave(_ client: Int, _ seen: UInt64, _ setting: Setting) {
        guard let held = clients[client].held else { return }
        var seen = seen
        var isOnce = false
        if case .leavingOnce = clients[client].phase { isOnce = true }
        guard let isDone = release(client, held.token, &seen, setting) else {
            clients[client].phase = isOnce ? .leavingOnce(seen: seen) : .leaving(seen: seen)
            return
        }
        if isDone, isOnce {
            clients[client].phase = .holding
        } else if isDone {
            clients[client].held = nil
            clients[client].phase = .resting
        } else {
            releaseByMessage(client, held, setting.fault)
        }
    }

    private mutating func beginLeave(_ client: Int, _ fault: SlotFault?) {
        guard let held = clients[client].held else { return }
        if held.isBySlot, isServed || fault == .ignoresWhoServes {
            clients[client].phase = .leaving(seen: SlotWord.generation(held.token, fault) << 16 + 1)
        } else {
            releaseByMessage(client, held, fault)
        }
    }

    private mutating func releaseByMessage(_ client: Int, _ held: Held, _ fault: SlotFault?) {
        if fault != .remembersWhatItReleased { clients[client].known[held.lock] = nil }
        clients[client].held = nil
        send(.release(held.token), client)
        clients[client].phase = .waitingForRelease
    }

    private mutating func receive(_ client: Int) {
        switch clients[client].inbox.removeFirst() {
        case .granted(let lock, let isRead, let token, let isCached):
            clients[client].held = Held(lock: lock, isRead: isRead, token: token, isBySlot: isCached)
            if isCached { clients[client].known[lock] = Known(isRead: isRead, token: token) }
            clients[client].phase = .holding
        case .released, .notHeld:
            // An undone request still waits for its grant.
            if clients[client].phase == .waitingForRelease { clients[client].phase = .resting }
        }
    }
}
