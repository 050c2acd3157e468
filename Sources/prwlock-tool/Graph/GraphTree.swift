import LockVocabulary

/// A graph as text for a terminal: what stands out first, then a tree below each process that blocks others and does not wait.
///
/// Each lock is shown once, below the first of its holders; under every other holder a line refers to it.
struct GraphTree {
    private let graph: WaitGraph
    private let findings: WaitFindings
    private let style: Style
    private let lines: Lines
    private var text: Shown = ""
    private var shownLocks: Set<Int> = []
    private var shownParties: Set<Int> = []

    /// How many requests for one lock are shown. More tell no more, and those that block others are shown in any case.
    private static let most = 10
    /// A wait of this length stands out.
    private static let long = Duration.seconds(60)

    /// The characters of branches.
    private struct Lines {
        let fork: String
        let last: String
        let bar: String
        let arrow: String
        /// In the place of what is cut.
        let dots: String

        static let drawn = Lines(fork: "├ ", last: "└ ", bar: "│ ", arrow: "◀", dots: "…")
        static let ascii = Lines(fork: "+ ", last: "` ", bar: "| ", arrow: "<-", dots: "...")
    }

    /// - Parameter isUnicode: whether the terminal shows more than ASCII.
    init(_ graph: WaitGraph, _ findings: WaitFindings, style: Style, isUnicode: Bool) {
        self.graph = graph
        self.findings = findings
        self.style = style
        lines = isUnicode ? .drawn : .ascii
    }

    /// The whole text.
    mutating func render() -> Shown {
        guard !graph.isEmpty else { return "nothing waits\n" }
        text = ""
        writeSummary()
        let roots = roots()
        for root in roots where !hasBeenShown(root) { writeTree(root) }
        // Without a holder, or in a circle of threads, a lock is below no root.
        for lock in graph.locks.indices where !shownLocks.contains(lock) {
            text += "\n"
            write(lock, heldBy: nil, prefix: "", branch: "")
        }
        if let omission = graph.omission { text += "\n" + style.strong(omission) + "\n" }
        return text
    }

    private mutating func writeSummary() {
        let waiting = graph.parties.filter { !$0.waits.isEmpty }.count
        let hidden = graph.locks.map { $0.waiters - $0.waits.count }.reduce(0, +)
        let count = Count.processes(waiting + hidden)
        text += style.strong(
            "\(count) \(waiting + hidden == 1 ? "waits" : "wait") for \(Count.of(graph.locks.count, "lock"))")
        text += "\n"
        for (heading, sentence) in graph.sentences(findings) {
            let padded = "  \(heading):" + String(repeating: " ", count: max(1, 15 - heading.count))
            let dotted = sentence.split(separator: "…", omittingEmptySubsequences: false).joined(
                separator: lines.dots)
            for (index, part) in wrap(dotted, indent: padded.count).enumerated() {
                let start = index == 0 ? padded : String(repeating: " ", count: padded.count)
                text += "\(start)\(part)\n"
            }
        }
    }

    /// The parts of a sentence that fit in a line each, at most three.
    private func wrap(_ sentence: String, indent: Int) -> [String] {
        guard let columns = style.columns, columns > indent + 20 else { return [sentence] }
        let width = columns - indent
        var parts: [String] = []
        for word in sentence.split(separator: " ", omittingEmptySubsequences: false) {
            if let last = parts.last, last.count + 1 + word.count <= width || parts.count == 3 {
                parts[parts.count - 1] = last + " " + word
            } else {
                parts.append(String(word))
            }
        }
        return parts.map { cut($0, to: width) }
    }

    /// The parties that block others and do not wait, the worst first.
    private func roots() -> [Int] {
        findings.order.filter { findings.blocked[$0].count > 0 && graph.parties[$0].waits.isEmpty }
    }

    /// Whether a tree of this party would only refer to other trees.
    private func hasBeenShown(_ party: Int) -> Bool {
        graph.parties[party].grants.allSatisfy { shownLocks.contains(graph.grants[$0].lock) }
    }

    private mutating func writeTree(_ root: Int) {
        text += "\n"
        shownParties.insert(root)
        let id = graph.parties[root].identity.shown
        let blocked = "blocks \(Count.processes(findings.blocked[root].count))"
        let facts = graph.facts(of: root).joined(separator: "  ")
        text +=
            style.strong("\(id)  \(blocked)") + "\(fit("  " + facts, after: id.count + blocked.count + 2))\n"
        writeLocks(of: root, prefix: "")
    }

    private mutating func writeLocks(of party: Int, prefix: String) {
        var locks: [Int] = []
        for grant in graph.parties[party].grants where !locks.contains(graph.grants[grant].lock) {
            locks.append(graph.grants[grant].lock)
        }
        for lock in locks {
            let isLast = lock == locks.last
            write(lock, heldBy: party, prefix: prefix, branch: isLast ? lines.last : lines.fork)
        }
    }

    private mutating func write(_ lock: Int, heldBy party: Int?, prefix: String, branch: String) {
        let entry = graph.locks[lock]
        let name = cut(entry.name.shown, to: 40)
        guard shownLocks.insert(lock).inserted else {
            text += "\(fit("\(prefix)\(branch)\(name), as above"))\n"
            return
        }
        let start = "\(prefix)\(branch)"
        text += "\(start)" + style.strong(name)
        text +=
            "\(fit(", \(graph.summary(of: lock)), \(entry.waiters) waiting\(note(of: lock, by: party))", after: start.count + name.count))\n"
        let inner = party != nil ? prefix + (branch == lines.last ? "  " : lines.bar) : ""
        if party != nil, let others = others(entry, than: party) {
            text += "\(fit("\(inner)  \(others)"))\n"
        }
        let shown = chosen(of: lock)
        let more = entry.waiters - shown.map(\.count).reduce(0, +)
        for (index, requests) in shown.enumerated() {
            write(requests, prefix: inner, isLast: index == shown.count - 1 && more == 0)
        }
        if more > 0 { text += "\(inner)\(lines.last)+\(more) more\n" }
    }

    private func note(of lock: Int, by party: Int?) -> String {
        let grants = graph.locks[lock].grants.map { graph.grants[$0] }
        return grants.first { $0.party == party && !$0.note.isEmpty }.map(graph.note) ?? ""
    }

    /// The other holders of a lock, in words; nil if it has none.
    private func others(_ lock: WaitGraph.Lock, than party: Int?) -> String? {
        let others = lock.grants.map { graph.grants[$0].party }.filter { $0 != party }
        guard !others.isEmpty else { return nil }
        let named = others.prefix(5).map { graph.parties[$0].identity.shown }
        let more = lock.holders - 1 - named.count
        return "also held by \((named + (more > 0 ? ["\(more) more"] : [])).joined(separator: ", "))"
    }

    /// The requests to show, in the order of the queue.
    private func chosen(of lock: Int) -> [[Int]] {
        let queue = graph.queue(of: lock)
        guard queue.count > Self.most else { return queue }
        let chain = findings.chainWaits
        let matter = queue.map { requests in
            findings.blocked[graph.waits[requests[0]].party].count > 0
                || requests.contains { chain.contains($0) || $0 == findings.oldest }
        }
        var room = Self.most - matter.filter { $0 }.count
        return zip(queue, matter).filter { _, matters in
            if !matters { room -= 1 }
            return matters || room >= 0
        }.map(\.0)
    }

    private mutating func write(_ requests: [Int], prefix: String, isLast: Bool) {
        let party = graph.waits[requests[0]].party
        let start = prefix + (isLast ? lines.last : lines.fork) + "\(graph.parties[party].identity.shown)  "
        let words = graph.words(for: requests)
        let isOldest = findings.oldest.map(requests.contains) ?? false
        let mark = isOldest && graph.waits.count > 1 ? " \(lines.arrow) oldest" : ""
        let facts = graph.facts(of: party).joined(separator: "  ")
        let isStrong = isOldest || requests.contains { graph.waits[$0].waited >= Self.long }
        text += "\(start)" + (isStrong ? style.strong(words + mark) : "\(words)")
        text += "\(fit("  " + facts, after: start.count + words.count + mark.count))\n"
        guard !graph.parties[party].grants.isEmpty, shownParties.insert(party).inserted else { return }
        writeLocks(of: party, prefix: prefix + (isLast ? "  " : lines.bar))
    }

    /// Cuts the text so that the line fits the terminal.
    private func fit(_ text: String, after used: Int = 0) -> String {
        guard let columns = style.columns else { return Harmless.show(text) }
        return cut(Harmless.show(text), to: columns - used)
    }

    private func cut(_ text: String, to width: Int) -> String {
        let text = Harmless.show(text)
        guard text.count > width else { return text }
        return width > lines.dots.count ? text.prefix(width - lines.dots.count) + lines.dots : ""
    }
}
