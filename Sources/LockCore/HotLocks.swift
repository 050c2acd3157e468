public import LockVocabulary

/// The locks that cost most, in bounded memory, whatever number of names there is.
///
/// The weight of a lock is the microseconds that requests waited for it, and one for each of its grants. The locks with the
/// greatest weight are kept by the algorithm Space-Saving (A. Metwally, D. Agrawal and A. El Abbadi, "Efficient Computation of
/// Frequent and Top-k Elements in Data Streams", ICDT 2005): a name that is new takes the place of the one with the least
/// weight, and inherits this weight as its possible error (`over`). With W as the weight of all that was counted and K places:
///
/// 1. Every lock with a weight above W / K has a place.
/// 2. The true weight of a lock with a place is at least `counted`, and at most `counted + over`; `over` is at most W / K.
///
/// What a lock has beside its weight is counted since it has its place. Cost of a count: the search for the name, and a step
/// through the heap, which has eight levels.
public struct HotLocks: Sendable {
    /// How many locks are kept.
    public static let most = 256

    /// What one lock has cost since it has its place.
    public struct Costs: Sendable {
        /// The name of the lock.
        public let name: LockName
        /// The weight that may have been counted before the lock got this place.
        public let over: Int
        /// How long requests waited.
        public internal(set) var waits = TimeBuckets()
        /// How long grants were held.
        public internal(set) var holds = TimeBuckets()
        /// The longest wait.
        public internal(set) var longest: LongestWait?
        /// The weight that was counted since.
        public internal(set) var counted = 0
        /// The sums at the last report.
        fileprivate var reported = Sums()
        /// Where it is in the heap.
        fileprivate var position = 0

        fileprivate var weight: Int { counted &+ over }

        /// All that was counted.
        public var sums: Sums {
            Sums(grants: holds.all, held: holds.total, waits: waits.all, waited: waits.total)
        }

        /// What was counted since the last report.
        public var sinceReport: Sums {
            let now = sums
            return Sums(
                grants: now.grants - reported.grants, held: now.held - reported.held,
                waits: now.waits - reported.waits, waited: now.waited - reported.waited)
        }

        fileprivate init(name: LockName, over: Int) {
            self.name = name
            self.over = over
        }
    }

    /// The sums of what a lock has cost, with times in microseconds.
    public struct Sums: Sendable, Equatable {
        public var grants = 0
        public var held = 0
        public var waits = 0
        public var waited = 0
    }

    /// The longest wait for a lock.
    public struct LongestWait: Sendable {
        /// How long it was, in microseconds.
        public let time: Int
        /// When it ended.
        public let end: Instant
        /// The holder that it was for most of the time; nil if none is known.
        public let behind: Holder?

        /// The process of a grant, and its mode.
        public struct Holder: Sendable, Equatable {
            /// The process; nil if the daemon could not see it.
            public let processID: Int32?
            /// The mode of the grant.
            public let mode: LockMode
        }
    }

    private var kept: [Costs] = []
    private var places: NamePlaces?
    /// The places as a binary heap, with the least weight first; empty until the first name is displaced.
    private var heap: [Int] = []
    /// The place that was found last: of a lock that goes from one owner to the next, a wait and a grant end together.
    private var lastFound = 0

    /// Counts a cost of the lock at a place, with its weight, which is not negative.
    mutating func count(_ weight: Int, at place: Int, _ count: (inout Costs) -> Void) {
        kept[place].counted &+= weight
        count(&kept[place])
        if !heap.isEmpty { sink(place) }
    }

    /// The costs of all locks that have a place, in no stated order.
    public var all: [Costs] { kept }

    /// The costs of a lock; nil if it has no place.
    public subscript(name: LockName) -> Costs? {
        places?.place(of: NamePlaces.hash(of: name)) { kept[$0].name == name }.map { kept[$0] }
    }

    /// The longest wait for the lock at a place, in microseconds; below zero if there was none.
    func longestWait(at place: Int) -> Int { kept[place].longest?.time ?? -1 }

    /// Begins a new report: `sinceReport` of each lock begins at zero.
    mutating func beginReport() {
        for place in kept.indices { kept[place].reported = kept[place].sums }
    }

    /// The place of a lock, which it gets if it has none. It is valid until the next call.
    mutating func place(of name: LockName) -> Int {
        if lastFound < kept.count, kept[lastFound].name == name { return lastFound }
        let hash = NamePlaces.hash(of: name)
        if let place = places?.place(of: hash, where: { kept[$0].name == name }) {
            lastFound = place
        } else {
            lastFound = kept.count < Self.most ? addPlace(name) : yieldPlace(name)
            places?.insert(lastFound, hash)
        }
        return lastFound
    }

    private mutating func addPlace(_ name: LockName) -> Int {
        if places == nil { places = NamePlaces(capacity: Self.most) }
        let place = kept.count
        kept.append(Costs(name: name, over: 0))
        return place
    }

    /// Gives the place with the least weight to another lock.
    private mutating func yieldPlace(_ name: LockName) -> Int {
        if heap.isEmpty { makeHeap() }
        let place = heap[0]
        places?.remove(place)
        // Its weight stays the same, so it stays at the top of the heap, where a new one is.
        kept[place] = Costs(name: name, over: kept[place].weight)
        return place
    }

    // MARK: - The heap

    private mutating func makeHeap() {
        heap = kept.indices.sorted { kept[$0].weight < kept[$1].weight }
        for (position, place) in heap.enumerated() { kept[place].position = position }
    }

    private mutating func sink(_ place: Int) {
        while true {
            let first = 2 * kept[place].position + 1
            guard first < heap.count else { return }
            var least = heap[first]
            if first + 1 < heap.count, kept[heap[first + 1]].weight < kept[least].weight {
                least = heap[first + 1]
            }
            guard kept[least].weight < kept[place].weight else { return }
            exchange(place, least)
        }
    }

    private mutating func exchange(_ one: Int, _ other: Int) {
        heap.swapAt(kept[one].position, kept[other].position)
        let position = kept[one].position
        kept[one].position = kept[other].position
        kept[other].position = position
    }
}
