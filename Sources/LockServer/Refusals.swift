import LockCore
import LockVocabulary
import LockWire

/// Makes replies from the rules' decisions.
extension Server {
    mutating func reply(_ granted: GrantSummary, _ name: LockName) -> Reply {
        statistics.grants += 1
        return .granted(name, granted.mode, granted.token, ownerDied: granted.ownerDied ? .yes : nil)
    }

    /// The reply to a request for a lock that is refused, now or after it waited. Counts and notes the refusal.
    mutating func reply(
        _ refusal: Refusal, _ name: LockName, _ mode: LockMode, _ client: ConversationIndex
    ) -> Reply {
        switch refusal {
        case .busy(let blockers):
            statistics.busy += 1
            return .busy(name, mode, heldBy(blockers))
        case .timeout(let waited, let blockers):
            statistics.timeouts += 1
            return .timeout(name, mode, waited: waited, heldBy(blockers))
        case .deadlock(let circle):
            statistics.deadlocks += 1
            let cycle = cycle(circle)
            note(.deadlockRefused(circle: spell(cycle)), name, by: client)
            return .deadlock(name, mode, cycle)
        case .cancelled: return .cancelled(name, mode)
        case .limit:
            let error = error(refusal)
            note(.limitHit(error.code.rawValue), name, by: client)
            return .error(error.about(name, mode))
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
        case .notHeld: WireError(.notHeld)
        case .notWaiting: WireError(.notWaiting)
        case .ambiguous: WireError(.ambiguous)
        case .wrongMode: WireError(.wrongMode)
        case .noLease: WireError(.missingArgument, "the grant has no lease to repeat; say lease=")
        case .busy, .timeout, .deadlock, .cancelled:
            preconditionFailure("a refusal with a reply of its own")
        }
    }

    private func heldBy(_ blockers: Blockers) -> HeldBy {
        var heldBy = HeldBy()
        for blocker in blockers.first {
            let process = conversations.processID(of: blocker.session)
            heldBy.add(HeldBy.Holder(processID: process, mode: blocker.mode))
        }
        heldBy.addUnnamed(blockers.more)
        return heldBy
    }

    private func cycle(_ circle: Circle) -> Cycle {
        var cycle = Cycle([])
        for hop in circle.hops {
            let process = conversations.processID(of: hop.session)
            cycle.add(Cycle.Hop(processID: process, owner: hop.owner, lock: hop.lock))
        }
        return cycle
    }

    /// A cycle as the operator's log shows it.
    private func spell(_ cycle: Cycle) -> String {
        let hops = cycle.named.map { hop in
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
