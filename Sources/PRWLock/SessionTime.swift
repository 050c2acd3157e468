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
        if let until = grants.until, until <= now {
            for grant in grants.shared { lose(grant, unconfirmedAfter: until, at: now) }
        }
        setAlarm(grants.until)
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

    // MARK: Shared locks

    /// Notes until when the grants on shared locks count.
    mutating func extend(_ until: Until, at now: Instant) {
        grants.extend(to: until.end(readAt: now))
        setAlarm(grants.until)
    }

    /// Loses a grant on a shared lock, because its time has passed.
    ///
    /// The daemon may be stopped, so no caller waits for an answer about the grant any longer, but for a release that was
    /// asked for in time: that holder has lost nothing. The daemon may also be late only, and still count the grant: then
    /// its holder's release is sent all the same.
    private mutating func lose(_ grant: GrantID, unconfirmedAfter until: Instant, at now: Instant) {
        lose(grant, .unconfirmed)
        guard let loss = grants.loss(of: grant) else { return }
        for (id, request) in requests.sorted(by: { $0.key < $1.key }) where request.call.grant == grant {
            if case .release = request.call, request.time.start < until { continue }
            leave(id, .lost(loss))
            undo(id, request.call, at: now)
        }
    }

    mutating func setAlarm(_ time: Instant?) {
        if let time { alarm = min(time, alarm ?? time) }
    }
}
