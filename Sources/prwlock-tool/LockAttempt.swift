import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

/// A request for a lock, from the first `ACQUIRE` to the decision. If the daemon ends, it is sent to the next daemon.
///
///              sends                    granted
///   (nothing) ──────▶ [ WAITING ] ──────────────▶ the connection holds the lock
///                        │  ▲  │ busy, timeout
///        the daemon ends │  │  └──────────────▶ conflict
///                        ▼  │ sends to another, for the remaining time
///                    [ ALONE ]
///
/// A waiting request holds nothing, so sending it again loses only its place in the queue, which ended with the daemon.
/// The session belongs to this process, because the process that requests a lock holds it (G6).
struct LockAttempt: ~Copyable {
    enum Outcome {
        /// The grant counts until that moment if hosts share the lock.
        case granted(Token, ownerDied: Mark?, until: Instant?)
        /// Others hold the lock, and the time limit has passed.
        case conflict(HeldBy)
        /// A watched descriptor became ready first; the value is its index in the list.
        case abandoned(Int)
    }

    /// Another request for the same client, of a `prwlock hold` that runs at the same time.
    enum OtherRequest: ~Copyable {
        case absent
        case waiting
        /// The daemon did not say.
        case unknown
        /// The connection leads to the process that holds the grant.
        case granted(OwnedDescriptor)
    }

    var connection: BlockingConnection
    private let request: Acquire
    private let daemon: DaemonChoice
    private let manager: WaitingLine.Manager
    private let start = Instant.now
    /// The time limit. It starts at once, so it also covers the time in which a daemon starts, drains or does not
    /// answer.
    private var time: CallTime
    /// Whether the connection leads to a background holder, which passes the request on.
    private(set) var asksHolder = false

    /// How long to search for another daemon, if the time limit permits.
    private static let patience = Duration.seconds(2)
    /// The pause between two attempts to connect, and between two looks for another request.
    private static let pause = Duration.milliseconds(100)
    /// The pause after looks that the daemon does not answer grows up to this.
    private static let longestPause = Duration.seconds(30)
    /// How long a look may take.
    private static let lookTime = Duration.seconds(1)

    init(
        _ request: Acquire, at daemon: DaemonChoice, reportingTo manager: WaitingLine.Manager = .none
    ) throws(Complaint) {
        self.request = request
        self.daemon = daemon
        self.manager = manager
        time = CallTime(waiting: request.wait)
        connection = try daemon.connect(by: Deadline(time.end))
    }

    /// Sends the request to the process that holds the lock for the same client already, and no more to the daemon.
    mutating func ask(holder: consuming OwnedDescriptor) {
        connection = BlockingConnection(over: holder)
        asksHolder = true
    }

    /// The time since the start of the attempt.
    var elapsed: Duration { start.duration(to: .now) }

    /// The deadline for the daemon's answers.
    var end: Deadline { Deadline(time.end) }

    /// Sends the request and waits for the decision, or until one of the descriptors is ready.
    ///
    /// Throws if the daemon does not answer in time, and then cancels the request as far as possible.
    ///
    /// - Parameter look: looks for another request for the same client, which may be ahead of this one.
    mutating func decide(
        watching descriptors: [Int32] = [], lookingBy look: ((Deadline) -> OtherRequest)? = nil
    ) throws(Complaint) -> Outcome {
        var line = WaitingLine(request, daemon, for: manager)
        var nextLook = look == nil || asksHolder ? Deadline.never : Deadline(after: Self.pause)
        var pause = Self.pause
        defer { line.erase() }
        try ask()
        while true {
            let moment = min(end, line.nextUpdate ?? .never, nextLook)
            switch connection.nextEvent(watching: descriptors, until: moment) {
            case .line(.reply(_, .granted(_, _, let token, let ownerDied, _, let until))):
                return .granted(token, ownerDied: ownerDied, until: until?.end(readAt: .now))
            case .line(.reply(_, .busy(_, _, let holders))):
                guard let next = time.repetition(heldBy: holders, at: .now) else { return .conflict(holders) }
                usleep(UInt32(max(.zero, Instant.now.duration(to: next)) / .microseconds(1)))
                try ask()
            case .line(.reply(_, .timeout(_, _, _, let holders))): return .conflict(holders)
            case .line(.reply(_, .error(let error)))
            where error.code == .draining && request.wait != .upTo(.zero) && !asksHolder:
                try moveToAnotherDaemon(because: Complaint(error))
            case .line(.reply(_, let reply)): throw Self.complaint(about: reply)
            case .line: break
            case .ended where asksHolder:
                throw Complaint(
                    "\(request.name.shown): the process that held it for this one has ended; try again",
                    code: Complaint.temporary)
            case .ended(let error): try moveToAnotherDaemon(because: Complaint(error))
            case .ready(let index): return .abandoned(index)
            case .moment where end.isOver: throw giveUp()
            case .moment where nextLook.isOver:
                nextLook = .never
                guard let look else { break }
                switch look(min(end, Deadline(after: Self.lookTime))) {
                case .granted(let holder):
                    withdraw()
                    ask(holder: holder)
                    try ask()
                case .waiting:
                    pause = Self.pause
                    nextLook = Deadline(after: pause)
                case .unknown:
                    // A look costs the daemon a session, and a grant is not seen meanwhile.
                    pause = min(pause * 4, Self.longestPause)
                    nextLook = Deadline(after: pause)
                case .absent: break
                }
            case .moment: line.update(waited: elapsed, by: end)
            }
        }
    }

    /// Sends the request with the remaining time. It is sent even after the deadline: the daemon then answers with the
    /// holders.
    private mutating func ask() throws(Complaint) {
        var request = request
        request.wait = time.wait(at: .now)
        do throws(ConnectionEnded) {
            try connection.send(Request(verb: .acquire(request)), by: end)
        } catch {
            throw Complaint(error)
        }
    }

    /// Cancels the request and releases its grant, in case the daemon answers later, and closes the session. Closing
    /// alone is not enough: if the daemon had granted the lock, it would mark the lock as abandoned by its writer
    /// (G11).
    private mutating func giveUp() -> Complaint {
        guard !asksHolder else {
            // The holder cancels the request when the connection ends.
            connection.close()
            return Complaint(
                "\(request.name.shown): the process that holds it for this one, or the lock daemon, does not answer; "
                    + "is one of them stopped?", code: Complaint.temporary)
        }
        withdraw()
        return Complaint(.noAnswer(connection.silentDaemon))
    }

    private mutating func withdraw() {
        let now = Deadline(after: .zero)
        try? connection.send(Request(verb: .cancel(request.name, owner: request.owner)), by: now)
        try? connection.send(
            Request(verb: .release(request.name, GrantChoice(owner: request.owner))), by: now)
        connection.close()
    }

    /// Reconnects until a daemon accepts the request. Gives up after `patience`, at the deadline, or on an error that a
    /// retry cannot mend.
    private mutating func moveToAnotherDaemon(because reason: Complaint) throws(Complaint) {
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
        case .denied(let name, let what, let reason): .denied(name, what, reason)
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
    /// The holders in words, for the message that explains a conflict.
    var inWords: String {
        if isEmpty { return "none: the lock daemon has just started after an unclean end" }
        var words = named.map { holder in
            let who = holder.host.map { "host \($0)" } ?? holder.processID.map(String.init) ?? "?"
            return "\(who) (\(holder.mode))"
        }
        if more > 0 { words.append("\(more) more") }
        return words.joined(separator: ", ")
    }
}
