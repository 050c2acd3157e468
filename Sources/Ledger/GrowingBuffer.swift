/// An array that has one owner, so that a change never asks whether the elements are shared.
struct GrowingBuffer<Element: BitwiseCopyable>: ~Copyable {
    private var elements: UnsafeMutablePointer<Element>
    private var capacity = 16
    private(set) var count = 0

    init() { elements = .allocate(capacity: capacity) }

    deinit { elements.deallocate() }

    subscript(index: Int) -> Element {
        @inline(__always)
        get {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "the index is out of bounds")
            return elements[index]
        }
        @inline(__always)
        nonmutating _modify {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "the index is out of bounds")
            yield &elements[index]
        }
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        if count == capacity { resize(to: 2 * capacity) }
        elements[count] = element
        count &+= 1
    }

    /// Removes all elements, and gives memory back that only a very large batch needed.
    @inline(__always)
    mutating func removeAll() {
        count = 0
        if capacity > 4_096 { resize(to: 16) }
    }

    @inline(never)
    private mutating func resize(to newCapacity: Int) {
        let resized = UnsafeMutablePointer<Element>.allocate(capacity: newCapacity)
        resized.update(from: elements, count: count)
        elements.deallocate()
        elements = resized
        capacity = newCapacity
    }
}
