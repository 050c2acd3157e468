/// How a ledger gets places when its chunks are full.
extension Ledger {
    /// Whether the reserve is there, so that a batch that begins now can be written even if the memory cannot grow.
    public var hasRoom: Bool { roomLeft >= reserve }

    /// The bytes of chunks that any class may take.
    private var roomLeft: Int {
        memory.byteCount - layout.end(ofChunks: chunkCount) + free.emptyChunkCount * Chunk.byteCount
    }

    /// Asks for more memory while the reserve is not there. Memory that cannot grow now may grow at a later commit.
    mutating func keepReserve() {
        if !hasRoom {
            let wanted = layout.end(ofChunks: chunkCount) + reserve - free.emptyChunkCount * Chunk.byteCount
            _ = memory.extend(to: wanted)
        }
        lacksReserve = !hasRoom
    }

    /// Gives the class one more chunk, an empty one or a new one, and takes a place of it.
    @inline(never)
    mutating func takeFromNewChunk(_ sizeClass: SizeClass) -> Place? {
        if let chunk = free.takeEmptyChunk(for: sizeClass) {
            dedicate(chunk, to: sizeClass)
        } else if memory.extend(to: layout.end(ofChunks: chunkCount + 1)) {
            addChunk(sizeClass)
        } else if let chunk = free.takeKeptChunk(for: sizeClass) {
            dedicate(chunk, to: sizeClass)
        } else {
            return nil
        }
        keepReserve()
        return free.take(sizeClass)
    }

    /// Divides an empty chunk into places of another size.
    private mutating func dedicate(_ chunk: Int, to sizeClass: SizeClass) {
        // All places of the old size are free. The header follows when those of the new size are free as well.
        let start = chunk * Chunk.byteCount
        for place in 0..<sizeClass.placeCount {
            let offset = start + Chunk.headerSize + place * sizeClass.placeSize
            memory.clear(offset..<offset + 8)
        }
        memory.store(SelfChecked.word(UInt64(sizeClass.number) + 1), at: start)
        free.releaseAll(chunk: chunk)
    }

    /// Divides the memory after the last chunk, which was never used.
    private mutating func addChunk(_ sizeClass: SizeClass) {
        let start = (layout.firstChunk + chunkCount) * Chunk.byteCount
        memory.store(SelfChecked.word(UInt64(sizeClass.number) + 1), at: start)
        memory.store(SelfChecked.word(UInt64(chunkCount) + 1), at: Header.chunkCountOffset)
        free.addChunk(sizeClass)
        free.releaseAll(chunk: layout.firstChunk + chunkCount)
        chunkCount += 1
    }
}
