import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// The pauses between attempts to reach the daemon: none before the first, then 10 ms, and twice as long each time, up to
/// one second.
struct BackOff {
    /// How long a client tries to reach a daemon that was there a moment ago, if the caller's time allows.
    private static let patience = Duration.seconds(2)

    private var next = Duration.zero
    private var lastBeginning: Instant?

    /// Begins a connection; returns the pauses to make for it.
    ///
    /// The next connection begins after a longer pause, unless this one lasts: then there is no reason for one.
    mutating func begin(at now: Instant) -> BackOff {
        if let lastBeginning, now > lastBeginning.advanced(by: Self.patience) { next = .zero }
        lastBeginning = now
        defer { skip() }
        return self
    }

    private mutating func skip() { next = next == .zero ? .milliseconds(10) : min(next * 2, .seconds(1)) }

    /// Sleeps before an attempt.
    private mutating func pause(until end: Deadline) {
        let pause = min(next, end.left ?? next)
        if pause > .zero { usleep(UInt32(pause / .microseconds(1))) }
        skip()
    }

    /// Connects, and tries again for a while if a daemon was there a moment ago, because it may be restarting.
    ///
    /// - Parameters:
    ///   - location: the daemon's socket; searched for with each attempt if nil, because the system's daemon may have
    ///     replaced the user's own.
    ///   - reporting: is called with the reason why there is no connection so far.
    mutating func connect(
        to location: SocketLocation?, isAgain: Bool, by deadline: Deadline = .never,
        reporting: ((RendezvousError) -> Void)? = nil
    ) throws(RendezvousError) -> OwnedDescriptor {
        let end = min(deadline, Deadline(after: Self.patience))
        while true {
            pause(until: end)
            do throws(RendezvousError) {
                return try DaemonConnector(location).connect(
                    by: deadline, trying: reporting.map { report in { report(.noAnswer($0)) } })
            } catch {
                guard isAgain, error.mayPass, !end.isOver else { throw error }
                reporting?(error)
            }
        }
    }
}

extension RendezvousError {
    /// Whether the error may pass by itself: no daemon runs, and one may be about to start.
    fileprivate var mayPass: Bool {
        switch self {
        case .notRunning, .startForbidden: true
        case .notPermitted, .noAnswer, .slowStart, .turnedAway, .stranger, .unsafeDirectory, .untrustedServer,
            .untrustedPath, .untrustedProgram, .notASocket,
            .alreadyServed, .servedElsewhere, .noProgram, .limitTooLow, .endedAtStart, .startLockHeld,
            .system:
            false
        }
    }
}
