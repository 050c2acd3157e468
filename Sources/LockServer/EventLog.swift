import LockVocabulary

/// Events for the operator's log, no more of them than a person can read.
///
/// A client can cause most events as fast as it can write lines, and a flood would hide all other entries. So each kind
/// of event has a rate of its own: a burst is logged whole, and then one event in each interval. The rest is counted, and
/// the count is logged at most once a second. A flood of one kind does not suppress other kinds.
struct EventLog: ~Copyable {
    /// A burst of events of one kind, and how often one more follows it.
    private static let rate = RateMeter.Rate(every: .milliseconds(100), burst: 64)

    /// How much of one kind of event was logged.
    private struct Kind {
        var meter = RateMeter()
        /// How many events were not logged.
        var leftOut = 0
        /// When `leftOut` may be logged next.
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

    /// Whether `take` may have something to return.
    var hasEvents: Bool { !events.isEmpty || hasLeftOut }

    /// Takes the events that are to be logged now.
    mutating func take(at now: Instant) -> [ServerEvent] {
        if hasLeftOut { appendLeftOut(at: now) }
        guard !events.isEmpty else { return [] }
        var taken: [ServerEvent] = []
        swap(&taken, &events)
        return taken
    }

    private mutating func appendLeftOut(at now: Instant) {
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
