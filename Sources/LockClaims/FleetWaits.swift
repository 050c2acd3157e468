import LockVocabulary

/// Circles of waiting through several hosts.
///
/// Each host publishes its edges: that a lock of which its claim is recalled will not be free before it gets another lock. A
/// circle is a row of edges, each of which wants what the next one has. The host with the youngest edge of a circle ends it,
/// once it has seen the same circle for a while: edges of different hosts are never quite of one instant, and a circle that
/// is none goes away by itself.
struct FleetWaits {
    private struct Edge: Hashable {
        var host: HostName
        var edge: WaitEdge
        /// A revision of the store when the edge came into being: the higher, the younger.
        var stamp: Revision

        /// Of two edges with one stamp, that of the later host is the younger.
        func isOlder(than other: Edge) -> Bool {
            (stamp, host, edge.held, edge.waiter, edge.wanted)
                < (other.stamp, other.host, other.edge.held, other.edge.waiter, other.edge.wanted)
        }
    }

    /// How long an edge lasts before it is published, and how often the rules are asked.
    private static let period = Duration.milliseconds(100)
    /// How long a circle is seen before it is ended.
    private static let patience = Duration.milliseconds(300)

    /// How many edges of a host count, the oldest ones, so that no host makes others search for long.
    private static let limit = 1_000

    private var isWanted = false
    private var nextQuestion = Instant.zero
    /// The edges at the last two answers of the rules, with their stamps.
    private var latest: [WaitEdge: Revision] = [:]
    private var published: [WaitEdge: Revision] = [:]
    /// Whether the last publication may not have been carried out.
    private var isUncertain = false
    /// The edges of others in the store, as of a revision; for this host only the revision.
    private var known: [HostName: (edges: [Edge], asOf: Revision)] = [:]
    private var seen: [WaitEdge: (circle: [Edge], since: Instant)] = [:]
    private var circles: [FleetCircle] = []

    // MARK: - The edges of this host

    mutating func takeWanted() -> Bool {
        defer { isWanted = false }
        return isWanted
    }

    /// Takes the edges of this moment, and looks for circles with them. Returns whether something else is to be published.
    mutating func update(_ edges: [WaitEdge], of host: HostName, at now: Instant, stamp: Revision) -> Bool {
        var next: [WaitEdge: Revision] = [:]
        for edge in edges { next[edge] = latest[edge] ?? stamp }
        var lasting = next.filter { latest[$0.key] != nil }
        if lasting.count > Self.limit {
            let oldest = lasting.sorted {
                ($0.value, $0.key.held, $0.key.waiter) < ($1.value, $1.key.held, $1.key.waiter)
            }
            lasting = Dictionary(uniqueKeysWithValues: oldest.prefix(Self.limit).map { ($0.key, $0.value) })
        }
        latest = next
        let isOther = isUncertain || published != lasting
        (published, isUncertain) = (lasting, false)
        look(at: now, of: host)
        return isOther
    }

    /// The value of this host's key; nil for none.
    var publication: [UInt8]? {
        guard !published.isEmpty else { return nil }
        var text = "prwlock-waits 1\n"
        for (edge, stamp) in published.sorted(by: {
            ($0.key.held.text, $0.key.waiter) < ($1.key.held.text, $1.key.waiter)
        }) {
            text += "edge \(edge.held) \(edge.wanted) \(edge.waiter) \(stamp)\n"
        }
        return Array(text.utf8)
    }

    /// The publication may not have been carried out: the next answer of the rules is published again.
    mutating func publishAgain(at now: Instant) {
        isUncertain = true
        nextQuestion = now.advanced(by: Self.period)
    }

    // MARK: - The edges in the store

    /// Takes what a host has published; nil for nothing. A value that is damaged or has too many edges has none.
    mutating func note(_ value: [UInt8]?, of host: HostName, asOf revision: Revision) {
        if let former = known[host], former.asOf > revision { return }
        known[host] = (value.flatMap { Self.edges($0, of: host) } ?? [], revision)
    }

    /// Takes what this host has published, as the store has it. What was sent long ago, by this process or a killed one, may be
    /// carried out over what was published since.
    mutating func noteOwn(_ value: [UInt8]?, of host: HostName, asOf revision: Revision, at now: Instant) {
        if let former = known[host], former.asOf > revision { return }
        known[host] = ([], revision)
        if value != publication { publishAgain(at: now) }
    }

    /// A listing of all keys from this revision on is complete: what it has not shown has gone.
    mutating func endListing(from first: Revision, of host: HostName, at now: Instant) {
        known = known.filter { $0.value.asOf >= first }
        if known[host] == nil, publication != nil { publishAgain(at: now) }
    }

    private static func edges(_ text: [UInt8], of host: HostName) -> [Edge]? {
        var lines = Lines(text)
        guard lines.take() == ["prwlock-waits", "1"] else { return nil }
        var edges: [Edge] = []
        while let words = lines.take() {
            guard edges.count < limit, words.count == 5, words[0] == "edge", let held = LockName(words[1]),
                let wanted = LockName(words[2]), let waiter = UInt64(words[3]),
                let stamp = Revision(canonical: words[4])
            else { return nil }
            edges.append(
                Edge(host: host, edge: WaitEdge(held: held, wanted: wanted, waiter: waiter), stamp: stamp))
        }
        return lines.isComplete ? edges : nil
    }

    // MARK: - Circles

    mutating func takeCircles() -> [FleetCircle] {
        defer { circles = [] }
        return circles
    }

    mutating func advance(to now: Instant, isRecalling: Bool) {
        guard isActive(isRecalling), now >= nextQuestion else { return }
        isWanted = true
        nextQuestion = now.advanced(by: Self.period)
    }

    func nextDeadline(isRecalling: Bool) -> Instant? { isActive(isRecalling) ? nextQuestion : nil }

    private func isActive(_ isRecalling: Bool) -> Bool {
        isRecalling || !latest.isEmpty || !published.isEmpty || isUncertain
    }

    mutating func reset() { self = FleetWaits() }

    private mutating func look(at now: Instant, of host: HostName) {
        var before: [LockName: [Edge]] = [:]
        for (_, known) in known {
            for edge in known.edges { before[edge.edge.held, default: []].append(edge) }
        }
        let own = published.map { Edge(host: host, edge: $0.key, stamp: $0.value) }
        for edge in own { before[edge.edge.held, default: []].append(edge) }
        var still: [WaitEdge: (circle: [Edge], since: Instant)] = [:]
        for edge in own.sorted(by: { $0.isOlder(than: $1) }) {
            guard let circle = Self.circle(from: edge, before) else { continue }
            let former = seen[edge.edge]
            let since = former?.circle == circle ? former?.since ?? now : now
            if now >= since.advanced(by: Self.patience) {
                circles.append(
                    FleetCircle(waiter: edge.edge.waiter, hops: circle.map { ($0.host, $0.edge.wanted) }))
            } else {
                still[edge.edge] = (circle, since)
            }
        }
        seen = still
    }

    /// A shortest circle in which an edge is the youngest, from this edge on; nil if there is none.
    private static func circle(from start: Edge, _ next: [LockName: [Edge]]) -> [Edge]? {
        // Each edge that was reached, and the place of the one before it.
        var row: [(edge: Edge, before: Int)] = [(start, 0)]
        var reached: Set<Edge> = [start]
        var place = 0
        while place < row.count {
            let last = row[place].edge
            if last.edge.wanted == start.edge.held {
                var way = [last]
                while place > 0 {
                    place = row[place].before
                    way.append(row[place].edge)
                }
                return way.reversed()
            }
            let more = (next[last.edge.wanted] ?? []).filter {
                $0.isOlder(than: start) && reached.insert($0).inserted
            }
            for edge in more.sorted(by: { $0.isOlder(than: $1) }) { row.append((edge, place)) }
            place += 1
        }
        return nil
    }
}
