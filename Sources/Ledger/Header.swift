/// The first page of the memory: what the ledger is, how large it is, and which batch was committed last.
enum Header {
    static let byteCount = 4_096

    /// "prwledgr", the first byte at the first address.
    static let magic: UInt64 = 0x7267_6465_6C77_7270
    static let major: UInt64 = 1
    static let minor: UInt64 = 0

    // Offsets of words. All but the magic are self-checked.
    static let magicOffset = 0
    static let versionOffset = 8
    static let chunkSizeOffset = 16
    static let inputSizeOffset = 24
    static let sliceBoundOffset = 32
    static let chunkCountOffset = 40
    static let committedOffset = 48
    /// The notes, of `Notes.byteCount` bytes.
    static let notesOffset = 64

    static var version: UInt64 { major << 16 | minor }
}

/// The offsets that follow from the size of the input region.
struct Layout: Equatable {
    let inputSize: Int
    /// The most slices of a batch.
    let sliceBound: Int

    /// Nil if no memory is so large.
    init?(inputSize: UInt64, sliceBound: UInt64) {
        guard inputSize <= 1 << 30, sliceBound <= 1 << 20, inputSize.isMultiple(of: 8) else { return nil }
        self.inputSize = Int(inputSize)
        self.sliceBound = Int(sliceBound)
    }

    /// The table of slices.
    var slices: Int { Header.byteCount }
    /// The bytes of the input.
    var input: Int { slices + sliceBound * InputSlice.byteCount }
    /// The number of the first chunk, counted from the begin of the memory.
    var firstChunk: Int { (input + inputSize + Chunk.byteCount - 1) / Chunk.byteCount }

    func end(ofChunks count: Int) -> Int { (firstChunk + count) * Chunk.byteCount }
}
