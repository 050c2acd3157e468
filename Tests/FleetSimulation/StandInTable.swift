import LockClaims
import LockVocabulary

/// The stand-in's table: who gets a lock, and what its claims make of it.
extension StandIn {
    func request(
        _ tag: Substring, _ name: LockName, _ mode: LockMode, _ owner: String, _ options: [Substring: String],
        _ upgrades: UInt64?, _ session: SessionID, at now: Instant
    ) {
        self.now = now
        let isShared = configuration.isShared(name)
        var lock = locks[name] ?? Lock()
        if !isShared { lock.fleet = .nothing }
        let wait = options["wait"].flatMap { $0 == "0" ? 0 : Int64($0.dropLast(2)) }
        lastNumber += 1
        if let upgrades {
            guard let grant = lock.grants.first(where: { $0.token == upgrades && $0.session == session }) else {
                return say(session, "\(tag) ERROR not-held")
            }
            let others = lock.waiters.contains { $0.upgrades != nil }
            if grant.mode == .write { return say(session, "\(tag) ERROR wrong-mode") }
            if others { return say(session, "\(tag) DEADLOCK \(name.text) write") }
        } else if let own = lock.grants.first(where: { $0.session == session && $0.owner == owner }) {
            guard mode == .read, own.mode != .write, lock.fleet != .all else {
                return say(session, "\(tag) DEADLOCK \(name.text) \(mode)")
            }
        }
        let waiter = Waiter(
            number: lastNumber, tag: tag, session: session, owner: owner, mode: mode,
            deadline: wait.map { now.advanced(by: .milliseconds($0 == 0 ? 1_000 : $0)) }, isProbe: wait == 0,
            since: now, upgrades: upgrades,
            lease: options["lease"].flatMap { Int64($0.dropLast(2)) }.map { .milliseconds($0) })
        let isAgain = lock.grants.contains { $0.session == session && $0.owner == owner }
        if upgrades != nil || isAgain {
            lock.waiters.insert(waiter, at: 0)
            lock.recallPlace += 1
        } else {
            lock.waiters.append(waiter)
        }
        locks[name] = lock
        if let text = lock.unavailable, isShared, wait == nil || wait == 0 {
            return refuse(waiter, name, "ERROR cluster-unavailable lock=\(name.text) mode=\(mode) \(text)")
        }
        touch(name)
        guard let place = locks[name]?.waiters.firstIndex(where: { $0.number == waiter.number }) else { return }
        if wait == 0, isBlockedBySessions(name, place) {
            refuse(waiter, name, "BUSY \(name.text) \(mode)")
        } else if closesCircle(waiter) {
            refuse(waiter, name, "DEADLOCK \(name.text) \(mode)")
        }
    }

    private func isBlockedBySessions(_ name: LockName, _ place: Int) -> Bool {
        guard let lock = locks[name] else { return false }
        let waiter = lock.waiters[place]
        return lock.grants.contains { conflicts($0, waiter) }
            || lock.waiters[..<place].contains { $0.mode.conflicts(with: waiter.mode) && !$0.isProbe }
    }

    func conflicts(_ grant: Grant, _ waiter: Waiter) -> Bool {
        if grant.token == waiter.upgrades { return false }
        if grant.session == waiter.session, grant.owner == waiter.owner { return waiter.upgrades != nil && false }
        return grant.mode.conflicts(with: waiter.mode)
    }

    /// Grants what can be granted, in order.
    func settle(_ name: LockName) {
        guard var lock = locks[name] else { return }
        let isShared = configuration.isShared(name)
        var place = 0
        while place <= lock.waiters.count {
            if isShared, lock.recall != .none, place == min(lock.recallPlace, lock.waiters.count) {
                let isFree =
                    lock.recall == .all ? lock.grants.isEmpty : lock.grants.allSatisfy { $0.mode == .read }
                guard isFree else { break }
                lock.fleet = lock.recall == .all ? .all : lock.fleet == .all ? .all : .read
                lock.recall = .none
            }
            guard place < lock.waiters.count else { break }
            let waiter = lock.waiters[place]
            let permitted: Bool =
                switch lock.fleet {
                case .nothing: true
                case .read: waiter.mode == .read
                case .all: false
                }
            guard permitted, !lock.grants.contains(where: { conflicts($0, waiter) }),
                let token = takeToken(isShared: isShared)
            else {
                // Readers that hold already go before those that wait.
                break
            }
            lock.waiters.remove(at: place)
            if lock.recallPlace > place { lock.recallPlace -= 1 }
            var grant = Grant(
                session: waiter.session, owner: waiter.owner, mode: waiter.mode, token: token,
                end: waiter.lease.map { now.advanced(by: $0) })
            if let old = waiter.upgrades, let own = lock.grants.firstIndex(where: { $0.token == old }) {
                grant.end = lock.grants[own].end
                lock.grants.remove(at: own)
            }
            lock.grants.append(grant)
            let mark = lock.mark.map { $0 == .yes ? " ownerdied=1" : " ownerdied=maybe" } ?? ""
            let until = isShared ? " " + end(at: now) : ""
            say(
                waiter.session,
                "\(waiter.tag) GRANTED \(name.text) \(waiter.mode) token=\(token)\(mark)\(until)")
        }
        locks[name] = lock
    }

    func granted(_ name: LockName, _ mode: LockMode, _ token: UInt64, at now: Instant) -> String {
        "GRANTED \(name.text) \(mode) token=\(token)"
            + (configuration.isShared(name) ? " " + end(at: now) : "")
    }

    private func takeToken(isShared: Bool) -> UInt64? {
        guard isShared else {
            lastToken += 1
            return lastToken
        }
        let (floor, gate) = claims.tokens
        let next = max(lastSharedToken + 1, floor.rawValue)
        guard next < gate.rawValue else {
            claims.raiseGate()
            return nil
        }
        lastSharedToken = next
        return next
    }

    // MARK: - Claims

    /// States all that has changed, and does what the claims say, until neither changes.
    func pump(at now: Instant) {
        self.now = now
        for _ in 0..<100 {
            if claims.takeSeizure() { seize() }
            var isQuiet = true
            for name in Set(changed).sorted() {
                claims.update(name, situation(name), at: now)
            }
            changed = []
            while let name = claims.nextChanged() {
                isQuiet = false
                apply(claims.directive(for: name), name)
            }
            for circle in claims.takeCircles() {
                isQuiet = false
                for (name, lock) in locks {
                    for waiter in lock.waiters where waiter.number == circle.waiter {
                        refuse(waiter, name, "DEADLOCK \(name.text) \(waiter.mode) cycle=\(circle.hops)")
                    }
                }
            }
            if claims.takeWaitsWanted() { claims.updateWaits(edges(), at: now) }
            for name in locks.keys.sorted() where configuration.isShared(name) { settle(name) }
            if isQuiet, changed.isEmpty { return }
        }
    }

    private func situation(_ name: LockName) -> Situation {
        guard let lock = locks[name] else { return .unused }
        var demand = Demand.none
        var isProbe = true
        for waiter in lock.waiters {
            let wanted: Demand
            if waiter.upgrades != nil {
                wanted = lock.fleet == .nothing ? .none : .upgrade
            } else if waiter.mode != .read {
                wanted = lock.fleet == .nothing ? .none : .write
            } else {
                wanted = lock.fleet == .all ? .read : .none
            }
            demand = max(demand, wanted)
            if wanted != .none, !waiter.isProbe { isProbe = false }
        }
        return Situation(
            demand: demand, isProbe: isProbe && demand != .none, fleet: lock.fleet,
            isUsed: !lock.grants.isEmpty || !lock.waiters.isEmpty, mark: lock.mark)
    }

    private func apply(_ directive: Directive, _ name: LockName) {
        var lock = locks[name] ?? Lock()
        let before = lock
        if (directive.allowed ?? nil).map({ $0 == .write }) ?? false, lock.fleet != .nothing {
            (lock.fleet, lock.mark) = (.nothing, directive.mark)
        } else if directive.allowed == .read, lock.fleet == .all {
            (lock.fleet, lock.mark) = (.read, directive.mark)
        } else if directive.allowed == nil, lock.fleet != .all {
            locks[name] = lock
            return seize(name)
        } else if directive.allowed == .read, lock.fleet == .nothing {
            locks[name] = lock
            return seize(name)
        }
        if directive.recall != lock.recall || directive.recallsFirst && lock.recallPlace > 0 {
            if lock.recall == .none { lock.recallPlace = lock.waiters.count }
            lock.recall = directive.recall
            if directive.recallsFirst { lock.recallPlace = 0 }
        }
        if case .unavailable(let text) = directive.refusal { lock.unavailable = text } else { lock.unavailable = nil }
        locks[name] = lock
        switch directive.refusal {
        case .none: break
        case .busy:
            for waiter in lock.waiters where waiter.isProbe {
                refuse(waiter, name, "BUSY \(name.text) \(waiter.mode)")
            }
        case .deadlock:
            for waiter in lock.waiters where waiter.upgrades != nil {
                refuse(waiter, name, "DEADLOCK \(name.text) write")
            }
        case .unavailable(let text):
            for waiter in lock.waiters where waiter.deadline == nil || waiter.isProbe {
                refuse(waiter, name, "ERROR cluster-unavailable lock=\(name.text) mode=\(waiter.mode) \(text)")
            }
        }
        settle(name)
        if locks[name]?.fleet != before.fleet || locks[name]?.grants.count != before.grants.count {
            changed.append(name)
        }
    }

    func seize() {
        for name in locks.keys.sorted() where configuration.isShared(name) { seize(name) }
    }

    private func seize(_ name: LockName) {
        guard let lock = locks[name] else { return }
        locks[name]?.fleet = .all
        locks[name]?.recall = .none
        locks[name]?.grants = []
        for grant in lock.grants {
            if grant.mode == .write { locks[name]?.mark = .yes }
            say(grant.session, "! REVOKED \(name.text) token=\(grant.token)")
            for waiter in lock.waiters where waiter.upgrades == grant.token {
                refuse(waiter, name, "CANCELLED \(name.text) write")
            }
        }
        touch(name)
    }

    // MARK: - Circles

    private struct LocalParty: Hashable {
        let session: SessionID
        let owner: String
    }

    /// The owners for which a waiting request waits.
    private func blockers(_ name: LockName, _ place: Int) -> Set<LocalParty> {
        guard let lock = locks[name] else { return [] }
        let waiter = lock.waiters[place]
        var found = Set(
            lock.grants.filter { conflicts($0, waiter) }.map { LocalParty(session: $0.session, owner: $0.owner) })
        found.formUnion(lock.waiters[..<place].map { LocalParty(session: $0.session, owner: $0.owner) })
        found.remove(LocalParty(session: waiter.session, owner: waiter.owner))
        return found
    }

    private func waits(of party: LocalParty) -> [(name: LockName, place: Int)] {
        locks.flatMap { name, lock in
            lock.waiters.indices.filter {
                lock.waiters[$0].session == party.session && lock.waiters[$0].owner == party.owner
            }.map { (name, $0) }
        }
    }

    /// All owners for which an owner waits, directly or not.
    private func reachable(from start: Set<LocalParty>) -> Set<LocalParty> {
        var found = start
        var open = Array(start)
        while let party = open.popLast() {
            for (name, place) in waits(of: party) {
                for next in blockers(name, place) where found.insert(next).inserted { open.append(next) }
            }
        }
        return found
    }

    private func closesCircle(_ waiter: Waiter) -> Bool {
        let party = LocalParty(session: waiter.session, owner: waiter.owner)
        var next: Set<LocalParty> = []
        for (name, place) in waits(of: party) { next.formUnion(blockers(name, place)) }
        return reachable(from: next).contains(party)
    }

    /// For each recalled lock the shared locks that its holders need from other hosts.
    private func edges() -> [WaitEdge] {
        var edges: Set<WaitEdge> = []
        for (held, lock) in locks where lock.recall != .none && configuration.isShared(held) {
            let ahead = lock.waiters.prefix(lock.recallPlace).map { LocalParty(session: $0.session, owner: $0.owner) }
            let start = lock.grants.map { LocalParty(session: $0.session, owner: $0.owner) } + ahead
            for party in reachable(from: Set(start)) {
                for (wanted, place) in waits(of: party) {
                    guard let other = locks[wanted], configuration.isShared(wanted), other.fleet != .nothing else {
                        continue
                    }
                    let waiter = other.waiters[place]
                    if waiter.mode != .read || other.fleet == .all {
                        edges.insert(WaitEdge(held: held, wanted: wanted, waiter: waiter.number))
                    }
                }
            }
        }
        return edges.sorted { ($0.held, $0.wanted, $0.waiter) < ($1.held, $1.wanted, $1.waiter) }
    }
}
