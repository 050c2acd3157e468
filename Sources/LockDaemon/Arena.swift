import LockVocabulary

/// The bytes that were read in one batch, each session's in a slice of its own; used again for every batch.
///
/// So a session costs no buffer while nothing comes from it, and all of a batch is read before any of it is looked at.
struct Arena: ~Copyable {
    struct Slice {
        let session: SessionID
        let range: Range<Int>
    }

    /// How much is read from one session in one batch.
    static let portion = 16_384
    private static let size = 1 << 20

    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    /// For what is looked at as soon as it is read.
    let spare = UnsafeMutableRawBufferPointer.allocate(byteCount: portion, alignment: 64)
    private(set) var slices: [Slice] = []
    private var used = 0

    deinit {
        memory.deallocate()
        spare.deallocate()
    }

    /// Whether no whole turn fits any more.
    var isFull: Bool { memory.count - used < Self.portion }

    /// Where the next session's bytes go.
    var room: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + Self.portion])
    }

    /// So many bytes of `room` are this session's.
    mutating func take(_ count: Int, for session: SessionID) -> Slice {
        let slice = Slice(session: session, range: used..<used + count)
        slices.append(slice)
        used += count
        return slice
    }

    func bytes(of slice: Slice) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[slice.range])
    }

    mutating func empty() {
        slices.removeAll(keepingCapacity: true)
        used = 0
    }
}
