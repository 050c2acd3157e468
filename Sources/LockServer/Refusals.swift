import LockClaims
import LockCore
import LockVocabulary
import LockWire

/// Makes replies from the rules' decisions.
extension Server {
    mutating func reply(_ granted: GrantSummary, _ name: LockName, _ client: ConversationIndex) -> Reply {
        statistics.grants += 1
        let until = until(name)
        if until != nil { conversations[client].mayHoldShared = true }
        return .granted(name, granted.mode, granted.token, ownerDied: granted.mark, until: until)
    }

    /// The reply to a request for a lock that is refused, now or after it waited. Counts and notes the refusal.
    mutating func reply(
        _ refusal: Refusal, _ name: LockName, _ mode: LockMode, _ client: ConversationIndex, hasWaited: Bool
    ) -> Reply {
        switch refusal {
        // What is busy at once is so for a request of this host, which may itself wait for a claim.
        case .busy(let blockers) where hasWaited && isUndecided(blockers, name):
            return .error(unavailable(name).about(name, mode))
        case .busy(let blockers):
            statistics.busy += 1
            return .busy(name, mode, heldBy(blockers, of: name, mode))
        case .timeout(let waited, let blockers):
            statistics.timeouts += 1
            return .timeout(name, mode, waited: waited, heldBy(blockers, of: name, mode))
        case .deadlock(let circle):
            statistics.deadlocks += 1
            let cycle = fleetHops.isEmpty ? cycle(circle) : cycle(overHostsFrom: client, name)
            note(.deadlockRefused(circle: spell(cycle)), name, by: client)
            return .deadlock(name, mode, cycle)
        case .cancelled: return .cancelled(name, mode)
        case .limit:
            let error = error(refusal)
            note(.limitHit(error.code.rawValue), name, by: client)
            return .error(error.about(name, mode))
        case .unavailable:
            return .error(unavailable(name).about(name, mode))
        case .noToken:
            note(.noToken, name, by: client)
            return .error(error(refusal).about(name, mode))
        case .draining, .notHeld, .notWaiting, .ambiguous, .wrongMode, .noLease:
            return .error(error(refusal).about(name, mode))
        }
    }

    /// The error for a refusal that has no reply of its own.
    func error(_ refusal: Refusal) -> WireError {
        switch refusal {
        case .limit(.grants) where isFull, .limit(.waiters) where isFull: WireError(.noMemory)
        case .limit(.grants): WireError(.limitGrants)
        case .limit(.waiters): WireError(.limitWaiters)
        case .limit(.locks): WireError(.limitLocks)
        case .limit(.waits): WireError(.limitWaits)
        case .noToken: WireError(.noToken)
        case .draining: WireError(.draining)
        case .unavailable: WireError(.clusterUnavailable)
        case .notHeld: WireError(.notHeld)
        case .notWaiting: WireError(.notWaiting)
        case .ambiguous: WireError(.ambiguous)
        case .wrongMode: WireError(.wrongMode)
        case .noLease: WireError(.missingArgument, "the grant has no lease to repeat; say lease=")
        case .busy, .timeout, .deadlock, .cancelled:
            preconditionFailure("a refusal with a reply of its own")
        }
    }

    private func heldBy(_ blockers: Blockers, of name: LockName, _ mode: LockMode) -> HeldBy {
        var heldBy = HeldBy()
        for blocker in blockers.first {
            let process = conversations.processID(of: blocker.session)
            heldBy.add(HeldBy.Holder(processID: process, mode: blocker.mode))
        }
        if fleet != nil {
            let hosts = hosts(holding: name, against: mode)
            // Behind another host's writer, a reader waits for the readers before it, as on one host.
            let others = hosts.isEmpty && blockers.first.isEmpty ? self.hosts(holding: name) : hosts
            for host in others { heldBy.add(host) }
        }
        heldBy.addUnnamed(blockers.more)
        return heldBy
    }

    private func cycle(_ circle: Circle) -> Cycle {
        var cycle = Cycle([])
        for hop in circle.hops {
            if fleet != nil, hop.session == table.fleetSession,
                let host = hosts(holding: hop.lock).first?.host
            {
                cycle.add(Cycle.Hop(host: host, lock: hop.lock))
                continue
            }
            let process = conversations.processID(of: hop.session)
            cycle.add(Cycle.Hop(processID: process, owner: hop.owner, lock: hop.lock))
        }
        return cycle
    }

    /// The cycle over hosts that is being ended, from the session of the refused request on.
    private func cycle(overHostsFrom client: ConversationIndex, _ name: LockName) -> Cycle {
        let process = conversations[client].peer.processID
        return Cycle([Cycle.Hop(processID: process, owner: .session, lock: name)] + fleetHops)
    }

    /// A cycle as the operator's log shows it.
    private func spell(_ cycle: Cycle) -> String {
        let hops = cycle.named.map { hop in
            if let host = hop.host { return "host:\(host):\(hop.lock)" }
            let process = hop.processID.map(String.init) ?? "?"
            return hop.owner.isSession ? "\(process):\(hop.lock)" : "\(process)/\(hop.owner):\(hop.lock)"
        }
        return hops.joined(separator: ">") + (cycle.more > 0 ? ">+\(cycle.more)" : "")
    }
}

extension WireError {
    /// The same error as the answer to a request for a lock.
    fileprivate func about(_ name: LockName, _ mode: LockMode) -> WireError {
        WireError(code, text, of: Subject(name, mode))
    }
}
