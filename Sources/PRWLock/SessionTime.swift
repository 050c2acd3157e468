import LockWire
import Rendezvous

extension Session {
    // MARK: What time does

    /// Repeats a request when its pause is over, gives a request up when its time is over, and renews leases.
    ///
    /// - Parameter silence: why the daemon does not answer, for the callers of the requests that are given up.
    mutating func timePassed(at now: Instant, silence: @autoclosure () -> RendezvousError) {
        guard let alarm, alarm <= now else { return }
        self.alarm = nil
        var due: [RequestID] = []
        for (id, request) in requests {
            if let time = request.alarm, time <= now { due.append(id) } else { setAlarm(request.alarm) }
        }
        for id in due.sorted() { timePassed(for: id, silence, at: now) }
        let renewals = grants.takeDueRenewals(at: now)
        setAlarm(renewals.next)
        for grant in renewals.due { post(.renew(grant, lease: nil), at: now) }
    }

    private mutating func timePassed(for id: RequestID, _ silence: () -> RendezvousError, at now: Instant) {
        guard let request = requests[id] else { return }
        switch request.stage {
        case .paused: send(id, at: now)
        case .parked(let error): finish(id, .refused(LockError(error)))
        case .unsent: finish(id, .refused(.unreachable(silence())))
        case .sent:
            isSilent = true
            leave(id, .refused(.unreachable(silence())))
            undo(id, request.call, at: now)
        }
    }

    /// Sends what undoes a request behind it.
    private mutating func undo(_ id: RequestID, _ call: Call, at now: Instant) {
        switch call {
        case .acquire(let acquire):
            sendCancel(of: id, at: now)
            if let choice = choiceOfNoOther(than: id, acquire) {
                post(.other(.release(acquire.name, choice)), at: now)
            }
        case .upgrade: sendCancel(of: id, at: now)
        case .downgrade, .renew, .release, .other: break
        }
    }

    mutating func setAlarm(_ time: Instant?) {
        if let time { alarm = min(time, alarm ?? time) }
    }
}
