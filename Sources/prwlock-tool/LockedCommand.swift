import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// What becomes a command under a lock: it asks, waits, and executes the command in its own place.
///
/// The session is this process's, which made the connection, and stays its own as the command (G6): the lock lives
/// exactly as long as the command. It says `RELEASE … at=end` before: a command that has ended cannot say it, and
/// leaves no mark that the last writer died (G11), unless a signal killed it.
struct LockedCommand {
    let request: Acquire
    let command: [ByteString]
    let lock: LockOptions
    let daemon: DaemonOptions
    /// Whether the command gets no copy of the connection.
    let closesConnection: Bool
    /// Whether a grant that the command runs under already is enough.
    let inherits: Bool

    /// Executes the command; returns only why it cannot.
    ///
    /// - Parameter channel: to the monitor; nil for none.
    func execute(handingTo channel: Int32?) -> Complaint {
        do throws(Complaint) {
            var attempt = try ask(for: request, channel)
            guard let ancestor = try ancestor(over: &attempt.connection, by: attempt.end) else {
                return try decide(&attempt, channel, refusal: nil)
            }
            if inherits { return try inherit(ancestor) }
            let refusal = refusal(because: ancestor)
            if ancestor.forbids(request.mode) { return refusal }
            // Where writers wait, another reader would wait behind them, and they for this one's ancestor.
            var atOnce = request
            atOnce.wait = .upTo(.zero)
            attempt = try ask(for: atOnce, channel)
            return try decide(&attempt, channel, refusal: refusal)
        } catch {
            return error
        }
    }

    private func ask(for request: Acquire, _ channel: Int32?) throws(Complaint) -> LockAttempt {
        try LockAttempt(request, at: daemon, telling: manager(over: channel))
    }

    /// The grant that this process runs under already; nil also where the daemon has just ended: the next one has none.
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
        case .granted(let token, let ownerDied):
            if lock.verbose {
                StandardError.say("\(request.name.shown): granted after \(attempt.elapsed.inWords)")
            }
            let release = Verb.releaseAtEnd(request.name, GrantChoice(token: token))
            guard case .ok = try attempt.connection.ask(release) else { throw Complaint.unexpected }
            setEnvironment(token, ownerDied: ownerDied)
            try keepConnection(attempt.connection)
            if let channel {
                Handover.tellGranted(token, connection: attempt.connection.descriptor, to: channel)
            }
            return Program(command).execute()
        case .conflict(let holders):
            return refusal ?? lock.conflict(request.name, holders, after: attempt.elapsed)
        // The monitor was killed, and with it all that waited for the command.
        case .abandoned: return Complaint("", code: Complaint.unavailable)
        }
    }

    /// Where to say that this process waits: a unit's main process is the monitor, if there is one.
    private func manager(over channel: Int32?) -> WaitingLine.Manager {
        guard let manager = ServiceManager() else { return .none }
        return channel.map { .monitor(channel: $0) } ?? .itself(manager)
    }

    private func refusal(because ancestor: AncestorGrant) -> Complaint {
        ancestor.refusal(
            of: request.name, code: lock.conflictExitCode, hint: "--inherit runs the command under that grant"
        )
    }

    /// Executes the command under a grant that lives at least as long as this process.
    private func inherit(_ ancestor: AncestorGrant) throws(Complaint) -> Complaint {
        guard ancestor.mode >= request.mode else {
            throw ancestor.refusal(
                of: request.name, code: lock.conflictExitCode,
                hint: "it cannot be inherited for \(request.mode)")
        }
        setenv("PRWLOCK_TOKEN", ancestor.token.description, 1)
        return Program(command).execute()
    }

    private func setEnvironment(_ token: Token, ownerDied: Bool) {
        setenv("PRWLOCK_TOKEN", token.description, 1)
        if ownerDied { setenv("PRWLOCK_OWNERDIED", "1", 1) } else { unsetenv("PRWLOCK_OWNERDIED") }
        var held = HeldLocks.current
        held.add(HeldLocks.Item(name: request.name, mode: request.mode, token: token))
        setenv(HeldLocks.variable, held.text, 1)
    }

    /// Leaves the session open in the command, unless told otherwise.
    private func keepConnection(_ connection: borrowing BlockingConnection) throws(Complaint) {
        guard !closesConnection else { return }
        // A number that no script uses for itself; any, where the limit is lower.
        guard fcntl(connection.descriptor, F_DUPFD, 200) < 0 else { return }
        do throws(SystemError) { try connection.keepOverExec() } catch { throw Complaint(error) }
    }
}
