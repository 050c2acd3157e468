import LockVocabulary

/// The bytes that one batch reads, with a slice for each session. Every batch uses the same memory.
///
/// So an idle session needs no buffer, and a batch can read all its sockets before it parses a line.
struct Arena: ~Copyable {
    struct Slice {
        let session: SessionID
        let range: Range<Int>
        /// Whether the server has it.
        fileprivate(set) var isReceived = false
    }

    /// The most bytes that one batch reads from one session.
    static let portion = 16_384
    private static let size = 1 << 20

    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    /// Room for bytes that are parsed as soon as they are read.
    let spare = UnsafeMutableRawBufferPointer.allocate(byteCount: portion, alignment: 64)
    private(set) var slices: [Slice] = []
    private var used = 0

    deinit {
        memory.deallocate()
        spare.deallocate()
    }

    /// Whether another portion does not fit.
    var isFull: Bool { memory.count - used < Self.portion }

    /// The room for the next session's bytes.
    var room: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + Self.portion])
    }

    /// Makes the first bytes of `room` a slice of this session.
    mutating func take(_ count: Int, for session: SessionID) {
        slices.append(Slice(session: session, range: used..<used + count))
        used += count
    }

    mutating func noteReceived(_ index: Int) { slices[index].isReceived = true }

    func bytes(of slice: Slice) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[slice.range])
    }

    mutating func empty() {
        slices.removeAll(keepingCapacity: true)
        used = 0
    }
}
