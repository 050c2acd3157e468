package import LockVocabulary
package import LockWire
package import Posix

extension Instant {
    /// The current time.
    package static var now: Instant { Instant(nanoseconds: BootClock.now()) }
}

extension Deadline {
    /// The same moment for waits in system calls; nil is never.
    package init(_ instant: Instant?) { self = instant.map { Deadline(at: $0.nanoseconds) } ?? .never }
}

/// The time limits of one call, fixed when the call begins.
///
///     start ───── timeout ─────▶ deadline ── answer time ──▶ end
///
/// Until the deadline the request may wait in the daemon's queue. Each line that is sent states the wait that is left
/// then, so connecting, starting a daemon and repeating a request do not add to the timeout. Until the end the client
/// waits for the daemon's answer by its own clock, because a stopped daemon keeps no deadline.
///
/// A request with a timeout of zero is repeated while the daemon grants nothing after an unclean end of its predecessor
/// (`BUSY … held-by=?`): no other process holds the lock then. It is repeated for at most one second from the start.
package struct CallTime: Sendable {
    /// How long after its deadline the client waits for an answer.
    package static let answerTime = Duration.milliseconds(750)
    /// How long the client waits for an answer if the caller states no timeout.
    package static let patience = Duration.seconds(10)
    /// How long a request is repeated while the daemon grants nothing.
    private static let grace = Duration.seconds(1)
    /// How long the client pauses before it repeats a request.
    private static let gracePause = Duration.milliseconds(25)

    /// Until when the request may wait in the daemon's queue; nil for no limit.
    package let deadline: Instant?
    /// Until when the client waits for an answer; nil for no limit.
    package private(set) var end: Instant?
    let start: Instant
    /// How long the client waits after each row of an answer; nil for an answer without rows.
    private let rowTime: Duration?

    /// The time of a request for a lock.
    package init(waiting wait: TimeLimit, from now: Instant = .now) {
        start = now
        deadline = wait.deadline(from: now)
        end = deadline?.advanced(by: Self.answerTime)
        rowTime = nil
    }

    /// The time of a request that waits for no lock: the daemon may be silent for the timeout, before each row too.
    init(asking timeout: Duration, from now: Instant = .now) {
        start = now
        deadline = nil
        end = now.advanced(by: timeout)
        rowTime = timeout
    }

    /// The time of a request that no caller waits for.
    static let unlimited = CallTime(waiting: .forever, from: .zero)

    /// Whether the request must not wait.
    package var isImmediate: Bool { deadline == start }

    /// The wait that a line states that is sent now.
    package func wait(at now: Instant) -> TimeLimit {
        deadline.map { .upTo(max(.zero, now.duration(to: $0))) } ?? .forever
    }

    /// How long the caller has waited for the lock.
    func waited(at now: Instant) -> Duration { isImmediate ? .zero : start.duration(to: now) }

    /// When to repeat the request that was answered with `BUSY`; nil if that answer is final.
    package mutating func repetition(heldBy holders: HeldBy, at now: Instant) -> Instant? {
        let next = now.advanced(by: Self.gracePause)
        guard isImmediate, holders.isEmpty, next < start.advanced(by: Self.grace) else { return nil }
        end = end.map { max($0, next.advanced(by: Self.answerTime)) }
        return next
    }

    /// Extends the end because the daemon sent a row.
    mutating func extend(at now: Instant) {
        if let rowTime { end = now.advanced(by: rowTime) }
    }

    /// Ends the wait for an answer soon, because the caller was cancelled.
    mutating func shorten(at now: Instant) {
        let soon = now.advanced(by: Self.answerTime)
        end = end.map { min($0, soon) } ?? soon
    }
}
