import LockVocabulary
import LockWire
import Posix

/// An element of a watch (``Client/watch(prefix:timeout:)``).
public enum LockEvent: Hashable, Sendable {
    /// A lock's holders or waiters changed.
    case changed(LockChange)
    /// This number of changes is left out here, because they were not read in time.
    ///
    /// What the program has derived from earlier changes may be wrong now. `Client.list` and `Client.status` report the
    /// present state.
    case missed(Int)
}

/// The events of a watch, in the order in which they happened; see ``Client/watch(prefix:timeout:)``.
///
/// A loop over it waits without a limit of time, until an event comes or the watch ends:
///
/// - The daemon goes away: the loop throws `LockError` after the last event.
/// - ``Client/close()``: the loop throws `LockError.closed`.
/// - The task of the loop is cancelled: the loop ends, and with it the watch and its session.
///
/// The watch also ends with the last copy of this value and its iterators. A loop that is left by `break` can be begun
/// again, and continues with the next event. Several loops share the events: each event reaches one of them. In a forked
/// child the loop throws `LockError.disconnected`.
public struct LockEvents: AsyncSequence, Sendable {
    private let watch: Watch

    init(_ queue: EventQueue, over connection: Connection) { watch = Watch(queue, connection) }

    /// An iterator that takes the next event.
    public func makeAsyncIterator() -> Iterator { Iterator(watch: watch) }

    /// Takes the events of a watch one by one.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let watch: Watch

        /// The next event, as soon as there is one; nil after the watch has ended, or if the task is cancelled.
        ///
        /// - Throws: why the daemon ended the watch, once.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(LockError) -> LockEvent? { try await watch.next() }
    }
}

/// A watch with its session, which ends with the last reader of its events.
private final class Watch: Sendable {
    private let queue: EventQueue
    private let connection: Connection

    init(_ queue: EventQueue, _ connection: Connection) {
        self.queue = queue
        self.connection = connection
    }

    deinit { connection.close() }

    func next() async throws(LockError) -> LockEvent? {
        // No thread of a forked child receives events. The session is its parent's.
        if connection.isInChild { queue.end(because: .disconnected) }
        // `withTaskCancellationHandler` has no typed error.
        let reading = await withTaskCancellationHandler {
            await queue.next()
        } onCancel: {
            queue.cancel()
            connection.close()
        }
        return try reading.get()
    }
}

extension Client {
    /// The number of events that a watch keeps for its reader.
    private static let mostEvents = 10_000

    /// Watches the locks with names that begin with a prefix: reports every change of their holders and waiters.
    ///
    /// The watch stands when the call returns: every change from then on is reported.
    ///
    /// ```swift
    /// for try await event in try await client.watch(prefix: "jobs/") {
    ///     switch event {
    ///     case .changed(let change): print(change)
    ///     case .missed(let count): print("\(count) changes were not read in time")
    ///     }
    /// }
    /// ```
    ///
    /// The watch has a session of its own, and keeps the newest 10,000 events that were not read yet. A reader that is
    /// slower gets ``LockEvent/missed(_:)``, and so does one for which the daemon did not keep all changes. See
    /// ``LockEvents`` for what ends the watch. It does not begin again by itself, because no later watch could report what
    /// happened meanwhile.
    ///
    /// - Parameters:
    ///   - prefix: reports only the names that begin with this text; all names if empty.
    ///   - timeout: how long to wait for the daemon's confirmation, the start of a daemon included.
    /// - Throws: `LockError.refused` if the daemon refuses the watch; `LockError.unreachable` if it does not confirm the
    ///   watch in this time, or none runs; `LockError.invalidArgument`; `LockError.closed`; `CancellationError` if the task is
    ///   cancelled, and then nothing is watched.
    public func watch(prefix: String = "", timeout: Duration = defaultTimeout) async throws -> LockEvents {
        let call = Session.Call.other(.watch(prefix: try Checked.prefix(prefix)))
        let time = CallTime(asking: try Checked.timeout(timeout))
        var (backOff, isAgain) = (BackOff(), false)
        while true {
            let queue = EventQueue(limit: Self.mostEvents)
            let connection = try beginWatch(
                into: queue, isAgain: isAgain, pauses: backOff.begin(at: .now), by: Deadline(time.end))
            // It closes the connection if this call throws.
            let events = LockEvents(queue, over: connection)
            let outcome = await connection.outcome(of: call, time)
            if case .unanswered = outcome {
                isAgain = true
                continue
            }
            try outcome.confirm()
            try Task.checkCancellation()
            watchIsConfirmed()
            return events
        }
    }
}
