import Posix

/// The events of a watch that its reader has not taken yet: the newest ones, up to a limit.
///
/// An event that finds the queue full displaces the oldest one. The reader learns first how many were displaced, because
/// the gap is before all events that are left. Without the limit, a reader that is stopped would use up the memory.
///
/// Invariant: a reader waits only while there is no event, no gap and no end.
final class EventQueue: Sendable {
    /// What a reader gets: an event, an error once, or nil after the end.
    typealias Reading = Result<LockEvent?, LockError>

    private struct State {
        /// The events in the order of their arrival.
        var arrived: [LockEvent] = []
        /// The events before those, in reverse, so that the oldest of all is the last.
        var oldest: [LockEvent] = []
        /// The number of changes that are left out before the oldest event.
        var missed = 0
        var end: Reading?
        var readers: [Promise<Reading>] = []

        var count: Int { arrived.count + oldest.count }

        mutating func takeOldest() -> LockEvent? {
            if oldest.isEmpty {
                oldest = arrived.reversed()
                arrived = []
            }
            return oldest.popLast()
        }

        /// What the next reader gets; nil if it must wait.
        mutating func take() -> Reading? {
            if missed > 0 {
                defer { missed = 0 }
                return .success(.missed(missed))
            }
            if let event = takeOldest() { return .success(event) }
            defer { if end != nil { end = .success(nil) } }
            return end
        }
    }

    private let limit: Int
    private let state = Guarded(State())

    init(limit: Int) { self.limit = limit }

    /// Adds an event, unless the queue has ended.
    func add(_ event: LockEvent) {
        let reader: Promise<Reading>? = state.withLock { state in
            guard state.end == nil else { return nil }
            if !state.readers.isEmpty { return state.readers.removeFirst() }
            if state.count == limit, let displaced = state.takeOldest() {
                let (sum, isTooLarge) = state.missed.addingReportingOverflow(displaced.changes)
                state.missed = isTooLarge ? .max : sum
            }
            state.arrived.append(event)
            return nil
        }
        reader?.fulfil(.success(event))
    }

    /// Ends the queue, unless it has ended: after the events that are left, the reader gets the error.
    func end(because error: LockError) { end(.failure(error), keepsEvents: true) }

    /// Ends the queue and drops its events, because its reader does not want them.
    func cancel() { end(.success(nil), keepsEvents: false) }

    private func end(_ end: Reading, keepsEvents: Bool) {
        let readers = state.withLock { state -> [Promise<Reading>] in
            if !keepsEvents {
                (state.arrived, state.oldest, state.missed) = ([], [], 0)
                // Nor does the reader want the error of an earlier end.
                if state.end != nil { state.end = .success(nil) }
            }
            guard state.end == nil else { return [] }
            defer { state.readers = [] }
            state.end = state.readers.isEmpty ? end : .success(nil)
            return state.readers
        }
        readers.first?.fulfil(end)
        for reader in readers.dropFirst() { reader.fulfil(.success(nil)) }
    }

    /// Takes the oldest event, and waits for one if there is none.
    func next() async -> Reading {
        let reader = Promise<Reading>()
        let reading = state.withLock { state -> Reading? in
            if let reading = state.take() { return reading }
            state.readers.append(reader)
            return nil
        }
        if let reading { return reading }
        return await reader.value
    }
}

extension LockEvent {
    /// How many changes the event stands for.
    fileprivate var changes: Int {
        switch self {
        case .changed: 1
        case .missed(let count): count
        }
    }
}
