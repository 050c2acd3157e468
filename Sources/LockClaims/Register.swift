/// The one truth about a shared name: the hosts with a claim, the hosts that wait, and the mark of a dead writer.
///
/// All changes are functions of the register, and end with `promote`, so that each host computes the same. Invariants:
///
/// 1. A write claim is the only claim.
/// 2. A session has at most one claim and at most one place in the queue.
/// 3. The first waiter conflicts with a claim of another session.
/// 4. An upgrade is the first waiter. A probe is the first waiter.
struct Register: Equatable, Sendable {
    struct Holder: Equatable, Sendable {
        var mode: ClaimMode
        var session: HostSession
    }

    struct Waiter: Equatable, Sendable {
        var mode: ClaimMode
        var session: HostSession
        /// The host has a read claim that its readers do not give up before they get the write claim.
        var isUpgrade = false
        /// The entry is removed if the claim cannot be had at once.
        var isProbe = false
    }

    var holders: [Holder] = []
    /// In the order of arrival, an upgrade first.
    var waiters: [Waiter] = []
    var mark: ClaimMark?

    /// Whether nothing is to be remembered, so that the key is absent.
    var isEmpty: Bool { holders.isEmpty && waiters.isEmpty && mark == nil }

    func claim(of session: HostSession) -> ClaimMode? {
        holders.first { $0.session == session }?.mode
    }

    func waiter(of session: HostSession) -> Waiter? {
        waiters.first { $0.session == session }
    }

    /// All sessions that the register names, each once or twice.
    var sessions: [HostSession] { holders.map(\.session) + waiters.map(\.session) }

    /// The waiters that a claim of this session keeps waiting: those before its own place in the queue, if it has one.
    func blocked(by session: HostSession) -> [Waiter] {
        guard let mode = claim(of: session) else { return [] }
        return waiters.prefix { $0.session != session }.filter { $0.mode.conflicts(with: mode) }
    }

    // MARK: - Changes

    /// Gives a session its place in the queue, or changes what it waits for at the same place; nil removes it.
    mutating func setWaiter(_ wanted: Waiter?, of session: HostSession) {
        let place = waiters.firstIndex { $0.session == session }
        guard let wanted else {
            if let place { waiters.remove(at: place) }
            return
        }
        if let place, wanted.isUpgrade == waiters[place].isUpgrade {
            waiters[place] = wanted
        } else {
            if let place { waiters.remove(at: place) }
            waiters.insert(wanted, at: wanted.isUpgrade ? 0 : waiters.endIndex)
        }
    }

    /// A session gives its claim up. From a write claim its mark goes into the register.
    mutating func yield(_ session: HostSession, mark: ClaimMark?) {
        if claim(of: session) == .write { self.mark = mark }
        holders.removeAll { $0.session == session }
    }

    /// A session goes on with a read claim instead of its write claim.
    mutating func share(_ session: HostSession, mark: ClaimMark?) {
        self.mark = mark
        for place in holders.indices where holders[place].session == session { holders[place].mode = .read }
    }

    /// Removes sessions that have ended. Whether one held under a write claim cannot be known.
    mutating func sweep(_ dead: [HostSession]) {
        guard !dead.isEmpty else { return }
        if holders.contains(where: { $0.mode == .write && dead.contains($0.session) }) { mark = .maybe }
        holders.removeAll { dead.contains($0.session) }
        waiters.removeAll { dead.contains($0.session) }
    }

    /// Gives claims to the first waiters, as long as they are compatible; returns the sessions that got one. A probe that stays
    /// behind another waiter is removed: it cannot have its claim at once.
    mutating func promote() -> [HostSession] {
        var promoted: [HostSession] = []
        while let first = waiters.first, isCompatible(first) {
            waiters.removeFirst()
            holders.removeAll { $0.session == first.session }
            holders.append(Holder(mode: first.mode, session: first.session))
            promoted.append(first.session)
        }
        if let first = waiters.first { waiters = [first] + waiters.dropFirst().filter { !$0.isProbe } }
        return promoted
    }

    /// A session's own read claim does not keep it from the write claim.
    private func isCompatible(_ waiter: Waiter) -> Bool {
        holders.allSatisfy { $0.session == waiter.session || !$0.mode.conflicts(with: waiter.mode) }
    }
}
