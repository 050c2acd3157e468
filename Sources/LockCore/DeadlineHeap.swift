import LockVocabulary

/// A binary heap of items by deadline. A handle removes an item before it is due.
///
/// Insertion and removal cost O(log n) in the number of items.
///
/// Invariants:
/// 1. No entry is due before its parent.
/// 2. `positions[handle]` is the index of the entry with that handle.
struct DeadlineHeap<Item>: ~Copyable {
    typealias Handle = Slot<Entry>

    struct Entry {
        var due: Instant
        var handle: Handle
        var item: Item
    }

    private var entries = OwnedArray<Entry>()
    private var positions = OwnedArray<Int32>()
    private var free = OwnedArray<Handle>()

    var count: Int { entries.count }

    /// The earliest deadline; nil for an empty heap.
    @inline(__always)
    var first: Instant? { entries.isEmpty ? nil : entries[0].due }

    mutating func insert(_ item: Item, due: Instant) -> Handle {
        let handle: Handle
        if let used = free.popLast() {
            handle = used
        } else {
            handle = Handle(raw: UInt32(positions.count))
            positions.append(0)
        }
        entries.append(Entry(due: due, handle: handle, item: item))
        rise(entries.count - 1)
        return handle
    }

    mutating func remove(_ handle: Handle) {
        let position = Int(positions[Int(handle.raw)])
        precondition(entries[position].handle == handle, "the handle is of another entry")
        free.append(handle)
        guard let last = entries.popLast(), position < entries.count else { return }
        entries[position] = last
        sink(position)
        rise(position)
    }

    /// Changes the deadline of the entry with this handle.
    mutating func setDue(_ due: Instant, of handle: Handle) {
        let position = Int(positions[Int(handle.raw)])
        precondition(entries[position].handle == handle, "the handle is of another entry")
        entries[position].due = due
        sink(position)
        rise(position)
    }

    /// Removes and returns the first item if it is due by `now`.
    mutating func popFirst(by now: Instant) -> Item? {
        guard let item = first(by: now) else { return nil }
        remove(entries[0].handle)
        return item
    }

    /// The first item if it is due by `now`.
    func first(by now: Instant) -> Item? {
        guard let first, first <= now else { return nil }
        return entries[0].item
    }

    /// The deadline of the entry with this handle.
    func due(_ handle: Handle) -> Instant { entries[Int(positions[Int(handle.raw)])].due }

    private mutating func rise(_ start: Int) {
        var position = start
        let entry = entries[position]
        while position > 0 {
            let parent = (position - 1) / 2
            if entries[parent].due <= entry.due { break }
            move(entries[parent], to: position)
            position = parent
        }
        move(entry, to: position)
    }

    private mutating func sink(_ start: Int) {
        var position = start
        let entry = entries[position]
        while true {
            var child = 2 * position + 1
            if child >= entries.count { break }
            if child + 1 < entries.count, entries[child + 1].due < entries[child].due { child += 1 }
            if entry.due <= entries[child].due { break }
            move(entries[child], to: position)
            position = child
        }
        move(entry, to: position)
    }

    private mutating func move(_ entry: Entry, to position: Int) {
        entries[position] = entry
        positions[Int(entry.handle.raw)] = Int32(position)
    }

    /// Whether the invariants hold.
    var isSound: Bool {
        (0..<entries.count).allSatisfy { position in
            Int(positions[Int(entries[position].handle.raw)]) == position
                && (position == 0 || entries[(position - 1) / 2].due <= entries[position].due)
        }
    }
}
