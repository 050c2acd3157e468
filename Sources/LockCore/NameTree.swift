import LockVocabulary

/// The locks by name, in the order of the names' bytes: a crit-bit tree (D. J. Bernstein, "Crit-bit trees").
///
/// To find, insert or remove a name costs in proportion to the name's own bytes, however many other names
/// there are; nothing is ever rehashed or rebalanced, so no request pays for the growth of the whole.
/// A hash table would need a second, ordered index beside it for listing in order.
///
/// Each inner node names the first bit in which the names below its two sides differ. Bytes beyond a name's
/// end count as zero, which is in no name.
///
/// Invariants:
/// 1. On every way down, the nodes' bits come in rising order: by byte, then from the highest bit.
/// 2. Below a node's left side all names have a zero in its bit, below its right side a one.
struct NameTree {
    /// An inner node (its place in `nodes`) or a lock: the top bit tells which.
    private struct Branch: Equatable {
        var raw: UInt32

        static let none = Branch(raw: .max)

        init(raw: UInt32) { self.raw = raw }
        init(_ lock: Slot<Lock>) { raw = lock.raw | 1 << 31 }
        init(_ node: Slot<Node>) { raw = node.raw }

        var lock: Slot<Lock>? { raw >> 31 == 1 ? Slot(raw: raw & ~(1 << 31)) : nil }
        var node: Slot<Node> { Slot(raw: raw) }
    }

    private struct Node {
        var left: Branch
        var right: Branch
        /// The byte that holds the bit.
        var byte: UInt8
        /// All bits but the one.
        var others: UInt8

        /// Whether a name with this byte goes to the right.
        func turnsRight(_ value: UInt8) -> Bool { others | value == .max }
    }

    private var root = Branch.none
    private var nodes = Slab<Node>(vacant: Node(left: .none, right: .none, byte: 0, others: 0))

    /// The lock with a name.
    func find(_ name: LockName, in locks: borrowing Slab<Lock>) -> Slot<Lock>? {
        guard root != .none else { return nil }
        let lock = name.withBytes { nearest(to: $0) }
        return locks[lock].name == name ? lock : nil
    }

    /// Puts in a lock whose name is not in the tree.
    mutating func insert(_ lock: Slot<Lock>, in locks: borrowing Slab<Lock>) {
        guard root != .none else {
            root = Branch(lock)
            return
        }
        locks[lock].name.withBytes { name in
            let other = locks[nearest(to: name)].name
            let (byte, others, turnsRight) = other.withBytes { Self.difference(name, $0) }

            // Down to where the new node belongs: before the first that looks at a later bit.
            var parent: (node: Slot<Node>, isRight: Bool)?
            var branch = root
            while branch.lock == nil {
                let node = nodes[branch.node]
                if node.byte > byte || (node.byte == byte && node.others > others) { break }
                let isRight = node.turnsRight(Self.byte(name, node.byte))
                parent = (branch.node, isRight)
                branch = isRight ? node.right : node.left
            }
            let node = nodes.insert(
                turnsRight
                    ? Node(left: branch, right: Branch(lock), byte: byte, others: others)
                    : Node(left: Branch(lock), right: branch, byte: byte, others: others))
            replace(below: parent, with: Branch(node))
        }
    }

    /// Takes out a lock that is in the tree.
    mutating func remove(_ lock: Slot<Lock>, in locks: borrowing Slab<Lock>) {
        locks[lock].name.withBytes { name in
            var grandparent: (node: Slot<Node>, isRight: Bool)?
            var parent: (node: Slot<Node>, isRight: Bool)?
            var branch = root
            while branch.lock == nil {
                let node = nodes[branch.node]
                let isRight = node.turnsRight(Self.byte(name, node.byte))
                grandparent = parent
                parent = (branch.node, isRight)
                branch = isRight ? node.right : node.left
            }
            precondition(branch.lock == lock, "the lock is not in the tree")
            guard let (node, isRight) = parent else {
                root = .none
                return
            }
            replace(below: grandparent, with: isRight ? nodes[node].left : nodes[node].right)
            nodes.remove(node)
        }
    }

    /// Calls the body with the locks whose names begin with `prefix` and come after `after`, in order, until
    /// it returns false.
    func forEach(
        prefix: String, after: LockName?, in locks: borrowing Slab<Lock>, _ body: (Slot<Lock>) -> Bool
    ) {
        guard root != .none else { return }
        // What is still to come, the first on top; it begins right of the way down to the first that counts.
        var ahead: [Branch] = []
        descend(to: max(prefix, after?.text ?? ""), in: locks, &ahead)
        while let branch = ahead.popLast() {
            if let lock = branch.lock {
                let name = locks[lock].name
                if let after, name <= after { continue }
                if !name.text.utf8.starts(with: prefix.utf8) { return }
                if !body(lock) { return }
            } else {
                ahead.append(nodes[branch.node].right)
                ahead.append(nodes[branch.node].left)
            }
        }
    }

    // MARK: - Ways down

    /// The lock whose name shares the most with these bytes, as far as the tree's nodes look.
    private func nearest(to name: UnsafeRawBufferPointer) -> Slot<Lock> {
        var branch = root
        while true {
            if let lock = branch.lock { return lock }
            let node = nodes[branch.node]
            branch = node.turnsRight(Self.byte(name, node.byte)) ? node.right : node.left
        }
    }

    /// Fills `ahead` with the branches that hold every name at or after `start`, the first on top.
    private func descend(to start: String, in locks: borrowing Slab<Lock>, _ ahead: inout [Branch]) {
        var start = start
        start.withUTF8 { start in
            let start = UnsafeRawBufferPointer(start)
            let other = locks[nearest(to: start)].name
            let (byte, others, startIsGreater) = other.withBytes { other in
                other.elementsEqual(start) ? (UInt8.max, UInt8.max, false) : Self.difference(start, other)
            }
            var branch = root
            while branch.lock == nil {
                let node = nodes[branch.node]
                if node.byte > byte || (node.byte == byte && node.others > others) { break }
                if node.turnsRight(Self.byte(start, node.byte)) {
                    branch = node.right
                } else {
                    ahead.append(node.right)
                    branch = node.left
                }
            }
            // Everything below here agrees with `start` up to the first difference, and so lies on one side of it.
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

    /// The first bit in which two different names differ, and whether the first name has a one there.
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
