import LockVocabulary

/// What an operator is told, and no more of it than can be read.
///
/// Whoever may connect can bring most events about as fast as it can write lines, and a journal that is flooded tells
/// nobody anything. So each kind of event has an account: a burst is told whole, and after it so many a second; the rest
/// is counted, and its number told once a second at the most. One kind cannot silence another.
struct EventLog: ~Copyable {
    /// A burst of events of one kind, and how often one more follows it.
    private static let rate = RateMeter.Rate(every: .milliseconds(100), burst: 64)

    /// What is noted of one kind of event.
    private struct Kind {
        var meter = RateMeter()
        var leftOut = 0
        /// When the number of events left out may be noted again.
        var nextCount = Instant.zero
    }

    private var events: [ServerEvent] = []
    private var kinds = Array(repeating: Kind(), count: ServerEvent.Kind.count)
    private var hasLeftOut = false

    mutating func note(_ event: ServerEvent, at now: Instant) {
        let kind = event.kind.index
        if kinds[kind].meter.affordable(at: Self.rate, now) > 0 {
            kinds[kind].meter.charge(1, at: Self.rate, now)
            events.append(event)
        } else {
            kinds[kind].leftOut += 1
            hasLeftOut = true
        }
    }

    /// Whether there may be something to tell.
    var hasEvents: Bool { !events.isEmpty || hasLeftOut }

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
        for kind in kinds.indices where kinds[kind].leftOut > 0 {
            if kinds[kind].nextCount <= now {
                events.append(ServerEvent(.more(kinds[kind].leftOut)))
                kinds[kind].leftOut = 0
                kinds[kind].nextCount = now.advanced(by: .seconds(1))
            } else {
                hasLeftOut = true
            }
        }
    }
}
