import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// An event that a process with an open session waits for.
enum SessionEvent {
    case line(ServerLine)
    /// The session is over: the daemon has ended, or has closed the session.
    case ended(ConnectionEnded)
    /// A watched descriptor is ready or at end of file; the value is its index in the list.
    case ready(Int)
    /// The given moment has come.
    case moment
}

extension BlockingConnection {
    /// Waits for the first event. Watched descriptors take precedence over the session.
    mutating func nextEvent(watching descriptors: [Int32] = [], until moment: Deadline = .never)
        -> SessionEvent
    {
        var requests = (descriptors + [descriptor]).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var isFirstLook = true
        while true {
            // First read without waiting: the connection may have buffered lines, which `poll` does not report.
            let ready = poll(&requests, nfds_t(requests.count), isFirstLook ? 0 : moment.milliseconds)
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
            if !isFirstLook, ready == 0, moment.isOver { return .moment }
            isFirstLook = false
        }
    }

    /// Sends a request and returns its reply. Passes the rows to `row`, and drops notices.
    ///
    /// - Parameter patience: how long the daemon may stay silent.
    mutating func ask(
        _ verb: Verb, patience: Duration = CallTime.patience,
        row: (Row) throws(Complaint) -> Void = { _ in }
    ) throws(Complaint) -> Reply {
        do throws(ConnectionEnded) {
            try send(Request(verb: verb), by: Deadline(after: patience))
        } catch {
            throw Complaint(error)
        }
        while true {
            switch nextEvent(until: Deadline(after: patience)) {
            case .line(.reply(_, .error(let error))): throw Complaint(error)
            case .line(.reply(_, let reply)): return reply
            case .line(.row(let content)): try row(content)
            case .line(.notice), .ready: break
            case .moment: throw Complaint(.noAnswer(silentDaemon))
            case .ended(let error): throw Complaint(error)
            }
        }
    }
}
