import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

/// A request for a lock, until it is decided: it asks, waits, and asks the next daemon if this one goes away.
///
///              asks                     granted
///   (nothing) ──────▶ [ WAITING ] ──────────────▶ the connection holds the lock
///                        │  ▲  │ busy, timeout
///        the daemon ends │  │  └──────────────▶ conflict
///                        ▼  │ asks another, for the time that is left
///                    [ ALONE ]
///
/// While it waits it holds nothing, so to ask again loses nothing but the place in the queue, and that went with the
/// daemon. The session belongs to this process: who calls is who holds (G6).
struct LockAttempt: ~Copyable {
    enum Outcome {
        case granted(Token, ownerDied: Bool)
        /// Others hold it, and one would not wait longer.
        case conflict(HeldBy)
        /// One of the watched descriptors was ready first, by its place among them.
        case abandoned(Int)
    }

    var connection: BlockingConnection
    private let request: Acquire
    private let daemon: DaemonOptions
    private let manager: WaitingLine.Manager
    private let start = Instant.now
    /// Taken at the beginning, so that it also runs while a daemon is started, drains or does not answer.
    private var time: CallTime

    /// How long it looks for another daemon, where it has the time: that there is none is known.
    private static let patience = Duration.seconds(2)
    /// How long it lets pass between two looks.
    private static let pause = Duration.milliseconds(100)

    init(
        _ request: Acquire, at daemon: DaemonOptions, telling manager: WaitingLine.Manager = .none
    ) throws(Complaint) {
        self.request = request
        self.daemon = daemon
        self.manager = manager
        time = CallTime(waiting: request.wait)
        connection = try daemon.connect(by: Deadline(time.end))
    }

    /// How long it has taken so far.
    var elapsed: Duration { start.duration(to: .now) }

    /// Until when it waits for the daemon's answers.
    var end: Deadline { Deadline(time.end) }

    /// Asks, and waits for the decision or for one of the descriptors to be ready.
    ///
    /// A daemon that does not answer in time is an error; the request is undone as far as that is possible.
    mutating func decide(watching descriptors: [Int32] = []) throws(Complaint) -> Outcome {
        var line = WaitingLine(request, daemon, for: manager)
        defer { line.erase() }
        try ask()
        while true {
            let moment = min(end, line.nextUpdate ?? .never)
            switch connection.nextEvent(watching: descriptors, until: moment) {
            case .line(.reply(_, .granted(_, _, let token, let ownerDied))):
                return .granted(token, ownerDied: ownerDied)
            case .line(.reply(_, .busy(_, _, let holders))):
                guard let next = time.repetition(heldBy: holders, at: .now) else { return .conflict(holders) }
                usleep(UInt32(max(.zero, Instant.now.duration(to: next)) / .microseconds(1)))
                try ask()
            case .line(.reply(_, .timeout(_, _, _, let holders))): return .conflict(holders)
            case .line(.reply(_, .error(let error)))
            where error.code == .draining && request.wait != .upTo(.zero):
                try askAnother(because: Complaint(error))
            case .line(.reply(_, let reply)): throw Self.complaint(about: reply)
            case .line: break
            case .ended(let error): try askAnother(because: Complaint(error))
            case .ready(let index): return .abandoned(index)
            case .moment where end.isOver: throw giveUp()
            case .moment: line.update(waited: elapsed, by: end)
            }
        }
    }

    /// Asks for the time that is left. A deadline that has passed is the daemon's to state, with who holds the lock.
    private mutating func ask() throws(Complaint) {
        var request = request
        request.wait = time.wait(at: .now)
        do throws(ConnectionEnded) {
            try connection.send(Request(verb: .acquire(request)), by: end)
        } catch {
            throw Complaint(error)
        }
    }

    /// Undoes the request, for when the daemon reads on: it is the only one of this session, and the session ends after
    /// it. Were the lock granted and the session just ended, the lock would be marked as one that its writer left (G11).
    private mutating func giveUp() -> Complaint {
        let now = Deadline(after: .zero)
        try? connection.send(Request(verb: .cancel(request.name, owner: request.owner)), by: now)
        try? connection.send(
            Request(verb: .release(request.name, GrantChoice(owner: request.owner))), by: now)
        connection.close()
        return Complaint(.noAnswer(connection.silentDaemon))
    }

    /// Looks for a daemon that takes the request, until one does or it is no use.
    private mutating func askAnother(because reason: Complaint) throws(Complaint) {
        let lastAttempt = min(end, Deadline(after: Self.patience))
        while true {
            usleep(UInt32(min(Self.pause, lastAttempt.left ?? Self.pause).wholeMilliseconds) * 1000)
            do throws(Complaint) {
                connection = try daemon.connect(by: end)
                return try ask()
            } catch {
                guard error.code == Complaint.unavailable || error.code == Complaint.temporary,
                    !lastAttempt.isOver
                else {
                    throw error
                }
            }
        }
    }

    private static func complaint(about reply: Reply) -> Complaint {
        switch reply {
        case .error(let error): Complaint(error)
        case .denied(let name, let what, let reason):
            Complaint("you may not \(what) \(name.shown): \(reason)", code: Complaint.notPermitted)
        case .deadlock(let name, _, _):
            Complaint("waiting for \(name.shown) would be a deadlock", code: Complaint.temporary)
        case .cancelled(let name, _):
            Complaint("the request for \(name.shown) was cancelled", code: Complaint.temporary)
        case .granted, .busy, .timeout, .released, .releasedAll, .renewed, .valid, .stale, .revoked, .hello,
            .pong, .bye, .ok, .end:
            .unexpected
        }
    }
}

extension HeldBy {
    /// The holders in words, for the line that says why a lock was not to be had.
    var inWords: String {
        if isEmpty { return "none: the lock daemon has just started after an unclean end" }
        var words = named.map { "\($0.processID.map(String.init) ?? "?") (\($0.mode))" }
        if more > 0 { words.append("\(more) more") }
        return words.joined(separator: ", ")
    }
}
