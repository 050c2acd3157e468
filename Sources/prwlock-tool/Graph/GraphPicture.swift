import LockVocabulary

/// What a drawing of a graph shows: boxes and arrows. The arrows point to what is waited for.
///
/// Of many requests for a lock it has the first few and those that matter for others, and a box for the rest: the drawing
/// stays readable with a thousand.
struct GraphPicture {
    enum Kind {
        case process, lock, rest
    }

    struct Box {
        let kind: Kind
        /// A word of letters and digits that names the box.
        let id: String
        /// Texts to show, the most important first. They are not escaped.
        let lines: [String]
        /// The whole text, for a reader that wants more than fits.
        let full: String
        /// Whether the box is to be seen first.
        let isStrong: Bool
    }

    struct Arrow {
        let from: Int
        let to: Int
        let label: String
        /// Whether the arrow says that a process waits; otherwise, that a lock is held.
        let isWait: Bool
        /// Whether the arrow belongs to the longest chain, or is the oldest wait.
        let isStrong: Bool
    }

    private(set) var boxes: [Box] = []
    private(set) var arrows: [Arrow] = []
    private var boxOfParty: [Int: Int] = [:]

    private static let mostWaits = 8
    private static let mostGrants = 5
    /// The characters of a line of a box.
    private static let width = 30

    init(_ graph: WaitGraph, _ findings: WaitFindings) {
        let (chainWaits, chainGrants) = (findings.chainWaits, findings.chainGrants)
        for lock in graph.locks.indices {
            let entry = graph.locks[lock]
            let name = entry.name.shown
            let box = add(
                .lock, "l\(lock)", [name, graph.summary(of: lock), "\(entry.waiters) waiting"], full: name)
            let grants = Self.choose(Self.mostGrants, of: entry.grants) { grant in
                chainGrants.contains(grant) || !graph.parties[graph.grants[grant].party].waits.isEmpty
            }
            for index in grants {
                let grant = graph.grants[index]
                // With one holder the box of the lock says as much.
                let label = entry.holders > 1 ? graph.words(for: grant) : ""
                let isStrong = chainGrants.contains(index)
                arrows.append(
                    Arrow(
                        from: box, to: self.box(of: grant.party, graph, findings), label: label,
                        isWait: false, isStrong: isStrong))
            }
            if case let more = entry.holders - grants.count, more > 0 {
                let rest = add(.rest, "h\(lock)", ["+\(more) more"], full: "\(more) more holders")
                arrows.append(Arrow(from: box, to: rest, label: "", isWait: false, isStrong: false))
            }
            let queue = graph.queue(of: lock)
            let shown = Self.choose(Self.mostWaits, of: Array(queue.indices)) { place in
                findings.blocked[graph.waits[queue[place][0]].party].count > 0
                    || queue[place].contains { chainWaits.contains($0) || $0 == findings.oldest }
            }.map { queue[$0] }
            for requests in shown {
                let isOldest = findings.oldest.map(requests.contains) ?? false
                arrows.append(
                    Arrow(
                        from: self.box(of: graph.waits[requests[0]].party, graph, findings), to: box,
                        label: graph.words(for: requests) + (isOldest ? ", oldest" : ""), isWait: true,
                        isStrong: isOldest || !chainWaits.isDisjoint(with: requests)))
            }
            if case let more = entry.waiters - shown.map(\.count).reduce(0, +), more > 0 {
                let rest = add(.rest, "w\(lock)", ["+\(more) more"], full: "\(more) more requests wait")
                arrows.append(Arrow(from: rest, to: box, label: "", isWait: true, isStrong: false))
            }
        }
    }

    /// The first entries, but those that matter before others; in their order.
    private static func choose(_ most: Int, of entries: [Int], matters: (Int) -> Bool) -> [Int] {
        // A box for one that is left out would take as much room.
        guard entries.count > most + 1 else { return entries }
        let chosen = entries.filter(matters).prefix(most * 3)
        let rest = entries.filter { !chosen.contains($0) }.prefix(max(0, most - chosen.count))
        return (chosen + rest).sorted()
    }

    private mutating func box(of party: Int, _ graph: WaitGraph, _ findings: WaitFindings) -> Int {
        if let box = boxOfParty[party] { return box }
        let process = graph.parties[party].process
        let id = graph.parties[party].identity.shown
        let title = process.user.map { "\(id)  \($0)" } ?? id
        let count = findings.blocked[party].count
        let blocks = count > 0 ? "blocks \(count)" : nil
        let lines = [title, process.command, process.unit, blocks].compactMap { $0 }
        let box = add(
            .process, "p\(party)", lines, full: graph.describe(party), isStrong: party == findings.worst)
        boxOfParty[party] = box
        return box
    }

    private mutating func add(
        _ kind: Kind, _ id: String, _ lines: [String], full: String, isStrong: Bool = false
    ) -> Int {
        let cut = lines.enumerated().map { Table.cut(Harmless.show($1), to: Self.width) }
        boxes.append(Box(kind: kind, id: id, lines: cut, full: full, isStrong: isStrong))
        return boxes.count - 1
    }
}
