import LockVocabulary

/// What an operator is told, and no more of it than can be read.
///
/// Whoever may connect can bring most events about as fast as it can write lines, and a journal that is flooded tells
/// nobody anything. So each kind of event has an account: a burst is told whole, and after it so many a second; the rest
/// is counted, and its number told once a second at the most. One kind cannot silence another.
struct EventLog: ~Copyable {
    /// So many of one kind are told at once.
    static let burst = 64
    /// How long it takes until one more of that kind is told.
    private static let refill = Duration.milliseconds(100).wholeNanoseconds

    private struct Account {
        /// When it is full again: the fuller it is, the less lies before it.
        var full = Instant.zero
        var leftOut = 0
        /// From when on the number of what was left out may be told.
        var nextCount = Instant.zero

        mutating func take(at now: Instant) -> Bool {
            let start = max(full, now)
            guard start.nanoseconds - now.nanoseconds < Int64(EventLog.burst) * EventLog.refill else {
                return false
            }
            full = start.advanced(byNanoseconds: EventLog.refill)
            return true
        }
    }

    private var events: [ServerEvent] = []
    private var accounts = Array(repeating: Account(), count: ServerEvent.Kind.count)
    private var hasLeftOut = false

    mutating func note(_ event: ServerEvent, at now: Instant) {
        let kind = event.kind.index
        if accounts[kind].take(at: now) {
            events.append(event)
        } else {
            accounts[kind].leftOut += 1
            hasLeftOut = true
        }
    }

    /// What is to be told now.
    mutating func take(at now: Instant) -> [ServerEvent] {
        if hasLeftOut { tellLeftOut(at: now) }
        guard !events.isEmpty else { return [] }
        var taken: [ServerEvent] = []
        swap(&taken, &events)
        return taken
    }

    private mutating func tellLeftOut(at now: Instant) {
        hasLeftOut = false
        for kind in accounts.indices where accounts[kind].leftOut > 0 {
            if accounts[kind].nextCount <= now {
                events.append(ServerEvent(.more(accounts[kind].leftOut)))
                accounts[kind].leftOut = 0
                accounts[kind].nextCount = now.advanced(by: .seconds(1))
            } else {
                hasLeftOut = true
            }
        }
    }
}
