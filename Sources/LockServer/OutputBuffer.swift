/// The bytes that are written for a session and not sent yet, in memory that only this value has.
///
/// An array would check at each line whether another value shares its memory, and count references whenever it is sent.
///
/// Invariant: the bytes from `start` up to `end` are initialized, and `end` is within the memory.
struct OutputBuffer: ~Copyable {
    private var memory: UnsafeMutablePointer<UInt8>?
    private(set) var capacity = 0
    private var start = 0
    private var end = 0

    /// The room that a line gets at first, and nearly every line fits into.
    private static var lineRoom: Int { 256 }
    /// Memory beyond this, which only a burst needed, is given back.
    private static var usualCapacity: Int { 2_048 }
    /// With so many sent bytes at the beginning, the others are moved there.
    private static var mostSent: Int { 65_536 }

    deinit { memory?.deallocate() }

    @inline(__always)
    var count: Int { end - start }

    @inline(__always)
    var isEmpty: Bool { end == start }

    /// Valid until the buffer changes.
    @inline(__always)
    var bytes: UnsafeRawBufferPointer {
        guard let memory else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: memory + start, count: end - start)
    }

    /// Appends a line. The body writes it into the room that it gets, if it fits, and returns its length.
    @inline(__always)
    mutating func appendLine(_ write: (UnsafeMutableBufferPointer<UInt8>) -> Int) {
        var needed = Self.lineRoom
        while true {
            let room = room(for: needed)
            needed = write(room)
            if needed <= room.count { break }
        }
        end += needed
    }

    mutating func append(_ bytes: [UInt8]) {
        _ = room(for: bytes.count).initialize(from: bytes)
        end += bytes.count
    }

    /// Room for more bytes behind the others.
    @inline(__always)
    private mutating func room(for more: Int) -> UnsafeMutableBufferPointer<UInt8> {
        if let memory, capacity - end >= more {
            return UnsafeMutableBufferPointer(start: memory + end, count: capacity - end)
        }
        return grow(by: more)
    }

    @inline(never)
    private mutating func grow(by more: Int) -> UnsafeMutableBufferPointer<UInt8> {
        let count = count
        let larger = max(2 * count, count + more)
        let target = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        if let memory { target.initialize(from: memory + start, count: count) }
        memory?.deallocate()
        (memory, capacity, start, end) = (target, larger, 0, count)
        return UnsafeMutableBufferPointer(start: target + count, count: larger - count)
    }

    /// Removes bytes at the beginning.
    @inline(__always)
    mutating func removeFirst(_ removed: Int) {
        precondition(removed >= 0 && removed <= count, "more was sent than was written")
        start += removed
        if start == end {
            (start, end) = (0, 0)
            if capacity > Self.usualCapacity { giveBack() }
        } else if start >= Self.mostSent || isMostlyUnused {
            moveToBeginning()
        }
    }

    mutating func removeAll() {
        (start, end) = (0, 0)
        giveBack()
    }

    @inline(never)
    private mutating func giveBack() {
        memory?.deallocate()
        (memory, capacity) = (nil, 0)
    }

    /// Otherwise a client that reads all but a byte would keep the memory of its longest output, and count as a byte (G12).
    @inline(__always)
    private var isMostlyUnused: Bool { capacity > Self.usualCapacity && count < capacity / 4 }

    /// Gives memory back too, if little of it is used.
    @inline(never)
    private mutating func moveToBeginning() {
        guard let memory else { return }
        let count = count
        if isMostlyUnused {
            let smaller = max(2 * count, Self.usualCapacity)
            let target = UnsafeMutablePointer<UInt8>.allocate(capacity: smaller)
            target.initialize(from: memory + start, count: count)
            memory.deallocate()
            (self.memory, capacity, start, end) = (target, smaller, 0, count)
            return
        }
        memory.update(from: memory + start, count: count)
        (start, end) = (0, count)
    }
}
