import LockVocabulary

/// The bytes that one batch reads, with a slice for each session. Every batch uses the same memory.
///
/// So an idle session needs no buffer, and a batch can read all its sockets before it parses a line. With a keeper the bytes are
/// in the ledger (`Continuity`), and the arena only has the slices.
struct Arena: ~Copyable {
    struct Slice {
        let session: SessionID
        /// Valid until the batch ends.
        let bytes: UnsafeRawBufferPointer
        /// Whether the server has it.
        fileprivate(set) var isReceived = false
    }

    /// The most bytes that one batch reads from one session.
    static let portion = 16_384
    /// The most bytes that one batch reads.
    static let size = 1 << 20

    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    private(set) var slices = OwnedArray<Slice>()
    private var used = 0

    deinit { memory.deallocate() }

    /// Takes room for bytes that are to be read; nil if so much is not left.
    mutating func takeRoom(_ count: Int) -> UnsafeMutableRawBufferPointer? {
        guard memory.count - used >= count, let base = memory.baseAddress else { return nil }
        defer { used += count }
        return UnsafeMutableRawBufferPointer(start: base + used, count: count)
    }

    /// Gives the end of the last room back, where nothing was read.
    mutating func giveBack(_ count: Int) { used -= count }

    mutating func noteReceived(_ index: Int) { slices[index].isReceived = true }

    /// Makes bytes a slice of this session.
    mutating func take(_ bytes: UnsafeRawBufferPointer, for session: SessionID) {
        slices.append(Slice(session: session, bytes: bytes))
    }

    mutating func empty() {
        slices.removeAll()
        used = 0
    }
}

extension UnsafeRawBufferPointer {
    /// The lines from an offset on that fit into so many bytes; a part of one line if not even that one fits.
    func wholeLines(from start: Int, atMost most: Int) -> UnsafeRawBufferPointer {
        if start == 0, count <= most { return self }
        let rest = self[start...].prefix(most)
        guard start + rest.count < count, let end = rest.lastIndex(of: UInt8(ascii: "\n")) else {
            return UnsafeRawBufferPointer(rebasing: rest)
        }
        return UnsafeRawBufferPointer(rebasing: self[start...end])
    }
}
