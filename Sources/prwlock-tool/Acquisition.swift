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
struct Acquisition: ~Copyable {
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
    private let start = Instant.now
    private let deadline: Instant?

    /// How long it looks for another daemon.
    private static let patience = Duration.seconds(10)
    /// How long it lets pass between two looks.
    private static let pause = Duration.milliseconds(100)

    init(_ request: Acquire, at daemon: DaemonOptions) throws(Complaint) {
        self.request = request
        self.daemon = daemon
        deadline = request.wait.deadline(from: start)
        connection = try daemon.connect()
    }

    /// How long it has taken so far.
    var elapsed: Duration { start.duration(to: .now) }

    /// Asks, and waits for the decision or for one of the descriptors to be ready.
    mutating func decide(watching descriptors: [Int32] = []) throws(Complaint) -> Outcome {
        var line = WaitingLine(request, daemon)
        defer { line.erase() }
        try ask(for: request.wait)
        while true {
            switch connection.nextEvent(watching: descriptors, until: line.nextUpdate) {
            case .line(.reply(_, .granted(_, _, let token, let ownerDied))):
                return .granted(token, ownerDied: ownerDied)
            case .line(.reply(_, .busy(_, _, let holders))), .line(.reply(_, .timeout(_, _, _, let holders))):
                return .conflict(holders)
            case .line(.reply(_, .error(let error)))
            where error.code == .draining && request.wait != .upTo(.zero):
                try askAnother(because: Complaint(error))
            case .line(.reply(_, let reply)): throw Self.complaint(about: reply)
            case .line: break
            case .ended(let error): try askAnother(because: Complaint(error))
            case .ready(let index): return .abandoned(index)
            case .moment: line.update(waited: elapsed)
            }
        }
    }

    private mutating func ask(for wait: TimeLimit) throws(Complaint) {
        var request = request
        request.wait = wait
        do throws(ConnectionEnded) {
            try connection.send(Request(verb: .acquire(request)))
        } catch {
            throw Complaint(error)
        }
    }

    /// Looks for a daemon that takes the request, until one does or it is no use.
    private mutating func askAnother(because reason: Complaint) throws(Complaint) {
        let end = Instant.now.advanced(by: Self.patience)
        while true {
            usleep(UInt32(Self.pause.wholeMilliseconds) * 1000)
            do throws(Complaint) {
                connection = try daemon.connect()
                // A deadline that has passed meanwhile is the new daemon's to state, with who holds the lock now.
                return try ask(
                    for: deadline.map { .upTo(max(.zero, Instant.now.duration(to: $0))) } ?? .forever)
            } catch {
                guard error.code == Complaint.unavailable || error.code == Complaint.temporary, .now < end
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
            Complaint("you may not \(what) \(name): \(reason)", code: Complaint.notPermitted)
        case .deadlock(let name, _, _):
            Complaint("waiting for \(name) would be a deadlock", code: Complaint.temporary)
        case .cancelled(let name, _):
            Complaint("the request for \(name) was cancelled", code: Complaint.temporary)
        default: .unexpected
        }
    }
}

extension HeldBy {
    /// The holders in words, for the line that says why a lock was not to be had.
    var inWords: String {
        if isEmpty { return "nobody yet: the lock daemon has just started after an unclean end" }
        var words = named.map { "\($0.processID.map(String.init) ?? "?") (\($0.mode))" }
        if more > 0 { words.append("\(more) more") }
        return words.joined(separator: ", ")
    }
}
