import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The part of `prwlock run` that acquires the lock and then executes the command in the same process.
///
/// This process makes the connection, so the session belongs to it, and still does after `exec` (G6): the lock lives
/// exactly as long as the command. Before `exec`, the process sends `RELEASE … at=end`, because a command that has
/// ended cannot release its plan.terms. The end of the command then leaves no mark that the last writer died (G11), unless a
/// signal killed the command.
struct LockedCommand {
    let plan: RunPlan
    let request: Acquire

    init(_ plan: RunPlan) {
        self.plan = plan
        request = plan.request
    }

    /// Executes the command. Returns only on failure, with the reason.
    ///
    /// - Parameter channel: the socket to the monitor; nil if there is no monitor.
    func execute(handingTo channel: Int32?) -> Complaint {
        do throws(Complaint) {
            var attempt = try ask(for: request, channel)
            guard let ancestor = try ancestor(over: &attempt.connection, by: attempt.end) else {
                return try decide(&attempt, channel, refusal: nil)
            }
            if plan.inherits { return try inherit(ancestor) }
            let refusal = refusal(because: ancestor)
            if ancestor.forbids(request.mode) { return refusal }
            // This request must not wait: behind a waiting writer it would wait for a writer that waits for this
            // process's ancestor.
            var atOnce = request
            atOnce.wait = .upTo(.zero)
            attempt = try ask(for: atOnce, channel)
            return try decide(&attempt, channel, refusal: refusal)
        } catch {
            return error
        }
    }

    private func ask(for request: Acquire, _ channel: Int32?) throws(Complaint) -> LockAttempt {
        try LockAttempt(request, at: plan.daemon, reportingTo: manager(over: channel))
    }

    /// The ancestor's grant on this plan.terms. Also nil if the daemon ended just now, because the next daemon has no grants.
    private func ancestor(over connection: inout BlockingConnection, by end: Deadline) throws(Complaint)
        -> AncestorGrant?
    {
        do throws(Complaint) {
            return try AncestorGrant.find(on: request.name, over: &connection, by: end)
        } catch {
            guard error.code == Complaint.unavailable else { throw error }
            return nil
        }
    }

    private func decide(
        _ attempt: inout LockAttempt, _ channel: Int32?, refusal: Complaint?
    ) throws(Complaint) -> Complaint {
        switch try attempt.decide(watching: channel.map { [$0] } ?? []) {
        case .granted(let token, let ownerDied, let until):
            if plan.terms.verbose {
                StandardError.report("\(request.name.shown): granted after \(attempt.elapsed.inWords)")
            }
            let release = Verb.releaseAtEnd(request.name, GrantChoice(token: token))
            guard case .ok = try attempt.connection.ask(release) else { throw Complaint.unexpected }
            setEnvironment(token, ownerDied: ownerDied)
            try keepConnection(attempt.connection)
            if let until, until <= .now {
                throw Complaint(
                    "lost the lock \(request.name.shown) before the command began: \(Upkeep.Loss.unconfirmed.inWords)",
                    code: Complaint.lost)
            }
            if let channel {
                Handover.passGrant(
                    token, until: until, connection: attempt.connection.descriptor, to: channel)
            }
            return Program(plan.command).execute()
        case .conflict(let holders):
            return refusal ?? plan.terms.conflict(request.name, holders, after: attempt.elapsed)
        // The monitor was killed, so no process waits for the command.
        case .abandoned: return Complaint("", code: Complaint.unavailable)
        }
    }

    /// Where to report that this process waits: to the monitor if there is one, because it is the unit's main process.
    private func manager(over channel: Int32?) -> WaitingLine.Manager {
        guard let manager = ServiceManager() else { return .none }
        return channel.map { .monitor(channel: $0) } ?? .itself(manager)
    }

    private func refusal(because ancestor: AncestorGrant) -> Complaint {
        ancestor.refusal(
            of: request.name, code: plan.terms.conflictExitCode,
            hint: "--inherit runs the command under that grant")
    }

    /// Executes the command under the ancestor's grant, which lives at least as long as this process.
    private func inherit(_ ancestor: AncestorGrant) throws(Complaint) -> Complaint {
        guard ancestor.mode >= request.mode else {
            throw ancestor.refusal(
                of: request.name, code: plan.terms.conflictExitCode,
                hint: "it cannot be inherited for \(request.mode)")
        }
        setenv("PRWLOCK_TOKEN", ancestor.token.description, 1)
        return Program(plan.command).execute()
    }

    private func setEnvironment(_ token: Token, ownerDied: Mark?) {
        setenv("PRWLOCK_TOKEN", token.description, 1)
        switch ownerDied {
        case .yes: setenv("PRWLOCK_OWNERDIED", "1", 1)
        case .maybe: setenv("PRWLOCK_OWNERDIED", "maybe", 1)
        case nil: unsetenv("PRWLOCK_OWNERDIED")
        }
        var held = HeldLocks.current
        held.add(HeldLocks.Item(name: request.name, mode: request.mode, token: token))
        setenv(HeldLocks.variable, held.text, 1)
    }

    /// Keeps the session open in the command, unless `plan.closesConnection` is set.
    private func keepConnection(_ connection: borrowing BlockingConnection) throws(Complaint) {
        guard !plan.closesConnection else { return }
        // Prefer a high number that scripts do not use. If the limit is lower, keep the number that the connection has.
        guard fcntl(connection.descriptor, F_DUPFD, 200) < 0 else { return }
        do throws(SystemError) { try connection.keepOverExec() } catch { throw Complaint(error) }
    }
}
