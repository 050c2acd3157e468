/// An array with one owner, which cannot be copied.
///
/// `Array` checks at every change whether another value shares its memory, and removes elements by replacing a range. Where
/// each request makes dozens of changes, these checks cost as much as the changes. Here one value has the memory, so it
/// checks only the index.
public struct OwnedArray<Element: ~Copyable>: ~Copyable {
    @usableFromInline var memory: UnsafeMutablePointer<Element>
    @usableFromInline var capacity: Int
    @usableFromInline var length: Int

    /// An empty array with room for a few elements.
    public init() {
        capacity = 8
        memory = .allocate(capacity: capacity)
        length = 0
    }

    deinit {
        memory.deinitialize(count: length)
        memory.deallocate()
    }

    /// The number of elements.
    @inlinable
    public var count: Int { length }

    /// Whether there are no elements.
    @inlinable
    public var isEmpty: Bool { length == 0 }

    /// The element at an index.
    @inlinable
    public subscript(index: Int) -> Element {
        @inline(__always)
        _read {
            precondition(index >= 0 && index < length, "no such element")
            yield memory[index]
        }
        @inline(__always)
        _modify {
            precondition(index >= 0 && index < length, "no such element")
            yield &memory[index]
        }
    }

    /// Adds an element at the end.
    @inlinable @inline(__always)
    public mutating func append(_ element: consuming Element) {
        if length == capacity { grow() }
        (memory + length).initialize(to: element)
        length += 1
    }

    /// Removes and returns the last element; nil if there is none.
    @inlinable @inline(__always)
    public mutating func popLast() -> Element? {
        guard length > 0 else { return nil }
        length -= 1
        return (memory + length).move()
    }

    /// Removes all elements, and keeps the memory.
    @inlinable @inline(__always)
    public mutating func removeAll() {
        guard length > 0 else { return }
        memory.deinitialize(count: length)
        length = 0
    }

    /// Removes the elements from an index on.
    @inlinable @inline(__always)
    public mutating func removeAll(from start: Int) {
        precondition(start >= 0 && start <= length, "there are not so many elements")
        (memory + start).deinitialize(count: length - start)
        length = start
    }

    /// Removes so many elements at the beginning.
    @inlinable
    public mutating func removeFirst(_ removed: Int) {
        guard removed > 0 else { return }
        precondition(removed <= length, "there are not so many elements")
        if removed == length { return removeAll() }
        memory.deinitialize(count: removed)
        memory.moveInitialize(from: memory + removed, count: length - removed)
        length -= removed
    }

    @usableFromInline
    mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: 2 * capacity)
        larger.moveInitialize(from: memory, count: length)
        memory.deallocate()
        memory = larger
        capacity *= 2
    }
}
