import Glibc
import Posix
import Rendezvous

/// The pauses between attempts to reach the daemon: none before the first, then from 10 ms on twice as long each
/// time, up to 1 s.
struct BackOff {
    /// How long one goes on trying to reach a daemon that was there.
    static let patience = Duration.seconds(5)

    private(set) var next = Duration.zero

    /// Counts an attempt.
    mutating func skip() { next = next == .zero ? .milliseconds(10) : min(next * 2, .seconds(1)) }

    /// Sleeps before an attempt, and counts it.
    private mutating func pause() {
        if next > .zero { usleep(UInt32(next / .microseconds(1))) }
        skip()
    }

    /// Connects; again and again for a while if a daemon was there a moment ago, for it may be on its way back.
    ///
    /// - Parameter location: where the daemon is; looked for each time if nil, as the system's daemon may have come in
    ///   the place of the user's own.
    mutating func connect(
        to location: SocketLocation?, isAgain: Bool
    ) throws(RendezvousError) -> OwnedDescriptor {
        let end = Deadline(after: Self.patience)
        while true {
            pause()
            do throws(RendezvousError) {
                return try DaemonConnector(location).connect()
            } catch {
                guard isAgain, error.mayPass, !end.isOver else { throw error }
            }
        }
    }
}

extension RendezvousError {
    /// Whether it may go away by itself: there is no daemon, and somebody may be about to start one.
    fileprivate var mayPass: Bool {
        switch self {
        case .notRunning, .startForbidden: true
        default: false
        }
    }
}
