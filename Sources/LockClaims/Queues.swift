import LockVocabulary

/// A queue: first in, first out. Both ends cost O(1), spread over the calls.
struct Fifo<Element> {
    private var elements: [Element] = []
    private var head = 0

    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let first = elements[head]
        head += 1
        if head > 32, 2 * head > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return first
    }
}

/// Names by the instant at which they are to be looked at again. A binary heap; an entry that is out of date is found out by
/// its name's record.
struct Deadlines {
    private var entries: [(at: Instant, name: LockName)] = []

    var next: Instant? { entries.first?.at }

    mutating func add(_ name: LockName, at instant: Instant) {
        entries.append((instant, name))
        var place = entries.count - 1
        while place > 0, entries[place].at < entries[(place - 1) / 2].at {
            entries.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    /// Takes the next name of which the instant has come.
    mutating func pop(until now: Instant) -> LockName? {
        guard let first = entries.first, first.at <= now else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var place = 0
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < entries.count && entries[child].at < entries[least].at { least = child }
            guard least != place else { return first.name }
            entries.swapAt(place, least)
            place = least
        }
    }
}
