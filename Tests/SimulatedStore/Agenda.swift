public import LockVocabulary

/// What is to happen, by instants; at the same instant in the order in which it was noted. A binary heap.
public struct Agenda<Event> {
    private var entries: [(at: Instant, number: Int, event: Event)] = []
    private var last = 0

    public init() {}

    /// When the next event is due.
    public var next: Instant? { entries.first?.at }

    public mutating func note(_ event: Event, at instant: Instant) {
        last += 1
        entries.append((instant, last, event))
        var place = entries.count - 1
        while place > 0, isEarlier(place, (place - 1) / 2) {
            entries.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    /// Takes the next event that is due by then.
    public mutating func take(until now: Instant) -> (at: Instant, event: Event)? {
        guard let first = entries.first, first.at <= now else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var place = 0
        while let child = [2 * place + 1, 2 * place + 2].filter({ $0 < entries.count })
            .min(by: { isEarlier($0, $1) }), isEarlier(child, place)
        {
            entries.swapAt(place, child)
            place = child
        }
        return (first.at, first.event)
    }

    /// Drops what is not to happen any more.
    public mutating func removeAll(where isDropped: (Event) -> Bool) {
        // A sorted array is a heap.
        entries = entries.filter { !isDropped($0.event) }.sorted { ($0.at, $0.number) < ($1.at, $1.number) }
    }

    private func isEarlier(_ one: Int, _ other: Int) -> Bool {
        (entries[one].at, entries[one].number) < (entries[other].at, entries[other].number)
    }
}
