import Glibc
import Posix
import Rendezvous

/// The pauses between attempts to reach the daemon: none before the first, then from 10 ms on twice as long each
/// time, up to 1 s.
struct BackOff {
    /// How long a client goes on trying to reach a daemon that was there, where the caller gives it the time: that there
    /// is none is known, and may change at once.
    static let patience = Duration.seconds(2)

    private(set) var next = Duration.zero

    /// Counts an attempt.
    mutating func skip() { next = next == .zero ? .milliseconds(10) : min(next * 2, .seconds(1)) }

    /// Sleeps before an attempt, and counts it.
    private mutating func pause(until end: Deadline) {
        let pause = min(next, end.left ?? next)
        if pause > .zero { usleep(UInt32(pause / .microseconds(1))) }
        skip()
    }

    /// Connects; again and again for a while if a daemon was there a moment ago, for it may be on its way back.
    ///
    /// - Parameters:
    ///   - location: where the daemon is; looked for each time if nil, as the system's daemon may have come in the place
    ///     of the user's own.
    ///   - telling: is told why there is no connection so far.
    mutating func connect(
        to location: SocketLocation?, isAgain: Bool, by deadline: Deadline = .never,
        telling: ((RendezvousError) -> Void)? = nil
    ) throws(RendezvousError) -> OwnedDescriptor {
        let end = min(deadline, Deadline(after: Self.patience))
        while true {
            pause(until: end)
            do throws(RendezvousError) {
                return try DaemonConnector(location).connect(
                    by: deadline, trying: telling.map { telling in { telling(.noAnswer($0)) } })
            } catch {
                guard isAgain, error.mayPass, !end.isOver else { throw error }
                telling?(error)
            }
        }
    }
}

extension RendezvousError {
    /// Whether it may go away by itself: there is no daemon, and one may be about to be started.
    fileprivate var mayPass: Bool {
        switch self {
        case .notRunning, .startForbidden: true
        default: false
        }
    }
}
