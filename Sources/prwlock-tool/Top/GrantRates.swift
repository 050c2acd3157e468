import LockVocabulary

/// Grants a second, from counters that are read again and again.
struct GrantRates {
    /// By lock; a lock that was not in both readings has no rate.
    private(set) var perSecond: [LockName: Double] = [:]
    /// Of all locks; nil before the second reading.
    private(set) var total: Double?

    private var before: (time: Instant, counts: [LockName: Int], total: Int)?

    /// A shorter time between two readings says little.
    private static let least = Duration.milliseconds(250)

    /// Takes a reading. One that comes too soon after the last one changes nothing.
    mutating func read(_ counts: [LockName: Int], total: Int, at time: Instant) {
        guard let last = before else {
            before = (time, counts, total)
            return
        }
        let elapsed = last.time.duration(to: time)
        guard elapsed >= Self.least else { return }
        let seconds = Double(elapsed.wholeMilliseconds) / 1000
        perSecond = counts.reduce(into: [:]) { rates, entry in
            // A counter that is lower than before began anew: the daemon has forgotten the lock in between.
            guard let earlier = last.counts[entry.key], entry.value >= earlier else { return }
            rates[entry.key] = Double(entry.value - earlier) / seconds
        }
        self.total = total >= last.total ? Double(total - last.total) / seconds : nil
        before = (time, counts, total)
    }
}
