import LockVocabulary

/// The locks by name, in the order of the names' bytes: a crit-bit tree (D. J. Bernstein, "Crit-bit trees").
///
/// Finding, inserting and removing cost in proportion to the length of the name, independent of the number of names. The tree
/// is never rehashed or rebalanced, so no request pays for the growth of the whole. A hash table would need a second, ordered
/// index for lists.
///
/// Each inner node has the first bit in which the names on its two sides differ. Bytes beyond the end of a name count as
/// zero, which no name contains.
///
/// The tree keeps the names. So the records of locks hold no references, and copying a record counts none.
///
/// Invariants:
/// 1. On every path down, the bits of the nodes rise: by byte, then from the highest bit.
/// 2. All names on the left side of a node have a zero in its bit, all names on the right side a one.
/// 3. `path` has the nodes from the root to the entry `recent`, if there is one.
struct NameTree: ~Copyable {
    /// A name and its lock.
    struct Entry: Placeable {
        let name: LockName
        let lock: Slot<Lock>

        static var vacant: Entry { Entry(name: LockName(unchecked: ""), lock: .nowhere) }
    }

    /// The slot of an inner node or of an entry; the top bit is set for an entry.
    struct Branch: Equatable {
        private let raw: UInt32

        init(_ entry: Slot<Entry>) { raw = entry.raw | 1 << 31 }
        init(_ node: Slot<Node>) { raw = node.raw }

        var entry: Slot<Entry>? { raw >> 31 == 1 ? Slot(raw: raw & ~(1 << 31)) : nil }
        var node: Slot<Node> { Slot(raw: raw) }
    }

    struct Node: Placeable {
        var left: Branch
        var right: Branch
        /// The index of the byte that contains the bit.
        var byte: UInt8
        /// A mask of all bits of the byte except this one.
        var others: UInt8

        static var vacant: Node {
            Node(left: Branch(Slot<Node>.nowhere), right: Branch(Slot<Node>.nowhere), byte: 0, others: 0)
        }

        /// Whether its bit comes after another one.
        func comesAfter(_ byte: UInt8, _ others: UInt8) -> Bool { (self.byte, self.others) > (byte, others) }

        /// Whether its bit comes before another one.
        func comesBefore(_ byte: UInt8, _ others: UInt8) -> Bool { (self.byte, self.others) < (byte, others) }

        /// Whether a name with this byte is on the right side.
        func turnsRight(_ value: UInt8) -> Bool { others | value == .max }
    }

    /// The top of the tree; nil for an empty tree.
    private var root: Branch?
    private var nodes = Slab<Node>()
    private var entries = Slab<Entry>()
    /// The way to the entry that was inserted last. The next name is often like it, and then shares most of its way.
    private var path: [Slot<Node>] = []
    /// Nil after a removal, which may have changed the way.
    private var recent: Slot<Entry>?

    /// The name of an entry.
    subscript(entry: Slot<Entry>) -> LockName { entries[entry].name }

    /// The number of names.
    var count: Int { entries.count }

    /// The lock of an entry.
    func lock(of entry: Slot<Entry>) -> Slot<Lock> { entries[entry].lock }

    /// The nodes that were passed on the way to names, since the owner of the tree last took the number away.
    var passed = 0

    /// The lock with this name. Counts the nodes on the way to it.
    @inline(__always)
    mutating func find(_ name: LockName) -> Slot<Lock>? {
        guard let root else { return nil }
        var depth = 0
        let entry = name.withBytes { nearest(to: $0, below: root, passed: &depth) }
        passed += depth
        return entries[entry].name == name ? entries[entry].lock : nil
    }

    /// The same without a count.
    func look(for name: LockName) -> Slot<Lock>? {
        guard let root else { return nil }
        let entry = name.withBytes { nearest(to: $0, below: root) }
        return entries[entry].name == name ? entries[entry].lock : nil
    }

    /// The lock with this name; a new one, with this name, if there is none.
    mutating func findOrInsert(_ name: LockName, in locks: inout Slab<Lock>) -> Slot<Lock> {
        let near = descend(to: name)
        if let near, entries[near].name == name { return entries[near].lock }
        let lock = locks.insert(Lock(name: .nowhere))
        locks[lock].name = insert(name, for: lock, near: near)
        return lock
    }

    /// Inserts a name that is not in the tree. Returns its entry.
    mutating func insert(_ name: LockName, for lock: Slot<Lock>) -> Slot<Entry> {
        insert(name, for: lock, near: descend(to: name))
    }

    /// Inserts a name behind `descend`, which has led to the entry `near`; nil in an empty tree.
    private mutating func insert(_ name: LockName, for lock: Slot<Lock>, near: Slot<Entry>?) -> Slot<Entry> {
        let entry = entries.insert(Entry(name: name, lock: lock))
        recent = entry
        guard let root, let near else {
            root = Branch(entry)
            return entry
        }
        passed += path.count
        name.withBytes { name in
            let (byte, others, turnsRight) = entries[near].name.withBytes { Self.difference(name, $0) }

            // Go up the path to the position of the new node: above the first node with a later bit.
            while let node = path.last, nodes[node].comesAfter(byte, others) {
                path.removeLast()
                passed += 1
            }
            let branch = path.last.map { child(of: $0, name) } ?? root
            let parent = path.last.map { ($0, isRight: nodes[$0].right == branch) }
            let node = nodes.insert(
                turnsRight
                    ? Node(left: branch, right: Branch(entry), byte: byte, others: others)
                    : Node(left: Branch(entry), right: branch, byte: byte, others: others))
            replace(below: parent, with: Branch(node))
            path.append(node)
        }
        return entry
    }

    /// Removes the name of an entry.
    mutating func remove(_ entry: Slot<Entry>) {
        entries[entry].name.withBytes { name in
            var grandparent: (node: Slot<Node>, isRight: Bool)?
            var parent: (node: Slot<Node>, isRight: Bool)?
            guard var branch = root else { preconditionFailure("the tree is empty") }
            while branch.entry == nil {
                let node = nodes[branch.node]
                let isRight = node.turnsRight(Self.byte(name, node.byte))
                grandparent = parent
                parent = (branch.node, isRight)
                branch = isRight ? node.right : node.left
                passed += 1
            }
            precondition(branch.entry == entry, "the name is not in the tree")
            guard let (node, isRight) = parent else {
                root = nil
                return
            }
            replace(below: grandparent, with: isRight ? nodes[node].left : nodes[node].right)
            nodes.remove(node)
        }
        entries.remove(entry)
        recent = nil
    }

    /// Calls the body with the locks that have a name with this prefix after `after`, in order, until it returns false.
    func forEach(
        prefix: String, after: LockName?, _ body: (Slot<Lock>) -> Bool
    ) {
        guard let root else { return }
        // The branches that are still to visit, the next one on top.
        var ahead: [Branch] = []
        descend(from: root, to: max(prefix, after?.text ?? ""), &ahead)
        while let branch = ahead.popLast() {
            if let entry = branch.entry {
                let name = entries[entry].name
                if let after, name <= after { continue }
                if !name.text.utf8.starts(with: prefix.utf8) { return }
                if !body(entries[entry].lock) { return }
            } else {
                ahead.append(nodes[branch.node].right)
                ahead.append(nodes[branch.node].left)
            }
        }
    }

    // MARK: - Checks

    /// Whether the invariants hold and the tree has all entries: then each search finds its name.
    ///
    /// Between two names that are neighbours in the order stands one node: the lowest above both. If it has the first bit in
    /// which they differ, and the bits rise on all paths, then the names below any node agree in all bits before its own.
    var isSound: Bool {
        guard let root else { return entries.count == 0 && nodes.count == 0 }
        // The right branches that are still to visit, the next one on top, each with the node above it.
        var ahead: [(branch: Branch, above: Node?)] = [(root, nil)]
        var former: LockName?
        var visited = 0
        while let (right, divider) = ahead.popLast() {
            var (branch, above) = (right, divider)
            while branch.entry == nil {
                let node = nodes[branch.node]
                if let above, !node.comesAfter(above.byte, above.others) { return false }
                ahead.append((node.right, node))
                (branch, above) = (node.left, node)
            }
            guard let entry = branch.entry, entries[entry].lock != .nowhere else { return false }
            let name = entries[entry].name
            if let former, let divider {
                guard name != former else { return false }
                let first = name.withBytes { name in former.withBytes { Self.difference(name, $0) } }
                guard first == (divider.byte, divider.others, true) else { return false }
            }
            former = name
            visited += 1
        }
        return visited == entries.count && nodes.count == visited - 1
    }

    // MARK: - Paths down

    private func nearest(to name: UnsafeRawBufferPointer, below root: Branch) -> Slot<Entry> {
        var passed = 0
        return nearest(to: name, below: root, passed: &passed)
    }

    /// The entry at the end of the path that these bytes choose. If the tree contains the name, it is this entry.
    @inline(__always)
    private func nearest(
        to name: UnsafeRawBufferPointer, below root: Branch, passed: inout Int
    ) -> Slot<Entry> {
        var branch = root
        while true {
            if let entry = branch.entry { return entry }
            passed += 1
            let node = nodes[branch.node]
            branch = node.turnsRight(Self.byte(name, node.byte)) ? node.right : node.left
        }
    }

    /// The same, with the nodes on the way in `path`; nil for an empty tree.
    private mutating func descend(to name: LockName) -> Slot<Entry>? {
        goBack(toTheWayOf: name)
        guard let root else { return nil }
        return name.withBytes { name in
            var branch = path.last.map { child(of: $0, name) } ?? root
            while branch.entry == nil {
                path.append(branch.node)
                branch = child(of: branch.node, name)
            }
            recent = branch.entry
            return recent
        }
    }

    /// Shortens `path` to its nodes that are above a name too: those with a bit before the first in which it differs from
    /// `recent`.
    private mutating func goBack(toTheWayOf name: LockName) {
        guard let recent else { return path.removeAll(keepingCapacity: true) }
        let former = entries[recent].name
        guard name != former else { return }
        let (byte, others, _) = name.withBytes { name in former.withBytes { Self.difference(name, $0) } }
        while let node = path.last, !nodes[node].comesBefore(byte, others) { path.removeLast() }
    }

    @inline(__always)
    private func child(of node: Slot<Node>, _ name: UnsafeRawBufferPointer) -> Branch {
        let node = nodes[node]
        return node.turnsRight(Self.byte(name, node.byte)) ? node.right : node.left
    }

    /// Fills `ahead` with the branches of all names at or after `start`, the first on top.
    private func descend(from root: Branch, to start: String, _ ahead: inout [Branch]) {
        var start = start
        start.withUTF8 { start in
            let start = UnsafeRawBufferPointer(start)
            let other = entries[nearest(to: start, below: root)].name
            let (byte, others, startIsGreater) = other.withBytes { other in
                other.elementsEqual(start) ? (UInt8.max, UInt8.max, false) : Self.difference(start, other)
            }
            var branch = root
            while branch.entry == nil {
                let node = nodes[branch.node]
                if node.comesAfter(byte, others) { break }
                if node.turnsRight(Self.byte(start, node.byte)) {
                    branch = node.right
                } else {
                    ahead.append(node.right)
                    branch = node.left
                }
            }
            // All names below this branch equal `start` up to the first difference, so they are all on one side of it.
            if !startIsGreater { ahead.append(branch) }
        }
    }

    private mutating func replace(below parent: (node: Slot<Node>, isRight: Bool)?, with branch: Branch) {
        guard let parent else {
            root = branch
            return
        }
        if parent.isRight { nodes[parent.node].right = branch } else { nodes[parent.node].left = branch }
    }

    // MARK: - Bytes

    private static func byte(_ name: UnsafeRawBufferPointer, _ index: UInt8) -> UInt8 {
        Int(index) < name.count ? name[Int(index)] : 0
    }

    /// The first bit in which two names differ, and whether it is a one in the first name.
    private static func difference(
        _ name: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer
    ) -> (byte: UInt8, others: UInt8, nameHasOne: Bool) {
        var index: UInt8 = 0
        while byte(name, index) == byte(other, index) { index += 1 }
        let difference = byte(name, index) ^ byte(other, index)
        let bit = UInt8(1) << UInt8(7 - difference.leadingZeroBitCount)
        return (index, ~bit, byte(name, index) & bit != 0)
    }
}
