package import LockVocabulary
package import LockWire
package import Posix

extension Instant {
    /// What time it is.
    static var now: Instant { Instant(nanoseconds: BootClock.now()) }
}

/// The time of one call for a lock, taken at its beginning: how long the lock may be waited for, and how long the daemon.
///
///     start ───── timeout ─────▶ deadline ── answer time ──▶ end
///
/// Until the deadline the request may wait in the daemon's queue. Each line that is sent says what is left until then,
/// after whatever went before it: connecting, the start of a daemon, a daemon that drained or died. Until the end the
/// call waits for the daemon's answer, by its own clock: a daemon that is stopped or hangs holds no deadline.
///
/// A call that waits for no lock (a timeout of zero) asks again while the daemon grants nothing at all after an unclean
/// end of the one before (`BUSY … held-by=?`), for at most a second: no other process holds the lock then.
package struct CallTime: Sendable {
    /// How long after its deadline a request is answered at the latest, or given up.
    package static let answerTime = Duration.milliseconds(750)
    /// How long a daemon is waited for where the caller does not say how long.
    package static let patience = Duration.seconds(10)
    /// How long a daemon that grants nothing yet is asked again.
    private static let grace = Duration.seconds(1)
    /// How long one lets pass before it is asked again.
    package static let gracePause = Duration.milliseconds(25)

    /// Until when the request may wait; nil for without end.
    package let deadline: Instant?
    /// Until when the call waits for the daemon.
    package private(set) var end: Deadline
    private let start = Instant.now
    private let isImmediate: Bool
    private var graceEnd: Deadline?

    package init(_ wait: TimeLimit) {
        isImmediate = wait == .upTo(.zero)
        deadline = wait.deadline(from: start)
        end = deadline.map { Deadline(at: $0.nanoseconds).later(by: Self.answerTime) } ?? .never
    }

    /// How long a request may wait that is sent now.
    package var wait: TimeLimit { Self.wait(until: deadline, from: .now) }

    /// How long the lock was waited for, as the caller sees it: from the call on.
    var waited: Duration { isImmediate ? .zero : start.duration(to: .now) }

    static func wait(until deadline: Instant?, from now: Instant) -> TimeLimit {
        deadline.map { .upTo(max(.zero, now.duration(to: $0))) } ?? .forever
    }

    /// Whether to ask again, after a pause: the daemon says that it is busy, and that no process holds the lock.
    package mutating func mayAskAgain(heldBy holders: HeldBy) -> Bool {
        guard isImmediate, holders.isEmpty else { return false }
        let graceEnd = graceEnd ?? Deadline(after: Self.grace)
        self.graceEnd = graceEnd
        end = max(end, graceEnd.later(by: Self.answerTime))
        return !graceEnd.isOver
    }
}
