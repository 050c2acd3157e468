/// The neighbours of a record in one list.
struct Links<Record> {
    @Compact var next: Slot<Record>? = nil
    @Compact var previous: Slot<Record>? = nil
}

/// A kind of list. It names the links of a record that its lists use.
protocol Membership {
    associatedtype Record: Placeable
    static var links: WritableKeyPath<Record, Links<Record>> { get }
}

/// A doubly linked list of records in a slab, from which a record can be removed at any position.
///
/// A record is in at most one list of each kind. Outside a list its links mean nothing.
struct LinkedList<Kind: Membership> {
    typealias Record = Kind.Record

    @Compact private(set) var first: Slot<Record>? = nil
    @Compact private(set) var last: Slot<Record>? = nil
    private(set) var count: UInt32 = 0

    var isEmpty: Bool { count == 0 }

    @inline(__always)
    mutating func prepend(_ slot: Slot<Record>, in slab: inout Slab<Record>) {
        insert(slot, between: nil, and: first, in: &slab)
    }

    @inline(__always)
    mutating func append(_ slot: Slot<Record>, in slab: inout Slab<Record>) {
        insert(slot, between: last, and: nil, in: &slab)
    }

    mutating func insert(
        _ slot: Slot<Record>, behind other: Slot<Record>, in slab: inout Slab<Record>
    ) {
        insert(slot, between: other, and: slab[other][keyPath: Kind.links].next, in: &slab)
    }

    @inline(__always)
    mutating func remove(_ slot: Slot<Record>, in slab: inout Slab<Record>) {
        let links = slab[slot][keyPath: Kind.links]
        setNext(of: links.previous, to: links.next, in: &slab)
        setPrevious(of: links.next, to: links.previous, in: &slab)
        count -= 1
    }

    @inline(__always)
    private mutating func insert(
        _ slot: Slot<Record>, between previous: Slot<Record>?, and next: Slot<Record>?,
        in slab: inout Slab<Record>
    ) {
        slab[slot][keyPath: Kind.links] = Links(next: next, previous: previous)
        setNext(of: previous, to: slot, in: &slab)
        setPrevious(of: next, to: slot, in: &slab)
        count += 1
    }

    /// Sets the successor of a record, or the first record of the list for nil.
    @inline(__always)
    private mutating func setNext(
        of slot: Slot<Record>?, to next: Slot<Record>?, in slab: inout Slab<Record>
    ) {
        if let slot { slab[slot][keyPath: Kind.links].next = next } else { first = next }
    }

    /// Sets the predecessor of a record, or the last record of the list for nil.
    @inline(__always)
    private mutating func setPrevious(
        of slot: Slot<Record>?, to previous: Slot<Record>?, in slab: inout Slab<Record>
    ) {
        if let slot { slab[slot][keyPath: Kind.links].previous = previous } else { last = previous }
    }

    // MARK: - Walks

    /// A walk from the first record to the last. The caller may stop it and go on later.
    func walk() -> Walk<Kind> { Walk(from: first) }

    /// Calls the body with each record, in order.
    @inline(__always)
    func forEach<Failure>(
        in slab: borrowing Slab<Record>, _ body: (Slot<Record>) throws(Failure) -> Void
    ) throws(Failure) {
        var walk = walk()
        while let slot = walk.next(in: slab) { try body(slot) }
    }

    /// The first record for which the predicate holds.
    @inline(__always)
    func first(
        in slab: borrowing Slab<Record>, where predicate: (Slot<Record>) -> Bool
    ) -> Slot<Record>? {
        var walk = walk()
        while let slot = walk.next(in: slab) {
            if predicate(slot) { return slot }
        }
        return nil
    }

    @inline(__always)
    func contains(in slab: borrowing Slab<Record>, where predicate: (Slot<Record>) -> Bool) -> Bool {
        first(in: slab, where: predicate) != nil
    }

    /// Whether the links, both ends and the count agree.
    func isSound(in slab: borrowing Slab<Record>) -> Bool {
        var counted: UInt32 = 0
        var previous: Slot<Record>?
        var walk = walk()
        while let slot = walk.next(in: slab) {
            guard slab[slot][keyPath: Kind.links].previous == previous else { return false }
            counted += 1
            previous = slot
        }
        return counted == count && previous == last
    }
}

/// The position of a walk along a list.
///
/// The walk holds the slot of the next record. So a loop may remove the record that it is at, but no other record of the
/// list.
struct Walk<Kind: Membership> {
    @Compact private var following: Slot<Kind.Record>? = nil

    init(from first: Slot<Kind.Record>?) { following = first }

    @inline(__always)
    mutating func next(in slab: borrowing Slab<Kind.Record>) -> Slot<Kind.Record>? {
        guard let slot = following else { return nil }
        following = slab[slot][keyPath: Kind.links].next
        return slot
    }
}
