import LockVocabulary
import LockWire
import PRWLock
import Posix

/// Maintains a grant while it is held: renews its lease and detects its loss.
///
/// A grant on a lock that hosts share is lost when its moment passes, also if the daemon or the machine was stopped.
struct Upkeep: ~Copyable {
    /// The reason why a grant ended without a release.
    enum Loss {
        case expired, revoked, unconfirmed, daemonGone

        var inWords: String {
            switch self {
            case .expired: "its lease ended"
            case .revoked: "it was revoked"
            case .unconfirmed: "the lock daemon did not confirm in time that this host still has it"
            case .daemonGone: "the lock daemon has ended"
            }
        }
    }

    enum Event {
        case lost(Loss)
        /// The reply to a request of the caller, which has a tag.
        case answered(Reply)
        /// A watched descriptor is ready; the value is its index in the list.
        case ready(Int)
    }

    private let name: LockName
    private let token: Token
    /// The time between two renewals: a third of the lease, so two may fail before the lease ends.
    private let interval: Duration?
    private var nextRenewal: Instant?
    /// Until when the grant counts; nil if hosts do not share the lock.
    private var until: Instant?
    private var timer: BootTimer?

    /// - Parameter until: until when the grant counts; nil if hosts do not share the lock.
    init(_ request: Acquire, _ token: Token, until: Instant?) {
        name = request.name
        self.token = token
        self.until = until
        if case .upTo(let lease) = request.lease { interval = lease / 3 } else { interval = nil }
        nextRenewal = interval.map { Instant.now.advanced(by: $0) }
    }

    /// Maintains the grant until it is lost, or one of the descriptors is ready.
    mutating func keep(over connection: inout BlockingConnection, watching descriptors: [Int32]) -> Event {
        while true {
            // When the time is over, first the lines that have come: this process may have been stopped, too.
            let isOver = until.map { $0 <= .now } ?? false
            let watched = isOver ? descriptors : descriptors + timerForUntil()
            let moment = isOver ? Deadline(after: .zero) : min(Deadline(nextRenewal), Deadline(until))
            switch connection.nextEvent(watching: watched, until: moment) {
            case .ready(let index) where index < descriptors.count: return .ready(index)
            case .ready: break
            case .ended: return .lost(.daemonGone)
            case .line(.notice(.expired(name, token))): return .lost(.expired)
            case .line(.notice(.revoked(name, token))): return .lost(.revoked)
            case .line(.notice(.until(let until))): extend(until)
            case .line(.reply(.some, let reply)): return .answered(reply)
            case .line(.reply(_, .stale)): return .lost(.revoked)
            case .line(.reply(_, .error(let error))) where error.code == .notHeld: return .lost(.expired)
            case .line: break
            case .moment where isOver: return .lost(.unconfirmed)
            case .moment where !Deadline(nextRenewal).isOver: break
            case .moment:
                nextRenewal = interval.map { Instant.now.advanced(by: $0) }
                let renewal = Request(verb: .renew(name, GrantChoice(token: token), lease: nil))
                // If the session has ended, `nextEvent` reports that next, so ignore the error here.
                try? connection.send(renewal)
            }
        }
    }

    /// Notes until when the grant counts from now on.
    private mutating func extend(_ until: Until) {
        if let former = self.until { self.until = max(former, until.end(readAt: .now)) }
    }

    /// The descriptor of a timer that fires when the grant counts no more; none if hosts do not share the lock.
    private mutating func timerForUntil() -> [Int32] {
        guard let until else { return [] }
        // Without it, `poll` ends at that moment all the same, unless the machine has slept.
        if timer == nil { timer = try? BootTimer() }
        timer?.set(to: Deadline(until))
        guard let number = timer?.rawValue else { return [] }
        return [number]
    }
}
