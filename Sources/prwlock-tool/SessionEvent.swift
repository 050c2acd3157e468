import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// What a process that keeps a session waits for.
enum SessionEvent {
    case line(ServerLine)
    /// The session is over: the daemon has ended, or has closed it.
    case ended(ConnectionEnded)
    /// One of the other descriptors is ready or at its end, by its place among them.
    case ready(Int)
    /// The moment has come.
    case moment
}

extension BlockingConnection {
    /// Waits for whatever comes first; the other descriptors go before the session.
    mutating func nextEvent(watching descriptors: [Int32] = [], until moment: Instant? = nil) -> SessionEvent
    {
        var requests = (descriptors + [descriptor]).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var isFirstLook = true
        while true {
            // Lines may have come together with an earlier one, and polling does not see those.
            let ready = poll(&requests, nfds_t(requests.count), isFirstLook ? 0 : milliseconds(until: moment))
            if ready > 0, let index = requests.dropLast().firstIndex(where: { $0.revents != 0 }) {
                return .ready(index)
            }
            if ready > 0 || isFirstLook {
                do throws(ConnectionEnded) {
                    if let line = try next(timeout: .zero) { return .line(line) }
                } catch {
                    return .ended(error)
                }
            }
            if !isFirstLook, ready == 0, let moment, moment <= .now { return .moment }
            isFirstLook = false
        }
    }

    /// Sends a request and returns the reply to it; rows and notices before it are given away.
    mutating func ask(
        _ verb: Verb, row: (Row) throws(Complaint) -> Void = { _ in }
    ) throws(Complaint) -> Reply {
        do throws(ConnectionEnded) {
            try send(Request(verb: verb))
        } catch {
            throw Complaint(error)
        }
        while true {
            switch nextEvent() {
            case .line(.reply(_, .error(let error))): throw Complaint(error)
            case .line(.reply(_, let reply)): return reply
            case .line(.row(let told)): try row(told)
            case .line(.notice), .ready, .moment: break
            case .ended(let error): throw Complaint(error)
            }
        }
    }

    private func milliseconds(until moment: Instant?) -> Int32 {
        guard let moment else { return -1 }
        let left = moment.nanoseconds - BootClock.now()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }
}

extension Instant {
    static var now: Instant { Instant(nanoseconds: BootClock.now()) }
}
