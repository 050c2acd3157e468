import LockVocabulary
import LockWire
import PRWLock
import Posix

/// Maintains a grant while it is held: renews its lease and detects its loss.
struct Upkeep {
    /// The reason why a grant ended without a release.
    enum Loss {
        case expired, revoked, daemonGone

        var inWords: String {
            switch self {
            case .expired: "its lease ended"
            case .revoked: "it was revoked"
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

    init(_ request: Acquire, _ token: Token) {
        name = request.name
        self.token = token
        if case .upTo(let lease) = request.lease { interval = lease / 3 } else { interval = nil }
        nextRenewal = interval.map { Instant.now.advanced(by: $0) }
    }

    /// Maintains the grant until it is lost, or one of the descriptors is ready.
    mutating func keep(over connection: inout BlockingConnection, watching descriptors: [Int32]) -> Event {
        while true {
            switch connection.nextEvent(
                watching: descriptors, until: nextRenewal.map { Deadline(at: $0.nanoseconds) } ?? .never)
            {
            case .ready(let index): return .ready(index)
            case .ended: return .lost(.daemonGone)
            case .line(.notice(.expired(name, token))): return .lost(.expired)
            case .line(.notice(.revoked(name, token))): return .lost(.revoked)
            case .line(.reply(.some, let reply)): return .answered(reply)
            case .line(.reply(_, .stale)): return .lost(.revoked)
            case .line(.reply(_, .error(let error))) where error.code == .notHeld: return .lost(.expired)
            case .line: break
            case .moment:
                nextRenewal = interval.map { Instant.now.advanced(by: $0) }
                let renewal = Request(verb: .renew(name, GrantChoice(token: token), lease: nil))
                // If the session has ended, `nextEvent` reports that next, so ignore the error here.
                try? connection.send(renewal)
            }
        }
    }
}
